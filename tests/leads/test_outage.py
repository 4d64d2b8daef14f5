"""The database goes away while the buyer answers: the answer is known to nobody else, and kept."""

import asyncio
import uuid

import httpx
import structlog

from ivr.db import Database
from ivr.db.tables import Submission, SubmissionState
from ivr.leads.delivery.submissions import Submissions
from ivr.leads.profile import load_profile
from tests.conftest import HASH_KEY
from tests.db.wire import wire_to
from tests.leads.cast import LEAD, NOW, call, rows, settings_for, until

TAKEN = {"success": True, "message": "", "recordID": 7}


# It takes a second: that long the next try to write the answer down waits.
async def test_an_answer_that_comes_in_an_outage_is_kept(postgres_url: str) -> None:
    with wire_to(postgres_url) as (wire, url):
        db = Database(url, hash_key=lambda: HASH_KEY)
        submission_id = await _put(db)

        def buyer(_: httpx.Request) -> httpx.Response:
            wire.cut()
            return httpx.Response(200, json=TAKEN)

        async with httpx.AsyncClient(transport=httpx.MockTransport(buyer)) as http:
            settings = settings_for(url, "https://buyer.example.test")
            submissions = Submissions(db, http, settings, load_profile)
            with structlog.testing.capture_logs() as logs:
                sending = asyncio.create_task(submissions.first_attempt(submission_id))
                await until(lambda: "the database is down" in str(logs))
            wire.mend()
            outcome = await sending
        [submission] = await rows(db, Submission)
        await db.close()
    assert outcome is not None
    assert (outcome.state, submission.state) == (SubmissionState.SUCCEEDED,) * 2


async def _put(db: Database) -> uuid.UUID:
    conversation = await call(db)
    submission = Submission(
        tenant_id=conversation.tenant_id,
        lead_id=conversation.lead_id,
        conversation_id=conversation.id,
        episode=1,
        target="npa",
        channel="voice",
        lead_data=LEAD,
        created_at=NOW,
        updated_at=NOW,
    )
    async with db.write() as session:
        session.add(submission)
    return submission.id
