"""Forgetting a person: nothing of them is left anywhere, and nothing of anybody else is touched."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlmodel import col, select

from ivr.db.tables import (
    Contact,
    ContactPoint,
    Conversation,
    FailedLead,
    Lead,
    LeadCount,
    Submission,
    utc_now,
)
from ivr.leads.delivery import ledger
from tests.channels.conftest import eager, nobody_calls
from tests.channels.world import World, world
from tests.db.every_table import all_rows, fill
from tests.leads.cast import rows, until
from tests.leads.people.planted import (
    OSWALD,
    ZEBULON,
    Someone,
    come_through_every_door,
    found_in,
    in_files,
    listener,
)

__all__ = ["eager", "nobody_calls"]  # both for every test here

# Nobody's rows, or what counts them; a number's hash may come.
NOT_THEIRS = frozenset({"usage_logs", "lead_counts", "api_keys", "suppressions"})
EVERYWHERE = frozenset(
    "contacts contact_points merge_records consent_events leads lead_words field_values "
    "transitions review_items tasks escalations conversation_sessions turns inbound_events "
    "messages submissions submission_attempts succeeded_leads failed_leads outbox_events "
    "idempotency_records workflow_status operation_outputs".split()
)


async def leads_of(w: World, who: Someone) -> Sequence[Lead]:
    async with w.db.read() as session:
        query = (
            select(Lead)
            .join(Contact, col(Contact.id) == col(Lead.contact_id))
            .join(ContactPoint, col(ContactPoint.contact_id) == col(Contact.id))
            .where(ContactPoint.value == who.number)
        )
        return (await session.exec(query)).all()


async def ids_of(w: World, leads: Collection[Lead]) -> list[str]:
    """Every id by which somebody's rows refer to one another, as it is stored here and there."""
    ids = {lead.id for lead in leads} | {lead.contact_id for lead in leads}
    talks = await rows(w.db, Conversation)
    ids |= {row.id for row in await rows(w.db, Submission) if row.lead_id in ids}
    ids |= {talk.id for talk in talks if talk.lead_id in ids}
    return [form for one in ids for form in (str(one), one.hex)]


async def close_what_was_refused(w: World) -> None:
    """Have nothing be on its way any more; the table of failures keeps it all the same."""
    async with w.db.write() as session:
        for row in (await session.exec(select(FailedLead))).all():
            if not row.resolved:
                number = row.id or 0
                await ledger.resolve(session, row.tenant_id, number, "no more", now=utc_now())


def mentioning(all_of_them: Mapping[str, list[Any]], ids: Collection[str]) -> list[tuple[str, Any]]:
    """Return the rows that refer to somebody."""
    return [
        (name, row)
        for name, found in all_of_them.items()
        for row in found
        if any(one in repr(row) for one in ids)
    ]


async def test_a_person_of_every_door_leaves_nothing_and_the_others_keep_everything(
    database_url: str,
) -> None:
    async with world(database_url, nurture_after_hours=0, lost_after_days=0) as w:
        async with listener(w) as told:
            await come_through_every_door(w, OSWALD)
            await come_through_every_door(w, ZEBULON)
            assert any(ZEBULON.word in one for one in told)
        await close_what_was_refused(w)
        stranger = (await fill(w.db))["tenants"]["id"]
        theirs = await all_rows(w.db, stranger)
        leads, kept = await leads_of(w, ZEBULON), await leads_of(w, OSWALD)
        traces = [*ZEBULON.traces, *await ids_of(w, leads)]
        kept_ids, tenant_id = await ids_of(w, kept), leads[0].tenant_id
        planted = {line.partition(":")[0] for line in await found_in(w.db, traces)}
        assert EVERYWHERE <= planted
        before = await all_rows(w.db, tenant_id)

        answer = await w.http.delete(f"/api/v1/leads/{leads[0].id}")
        assert answer.status_code == 204, answer.text

        assert await found_in(w.db, traces) == []
        if w.db.is_sqlite:
            assert in_files(w.db, traces) == []
        assert await all_rows(w.db, stranger) == theirs
        after = await all_rows(w.db, tenant_id)
        for name in after.keys() - NOT_THEIRS:
            assert set(map(repr, after[name])) <= set(map(repr, before[name])), name
        assert mentioning(after, kept_ids) == mentioning(before, kept_ids)
        await _check_sums(w, before, after, tenant_id)
        await _check_silence(w)
        again = await w.http.delete(f"/api/v1/leads/{leads[0].id}")
        assert again.status_code == 404


async def _check_sums(
    w: World, before: Mapping[str, list[Any]], after: Mapping[str, list[Any]], tenant_id: uuid.UUID
) -> None:
    """What was used and cost is still known, and leads are counted as they are."""
    assert len(after["usage_logs"]) == len(before["usage_logs"])
    counts = [row.leads for row in await rows(w.db, LeadCount) if row.tenant_id == tenant_id]
    merged = {row.id for row in await rows(w.db, Lead) if row.lifecycle == "MERGED"}
    leads = {row.id for row in await rows(w.db, Lead) if row.tenant_id == tenant_id}
    assert sum(counts) == len(leads - merged)


async def _check_silence(w: World) -> None:
    """They had said STOP: who has the number is not written to, whatever they write."""
    texter = w.texter(ZEBULON.number)
    before = len(texter.received)
    await texter.text("Hello, is my bike worth something?")

    async def is_there() -> bool:
        return bool(await leads_of(w, ZEBULON))

    await until(is_there)
    await texter.text("Anybody there?")
    assert len(texter.received) == before
    assert not [one for one in await w.messages() if one.recipient == ZEBULON.number]
