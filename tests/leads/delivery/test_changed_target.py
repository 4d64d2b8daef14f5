"""A client changes where its leads go while one waits: it goes there, once, in the right words."""

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from ivr import api_keys
from ivr.db.tables import KeyKind, Submission, SubmissionState, Tenant, utc_now
from tests.channels.conftest import eager, nobody_calls
from tests.channels.world import World, world
from tests.leads.cast import LEAD, rows, until
from tests.web.lead_door import DOOR, WHOLE
from tools.emulators.npa import NpaFaults
from tools.emulators.receiver import LeadReceiver, ReceiverFaults

__all__ = ["eager", "nobody_calls"]  # both for every test here

SECRET = "whsec_" + base64.b64encode(b"thirty-two bytes of no secret...").decode()


@pytest.fixture
async def w(database_url: str) -> AsyncIterator[World]:
    async with world(database_url) as opened:
        yield opened


@asynccontextmanager
async def receivers() -> AsyncIterator[tuple[LeadReceiver, LeadReceiver]]:
    """Two programs of the client's, of which the first is out of order."""
    async with LeadReceiver(SECRET) as one, LeadReceiver(SECRET) as other:
        one.faults = ReceiverFaults(status=503)
        yield one, other


async def sends_to(w: World, target: Mapping[str, Any]) -> None:
    """Have the client say where its leads go."""
    (tenant,) = await rows(w.db, Tenant)
    async with w.db.write() as session:
        _, key = api_keys.make(session, tenant.id, kind=KeyKind.ADMIN, name="admin", now=utc_now())
    headers = {"X-API-Key": key}
    async with httpx.AsyncClient(
        base_url=w.url, headers=headers, trust_env=False, timeout=60
    ) as http:
        body = {"config": {"target": dict(target)}}
        answer = await http.patch(f"/api/v1/clients/{tenant.id}", json=body, timeout=60)
    assert answer.status_code == 200, answer.text


async def waits(w: World) -> Submission:
    """Hand a lead in, which its target does not take, and wait until it waits for another try."""
    assert (await w.http.post(DOOR, json=WHOLE)).status_code == 201

    async def was_tried() -> bool:
        found = await rows(w.db, Submission)
        return [(it.attempts, it.state) for it in found] == [(1, SubmissionState.PENDING)]

    await until(was_tried, seconds=60)
    (submission,) = await rows(w.db, Submission)
    return submission


async def tried_again(w: World, submission: Submission) -> Submission:
    """Have its time come, and wait until it was taken."""
    async with w.db.write() as session:
        row = await session.get_one(Submission, submission.id)
        row.next_attempt_at = utc_now()
    await w.submitted()
    (submission,) = await rows(w.db, Submission)
    return submission


def webhook(receiver: LeadReceiver) -> dict[str, str]:
    return {"name": "webhook", "url": receiver.url, "secret": SECRET}


async def test_what_waited_for_the_buyer_goes_to_the_webhook_in_its_words(w: World) -> None:
    async with receivers() as (_, receiver):
        w.npa.faults = NpaFaults(status=503)
        submission = await waits(w)
        assert submission.target == "npa"
        w.npa.faults = NpaFaults()
        await sends_to(w, webhook(receiver))
        submission = await tried_again(w, submission)
        (taken,) = receiver.taken
    assert {name: taken.data[name] for name in LEAD} == LEAD
    assert taken.message_id == str(submission.id)
    assert (submission.target, submission.attempts) == ("webhook", 2)
    assert w.npa.leads == []


async def test_what_waited_for_the_webhook_goes_to_the_buyer_in_his_words(w: World) -> None:
    async with receivers() as (broken, _):
        await sends_to(w, webhook(broken))
        submission = await waits(w)
        await sends_to(w, {"name": "npa"})
        submission = await tried_again(w, submission)
        assert broken.taken == []
    (lead,) = w.npa.leads
    assert (lead["firstName"], lead["zip"], lead["year"]) == ("John", "30093", 2020)
    assert lead["refNumber"] == str(submission.id) and submission.target == "npa"


async def test_what_waited_for_one_address_goes_to_the_other(w: World) -> None:
    async with receivers() as (broken, receiver):
        await sends_to(w, webhook(broken))
        submission = await waits(w)
        await sends_to(w, webhook(receiver))
        await tried_again(w, submission)
        assert (broken.taken, [one.message_id for one in receiver.taken]) == (
            [],
            [str(submission.id)],
        )
    assert w.npa.leads == []
