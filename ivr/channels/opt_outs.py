"""What a contact forbids or allows by a message: written down at once, hardly answered.

On SMS Twilio itself answers STOP, START and HELP (messaging: opt-out keywords); on WhatsApp nobody
does but us.
"""

from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import conversations
from ivr.agent.language import follow
from ivr.agent.phrases import Phrases
from ivr.channels.inbound import Inbound
from ivr.db.engine import storable
from ivr.db.tables import (
    Channel,
    ConsentAction,
    Conversation,
    Purpose,
    ReviewItem,
    ReviewKind,
)
from ivr.leads.delivery import fitness, held_back
from ivr.leads.profile import Profile
from ivr.messages import consent, opt_out, store


async def note(
    session: AsyncSession, inbound: Inbound, conversation: Conversation, profile: Profile
) -> bool:
    """Write down what the message says about messages; return whether that ends the matter."""
    if inbound.consent and conversation.from_number:
        await _allow_by_form(session, inbound, conversation)
    await _hold_back(session, inbound, conversation)
    is_over = await _note(session, inbound, conversation, profile)
    if (
        is_over
        and not conversation.assistant_paused
        and await _is_refused(session, inbound, conversation)
    ):
        # Nobody answers any more: what they told goes on its way, without a leave to text them.
        await conversations.call_over(
            session, conversation.id, now=inbound.now, reason=conversations.OPTED_OUT
        )
    return is_over


async def _hold_back(session: AsyncSession, inbound: Inbound, conversation: Conversation) -> None:
    """Have nobody get what waits for the answer of who says that they are nobody's lead.

    Should they go on as one all the same, their conversation is handed over when it ends.
    """
    if opt_out.asks_to_be_forgotten(inbound.text):
        why = held_back.FORGET
    elif opt_out.is_wrong_number(inbound.text):
        why = held_back.WRONG_NUMBER
    else:
        return
    await fitness.hold_waiting(session, conversation.lead_id, why, now=inbound.now)


async def _is_refused(session: AsyncSession, inbound: Inbound, conversation: Conversation) -> bool:
    return inbound.address is not None and await consent.is_revoked(
        session, conversation.tenant_id, inbound.address, inbound.channel
    )


async def _note(
    session: AsyncSession, inbound: Inbound, conversation: Conversation, profile: Profile
) -> bool:
    if inbound.channel not in Channel.by_message() or not inbound.address:
        return False
    was_revoked = await _is_refused(session, inbound, conversation)
    match opt_out.read(inbound.text, inbound.opt_out_type):
        case "stop":
            await _record(session, inbound, conversation, ConsentAction.REVOKED, "keyword")
            is_told = inbound.channel == Channel.SMS or was_revoked
            await _confirm(session, inbound, conversation, profile, is_told=is_told)
            return True
        case "start" if was_revoked or inbound.opt_out_type:  # else "yes" is an answer
            await _record(session, inbound, conversation, ConsentAction.GRANTED, "keyword")
            return inbound.channel == Channel.SMS
        case "help" if inbound.channel == Channel.SMS:
            return True
    match opt_out.revocation(inbound.text):
        case "certain":
            await _record(session, inbound, conversation, ConsentAction.REVOKED, "free_text")
            await _confirm(session, inbound, conversation, profile, is_told=was_revoked)
            return True
        case "doubtful" if not was_revoked:
            _ask(session, inbound, conversation)
    return was_revoked


async def _allow_by_form(
    session: AsyncSession, inbound: Inbound, conversation: Conversation
) -> None:
    assert conversation.from_number, "looked at before"
    for channel in sorted(Channel.by_message()):
        await consent.record(
            session,
            conversation.tenant_id,
            address=conversation.from_number,
            channel=channel,
            action=ConsentAction.GRANTED,
            source="form",
            evidence="the box was ticked",
            now=inbound.now,
        )


def _ask(session: AsyncSession, inbound: Inbound, conversation: Conversation) -> None:
    """Have a person decide whether these words forbid us to write."""
    session.add(
        ReviewItem(
            tenant_id=conversation.tenant_id,
            kind=ReviewKind.OPT_OUT,
            lead_id=conversation.lead_id,
            conversation_id=conversation.id,
            detail={"words": storable(inbound.text)[: consent.MOST_EVIDENCE]},
            created_at=inbound.now,
        )
    )


async def _record(
    session: AsyncSession,
    inbound: Inbound,
    conversation: Conversation,
    action: ConsentAction,
    source: str,
) -> None:
    assert inbound.address, "looked at before"
    await consent.record(
        session,
        conversation.tenant_id,
        address=inbound.address,
        channel=inbound.channel,
        action=action,
        source="provider" if inbound.opt_out_type else source,
        evidence=inbound.text,
        now=inbound.now,
    )


async def _confirm(
    session: AsyncSession,
    inbound: Inbound,
    conversation: Conversation,
    profile: Profile,
    *,
    is_told: bool,
) -> None:
    if is_told:
        return
    language = follow(inbound.text, now=conversation.language, known=profile.languages)
    phrases = Phrases(profile.language_for(language), "text")
    text = phrases.say("opted_out", name=profile.name)
    await store.queue(session, conversation, text, purpose=Purpose.NOTICE, now=inbound.now)
