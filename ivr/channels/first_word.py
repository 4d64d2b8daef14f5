"""We write first: to somebody whose call nobody took, or whose form lacks something.

It is written in the SMS conversation of the same lead, which goes on when they answer. Where we
may or can not write, a person is to call.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.agent.phrases import Phrases
from ivr.conversations import Said, next_position, write_turn
from ivr.db.tables import Channel, Conversation, Message, Purpose, Role, Tenant, TenantStatus
from ivr.leads import intake, values
from ivr.leads.attention import tasks
from ivr.leads.follow_up import ONCE_IN, how_to_stop, is_mobile
from ivr.leads.intake import Enquiry
from ivr.leads.profile import Profile
from ivr.leads.progress import stages
from ivr.messages import consent, store


@dataclass(frozen=True, slots=True)
class FirstWord:
    """The business, as it writes first; `can_send`: it has an account over which messages go."""

    tenant: Tenant
    profile: Profile
    silence: timedelta
    can_send: bool
    now: datetime

    async def after_missed_call(self, session: AsyncSession, conversation: Conversation) -> str:
        """Write to the caller; return what, "" when a person is to call instead."""
        text = await self._write(session, conversation, "missed")
        if not text:
            await tasks.ask_call_back(session, conversation, "a missed call", now=self.now)
        return text

    async def after_form(self, session: AsyncSession, conversation: Conversation) -> str:
        """Ask who sent a form for what it lacks; return what was written, "" if nothing was."""
        known = await values.known(session, conversation.lead_id)
        if all(field.key in known for field in self.profile.required):
            return ""
        return await self._write(session, conversation, "message_came")

    async def _write(self, session: AsyncSession, conversation: Conversation, opening: str) -> str:
        number = conversation.from_number
        if number is None or not await self._may_write(session, number):
            return ""
        by_sms = await self._conversation(session, conversation, number)
        if by_sms is None:
            return ""
        position = await next_position(session, by_sms.id)
        known = await values.known(session, conversation.lead_id)
        language = self.profile.language_for(conversation.language or by_sms.language)
        profile = self.profile.in_language(language)
        asks = [field.ask for field in profile.required if field.key not in known]
        stop = [] if position else [how_to_stop(language)]
        first = Phrases(language, "text").say(opening, name=profile.name)
        text = " ".join([first, *asks[:1], *stop])
        said = Said(
            item_id=f"first_{conversation.id}",
            position=position,
            role=Role.ASSISTANT,
            text=text,
            said_at=self.now,
        )
        await write_turn(session, by_sms, said)
        await store.queue(
            session, by_sms, text, purpose=Purpose.FOLLOW_UP, turn=said.item_id, now=self.now
        )
        by_sms.language = by_sms.language or conversation.language
        return text

    async def _conversation(
        self, session: AsyncSession, conversation: Conversation, number: str
    ) -> Conversation | None:
        enquiry = Enquiry(
            channel=Channel.SMS,
            session_key=number,
            caller=number,
            called=conversation.to_number,
            finish_after=self.now + self.silence,
            now=self.now,
        )
        lead = await stages.lock(session, conversation.lead_id)
        return await intake.go_on(session, self.tenant, self.profile, enquiry, lead)

    async def _may_write(self, session: AsyncSession, number: str) -> bool:
        is_active = self.tenant.status == TenantStatus.ACTIVE
        if not self.can_send or not is_active or not is_mobile(number):
            return False
        if await consent.is_revoked(session, self.tenant.id, number, Channel.SMS):
            return False
        query = select(Message.id).where(
            Message.tenant_id == self.tenant.id,
            Message.recipient == number,
            Message.purpose == Purpose.FOLLOW_UP,
            col(Message.created_at) > self.now - ONCE_IN,
        )
        return (await session.exec(query.limit(1))).first() is None
