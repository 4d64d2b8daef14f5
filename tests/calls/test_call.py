"""A phone call becomes a lead, through every real door."""

from tests.calls.world import talk_through, world


async def test_the_call_of_the_owners_document_becomes_one_lead(database_url: str) -> None:
    async with world(database_url) as w:
        call = await w.ring()
        await talk_through(call, w.scenario)
        assert await call.ended() == "completed"
        page = await w.finished(call)

    assert page.succeeded is not None
    assert page.succeeded.lead_data == dict(w.scenario.expect.lead)
    assert page.succeeded.npa_response["success"] is True
    assert [lead["zip"] for lead in w.npa.leads] == ["30093"]
    assert len(w.npa.requests) == 1
