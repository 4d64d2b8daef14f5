"""Each move of a lead, and what became of its submission, is told once and signed (S0.68, X.7)."""

from typing import Any

import httpx

from ivr import tenants
from ivr.db import Database
from ivr.db.tables import Conversation, Lead, OutboxEvent, SubmissionState, Transition
from ivr.leads.conclusion import conclude
from ivr.leads.delivery.submissions import Submissions
from ivr.leads.extraction import Extraction
from ivr.leads.profile import load_profile
from ivr.leads.progress import stages
from ivr.webhooks.outbox import rfc3339
from tests.leads.cast import LEAD, NOW, TALK, Clock, call, rows, save, settings_for
from tests.webhooks.cast import attempt_due, listening, process
from tools.emulators.npa import NpaEmulator, NpaFaults
from tools.emulators.receiver import Receiver


async def concluded(db: Database, receiver: Receiver) -> Any:
    """Take a whole call while somebody listens; return its submission's id."""
    tenant = await tenants.ensure_default(db, settings_for(db.url), now=NOW)
    await listening(db, tenant, receiver)
    conversation = await call(db, TALK)
    await save(db, conversation, LEAD)
    async with db.write() as session:
        done = await conclude(
            session, load_profile, conversation.id, 1, Extraction(by="nothing"), now=NOW
        )
    assert done is not None
    return done.submission_id


async def submit(db: Database, npa: NpaEmulator, submission_id: Any) -> SubmissionState:
    async with httpx.AsyncClient() as http:
        settings = settings_for(db.url, npa.base_url)
        sender = Submissions(db, http, settings, load_profile, clock=lambda: NOW)
        outcome = await sender.first_attempt(submission_id)
    assert outcome is not None
    return outcome.state


async def test_every_transition_is_told_once(
    db: Database, receiver: Receiver, clock: Clock
) -> None:
    async with NpaEmulator(username="buyer", password="secret") as npa:
        await submit(db, npa, await concluded(db, receiver))
    (lead,) = await rows(db, Lead)
    async with db.write() as session:
        locked = await stages.lock(session, lead.id)
        profile = load_profile("powersports")
        await stages.pin(session, locked, profile, "LOST", actor="Sarah", reason="cold", now=NOW)
    async with process(db, clock, receiver) as deliveries:
        await attempt_due(deliveries)
    told = [one for one in receiver.taken if one.type.startswith("lead.")]
    (conversation,) = await rows(db, Conversation)
    written = [
        {
            "lead_id": str(lead.id),
            "conversation_id": str(conversation.id),
            "profile": "powersports",
            "from": row.from_value,
            "to": row.to_value,
            "at": rfc3339(row.at),
            "actor": row.actor,
            "reason": row.reason,
            "seq": row.seq,
        }
        for row in await rows(db, Transition)
    ]
    written[0]["conversation_id"] = None  # there was none when the lead was made
    assert all(one.data in written for one in told)
    assert len({(one.type, one.data["seq"]) for one in told}) == len(told) == len(written) > 6
    assert set(receiver.ids.values()) == {1}


async def test_a_submission_that_succeeds_is_told(
    db: Database, receiver: Receiver, clock: Clock
) -> None:
    async with NpaEmulator(username="buyer", password="secret") as npa:
        submission_id = await concluded(db, receiver)
        assert await submit(db, npa, submission_id) == SubmissionState.SUCCEEDED
    async with process(db, clock, receiver) as deliveries:
        await attempt_due(deliveries)
    (told,) = [one.data for one in receiver.taken if one.type == "submission.succeeded"]
    assert (told["submission_id"], told["state"]) == (str(submission_id), "succeeded")
    assert (told["attempts"], told["error"], told["target"]) == (1, None, "npa")


async def test_a_submission_that_fails_is_told_with_the_reason(
    db: Database, receiver: Receiver
) -> None:
    async with NpaEmulator(username="buyer", password="secret") as npa:
        submission_id = await concluded(db, receiver)
        npa.faults = NpaFaults(rejection="duplicate lead")
        assert await submit(db, npa, submission_id) == SubmissionState.FAILED
    events = [it for it in await rows(db, OutboxEvent) if it.type == "submission.failed"]
    (told,) = [event.payload for event in events]
    assert told["state"] == "failed" and "duplicate lead" in told["error"]
    assert told["next_attempt_at"] is None
