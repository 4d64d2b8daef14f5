"""The server itself: its timers move a silent lead, and its loop tells who listens."""

from datetime import timedelta

from ivr import tenants
from ivr.db import Database
from ivr.db.tables import Conversation, ConversationStatus, Lead, utc_now
from ivr.runtime import open_state
from tests.leads.cast import call, settings_for, until
from tests.webhooks.cast import SECRET_KEY, listening
from tools.emulators.receiver import Receiver


async def test_a_lead_that_fell_silent_is_lost_and_others_are_told(
    db: Database, receiver: Receiver
) -> None:
    long_ago = utc_now() - timedelta(days=8)
    conversation = await call(db, now=long_ago)
    async with db.write() as session:
        row = await session.get_one(Conversation, conversation.id)
        row.status = ConversationStatus.FINISHED
        (await session.get_one(Lead, row.lead_id)).last_inbound_at = long_ago
    settings = settings_for(db.url, secret_key=SECRET_KEY)
    tenant = await tenants.ensure_default(db, settings, now=utc_now())
    await listening(db, tenant, receiver)
    async with open_state(settings, voice=None):
        await until(lambda: len(receiver.taken) == 2, seconds=60)
    told = {one.type: one.data for one in receiver.taken}
    assert told["lead.stage_changed"]["to"] == "LOST"
    assert told["lead.stage_changed"]["lead_id"] == str(conversation.lead_id)
    assert told["lead.status_changed"]["to"] == "closed_lost"
