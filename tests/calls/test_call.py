"""A phone call becomes a lead, through every real door."""

from tests.calls.world import whole_call, world


async def test_the_call_of_the_owners_document_becomes_one_lead(database_url: str) -> None:
    async with world(database_url) as w:
        _, page = await whole_call(w)

    assert page.succeeded is not None
    assert page.succeeded.lead_data == dict(w.scenario.expect.lead)
    assert page.succeeded.npa_response["success"] is True
    assert [lead["zip"] for lead in w.npa.leads] == ["30093"]
    assert len(w.npa.requests) == 1
