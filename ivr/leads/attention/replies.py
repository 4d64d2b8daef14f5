"""What staff write to a contact themselves: the contact hears one voice at a time."""

from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import conversations
from ivr.conversations import Said
from ivr.db.tables import (
    Channel,
    Conversation,
    Direction,
    Message,
    MessageState,
    Purpose,
    Role,
    Tenant,
    TenantStatus,
)
from ivr.errors import Conflict
from ivr.leads.attention import escalations
from ivr.messages import consent, rules, store


async def take_and_say(
    session: AsyncSession,
    conversation: Conversation,
    text: str,
    who: str,
    *,
    policy: rules.Policy,
    now: datetime,
) -> Said:
    """Have `who` say something to the contact, and so take the conversation; raises as `say`."""
    await _demand_writable(session, conversation)
    await escalations.hand_over(session, conversation, f"{who} writes", who=who, now=now)
    return await say(session, conversation, text, who, policy=policy, now=now)


async def say(
    session: AsyncSession,
    conversation: Conversation,
    text: str,
    who: str,
    *,
    policy: rules.Policy,
    now: datetime,
) -> Said:
    """Have `who`, who has taken the conversation, say something to the contact; return the turn.

    Raises `Conflict` for everybody else, and where nothing can be written to the contact: else it
    would vanish unseen. Poke the outbox after the commit.
    """
    escalation = await escalations.open_of(session, conversation.id)
    if escalation is None or escalation.assignee != who:
        raise Conflict("take the escalation first: the contact hears one voice at a time")
    await _demand_writable(session, conversation)
    # Who reads from a position on would miss the second of two turns at one position.
    await conversations.lock(session, conversation.id)
    by_message = conversation.channel in Channel.by_message()
    if by_message:
        await _demand_allowed(session, conversation, text, policy, now=now)
    said = Said(
        item_id=conversations.of_staff(),
        position=await conversations.next_position(session, conversation.id),
        role=Role.ASSISTANT,
        text=text,
        said_at=now,
    )
    await conversations.write_turn(session, conversation, said)
    if by_message:
        await store.queue(
            session, conversation, text, purpose=Purpose.REPLY, turn=said.item_id, now=now
        )
    return said


async def _demand_writable(session: AsyncSession, conversation: Conversation) -> None:
    """Raise `Conflict` unless the channel carries written words, with what to do instead.

    Also in a chat a paused business says nothing; of messages the outbox would know it as well.
    """
    tenant = await session.get_one(Tenant, conversation.tenant_id)
    if tenant.status == TenantStatus.PAUSED:
        raise Conflict(f"nothing can be written to this contact: {rules.PAUSED}")
    if conversation.channel in Channel.by_message():
        if conversation.from_number is None:
            raise Conflict("nothing can be written to this contact: there is no number")
        return
    if conversation.channel in Channel.chats():
        return
    written = Channel.by_message() | Channel.chats()
    query = (
        select(Conversation.id)
        .where(
            Conversation.lead_id == conversation.lead_id,
            col(Conversation.channel).in_(written),
        )
        .order_by(col(Conversation.started_at).desc())
        .limit(1)
    )
    other = (await session.exec(query)).first()
    instead = "call the contact" if other is None else f"write in their conversation {other}"
    raise Conflict(f"nothing can be written to a {conversation.channel} conversation: {instead}")


async def _demand_allowed(
    session: AsyncSession,
    conversation: Conversation,
    text: str,
    policy: rules.Policy,
    *,
    now: datetime,
) -> None:
    """Raise `Conflict` with the reason for which the outbox would block the message now."""
    tenant = await session.get_one(Tenant, conversation.tenant_id)
    assert conversation.from_number, "looked at before"
    await consent.lock(session, tenant.id, conversation.from_number)
    message = Message(
        tenant_id=tenant.id,
        conversation_id=conversation.id,
        direction=Direction.OUT,
        channel=conversation.channel,
        purpose=Purpose.REPLY,
        recipient=conversation.from_number,
        body=text,
        state=MessageState.PENDING,
        created_at=now,
        updated_at=now,
    )
    verdict = await rules.judge(session, tenant, message, policy, now=now)
    if isinstance(verdict, rules.Block):
        raise Conflict(f"nothing can be written to this contact: {verdict.reason}")
