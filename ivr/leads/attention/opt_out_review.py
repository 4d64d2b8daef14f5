"""A person's word on whether words that nobody could tell for sure forbid us to write."""

from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import conversations
from ivr.db.tables import (
    ConsentAction,
    ConsentEvent,
    Conversation,
    ReviewItem,
    ReviewKind,
    Tenant,
)
from ivr.leads.attention import review
from ivr.messages import consent

REFUSED, NOT_REFUSED = "they refused messages", "they did not refuse messages"
ALLOWED_SINCE = "they refused messages, and allowed them since"


async def decide(
    session: AsyncSession, tenant: Tenant, item_id: int, *, is_refusal: bool, now: datetime
) -> str:
    """Write the refusal into the ledger, or nothing, and return the resolution.

    What the person allowed after those words stays allowed. Raises `NotFound`, and `Conflict` for
    a question of another kind or one that was decided before. The conversation is locked first, as
    by a merge, and by the STOP that may come in just now.
    """
    item = await review.open_item(session, tenant, item_id, ReviewKind.OPT_OUT, locked=False)
    conversation = await conversations.lock(session, item.conversation_id)
    item = await review.open_item(session, tenant, item_id, ReviewKind.OPT_OUT)
    resolution = REFUSED if is_refusal else NOT_REFUSED
    if is_refusal and await _was_allowed_since(session, item, conversation):
        resolution = ALLOWED_SINCE
    elif is_refusal:
        assert conversation.from_number, "who writes by SMS or WhatsApp has a number"
        await consent.record(
            session,
            tenant.id,
            address=conversation.from_number,
            channel=conversation.channel,
            action=ConsentAction.REVOKED,
            source="staff",
            evidence=item.detail.get("words", ""),
            now=now,
        )
        if not conversation.assistant_paused:
            await conversations.call_over(
                session, conversation.id, now=now, reason=conversations.OPTED_OUT
            )
    item.resolved_at, item.resolution = now, resolution
    return resolution


async def _was_allowed_since(
    session: AsyncSession, item: ReviewItem, conversation: Conversation
) -> bool:
    query = select(ConsentEvent.id).where(
        ConsentEvent.tenant_id == item.tenant_id,
        ConsentEvent.address == conversation.from_number,
        col(ConsentEvent.channel).in_({conversation.channel, consent.ALL}),
        ConsentEvent.action == ConsentAction.GRANTED,
        col(ConsentEvent.at) > item.created_at,
    )
    return (await session.exec(query.limit(1))).first() is not None
