"""Works out the assistant's answers of one conversation: claim, reply, settle.

A claim is a lease in the conversation's row: of all processes one at a time works on it. What the
contact said is written into the transcript when its answering begins; so what comes meanwhile
stands behind the answer. On channels that answer by message all that waits gets one answer.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import structlog
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import conversations
from ivr.agent import escalation, text_turn
from ivr.agent.text_assistant import TextAssistant, TextReply
from ivr.channels import answers, case, lease
from ivr.channels.batch import Batch, Decision, Handover, Settled
from ivr.channels.first_word import FirstWord
from ivr.channels.inbound import Answer
from ivr.channels.lease import LEASE
from ivr.costs import budget, usage
from ivr.db import Database
from ivr.db.engine import despite_races, patiently
from ivr.db.tables import (
    Channel,
    Conversation,
    ConversationStatus,
    Escalation,
    FieldValue,
    InboundEvent,
    Lead,
    Purpose,
    Tenant,
    TenantStatus,
    Trigger,
    utc_now,
)
from ivr.errors import DatabaseDown
from ivr.leads import values
from ivr.leads.attention import escalations, staff, tasks
from ivr.leads.delivery.handover import profile_named
from ivr.leads.people import identity
from ivr.leads.people.person import tells_who
from ivr.leads.profile.tenant_profile import now_open
from ivr.messages import store
from ivr.runtime import State

REPLY_SECONDS = 30.0  # less than the lease
# A contact who has told everything, and was asked for more, need not say goodbye.
COMPLETE_SILENCE = timedelta(minutes=15)
NEAR = timedelta(minutes=1)
BROKEN = "the assistant could not answer what was written"
SILENCE = TextReply(text="", by="rules")
# These are so of the whole conversation: once a person has given it back they stay true.
_ONCE = frozenset({Trigger.LONG, Trigger.HIGH_VALUE})

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Clerk:
    """Answers conversations for one process; `held` are the leases that it has right now."""

    state: State
    held: dict[uuid.UUID, datetime]
    clock: Callable[[], datetime] = utc_now

    async def work(self, conversation_id: uuid.UUID) -> dict[int, Answer]:
        """Answer all that waits, unless somebody else is at it; return the answers by event."""
        given: dict[int, Answer] = {}
        while (batch := await self._claim(conversation_id)) is not None:
            decision = await self._decide(batch)
            await self._identify(batch, decision)
            settled = await patiently(partial(self._settle, batch, decision), seconds=REPLY_SECONDS)
            self.held.pop(conversation_id, None)
            if settled is None:
                break
            given |= {event.id: settled.answer for event in batch.events if event.id is not None}
            if settled.writes:
                self.state["outbox"].poke()
            if not settled.more:
                break
        return given

    async def release(self) -> None:
        """Give up what was claimed: somebody else need not wait for the leases' end."""
        async with self.state["db"].write() as session:
            for conversation_id, until in self.held.items():
                await lease.give_up(session, conversation_id, until)

    def _db(self, batch: Batch) -> Database:
        return self.state["db"].for_tenant(batch.tenant.id)

    # --- claim

    async def _claim(self, conversation_id: uuid.UUID) -> Batch | None:
        now = self.clock()
        until = now + LEASE
        async with self.state["db"].write() as session:
            conversation = await lease.take(session, conversation_id, until, now=now)
            if conversation is None:
                return None
            batch = await self._batch(session, conversation, until)
            if batch is None:
                await lease.give_up(session, conversation_id, until)
                return None
        self.held[conversation_id] = until
        return batch

    async def _batch(
        self, session: AsyncSession, conversation: Conversation, until: datetime
    ) -> Batch | None:
        query = answers.unanswered(conversation)
        if conversation.channel not in Channel.by_message():
            query = query.limit(1)
        events = (await session.exec(query)).all()
        if not events:
            return None
        for event in events:
            await answers.write_turn(session, conversation, event)
        count = answers.count_of_turns(conversation).scalar_subquery()
        whose = select(Tenant, Lead.profile, count).join(Lead, col(Lead.tenant_id) == Tenant.id)
        whose = whose.where(Lead.id == conversation.lead_id)
        tenant, profile, exchanges = (await session.exec(whose)).one()
        return Batch(
            lease=until,
            tenant=tenant,
            profile=now_open(
                profile_named(self.state["profiles"], tenant, profile), tenant, self.clock()
            ),
            conversation=conversation,
            events=tuple(events),
            exchanges=exchanges,
            turn=await text_turn.read_in(session, conversation),
        )

    # --- reply

    async def _decide(self, batch: Batch) -> Decision:
        """Return what to say, and why a person is to take over; raises only `DatabaseDown`."""
        if batch.is_silent:
            return Decision(SILENCE)
        if (handover := await self._rule(batch)) is not None:  # no model is needed for that
            return Decision(_own_words(batch, batch.to_person), handover)
        may_spend = await budget.may_spend(self._db(batch), batch.tenant, self.clock())
        assistant = self._assistant(batch, may_spend=may_spend)
        try:
            async with asyncio.timeout(REPLY_SECONDS):
                reply = await assistant.reply(batch.conversation, batch.turn)
        except DatabaseDown:
            raise
        except Exception:  # whatever broke, the contact gets a word and a person gets the task
            log.exception("no answer", conversation_id=str(batch.conversation.id))
            broken = _own_words(batch, batch.phrases.say("later"))
            return Decision(broken, is_broken=True, used=assistant.bill.rows())
        handover = await self._handover(batch, reply)
        return Decision(reply, handover, used=assistant.bill.rows())

    def _assistant(self, batch: Batch, *, may_spend: bool) -> TextAssistant:
        return TextAssistant(
            self._db(batch),
            batch.profile,
            self.state["text_models"],
            self.state["settings"],
            zone=ZoneInfo(batch.tenant.timezone),
            now=self.clock(),
            may_spend=may_spend,
        )

    async def _handover(self, batch: Batch, reply: TextReply) -> Handover | None:
        if reply.escalate is not None:
            return reply.escalate, reply.reason
        worth = None
        if batch.profile.escalation.high_value is not None:
            async with self._db(batch).read() as session:
                held = await values.current(session, batch.conversation.lead_id)
            worth = _worth(held.values(), escalation.value_currency(batch.profile))
        return await self._rule(batch, confidence=reply.confidence, value=worth)

    async def _rule(
        self, batch: Batch, *, confidence: float | None = None, value: int | None = None
    ) -> Handover | None:
        found = escalation.trigger(
            batch.profile,
            text=batch.text,
            exchanges=batch.exchanges,
            confidence=confidence,
            value=value,
        )
        if found is None or found[0] not in _ONCE:
            return found
        async with self._db(batch).read() as session:
            return None if found[0] in await _raised(session, batch.conversation) else found

    # --- settle

    async def _identify(self, batch: Batch, decision: Decision) -> None:
        """Find out whether what was said tells who it is: that may join two leads into one."""
        told = batch.told | decision.reply.told
        if not decision.is_broken and not tells_who(batch.profile, told):
            return
        try:
            await despite_races(lambda: self._settle_who(batch))
        except DatabaseDown:
            raise
        except (
            Exception
        ):  # it is tried again with the next one that tells who, and when the road ends
            log.exception("identity not settled", conversation_id=str(batch.conversation.id))

    async def _settle_who(self, batch: Batch) -> None:
        async with self._db(batch).write() as session:
            await identity.settle(session, batch.conversation, batch.profile, now=self.clock())

    async def _settle(self, batch: Batch, decision: Decision) -> Settled | None:
        """Commit the answer; None when the lease ran out and somebody else was faster."""
        now = self.clock()
        async with self._db(batch).write() as session:
            whose = batch.tenant.id, batch.conversation.id
            is_new = await usage.note(session, *whose, decision.used, now=now)
            conversation = await lease.lay_down(session, batch.conversation.id, batch.lease)
            if conversation is None:
                log.warning("answered elsewhere", conversation_id=str(batch.conversation.id))
                return None
            if conversation.assistant_paused:  # a person took it while the answer was worked out
                reply = replace(SILENCE, usage=decision.reply.usage)
                decision = Decision(reply, used=decision.used)
            if is_new:
                conversations.add_usage(conversation, decision.reply.usage)
            return await self._write(session, batch, conversation, decision, now=now)

    async def _write(
        self,
        session: AsyncSession,
        batch: Batch,
        conversation: Conversation,
        decision: Decision,
        *,
        now: datetime,
    ) -> Settled:
        reply = decision.reply
        conversation.state = {**conversation.state, **reply.state}
        conversation.language = reply.language or conversation.language
        text = decision.words(batch) or _instead(batch)
        if batch.tenant.status != TenantStatus.ACTIVE:
            await tasks.ask_write_back(session, conversation, case.PAUSED, now=now)
        is_asked = await self._ask_by_message(session, batch, conversation, now=now)
        if is_asked:
            text = batch.phrases.say("asked_by_message")
        is_sent = bool(text) and self._goes_by_message(conversation)
        if text:
            turn = await answers.write_reply(session, conversation, batch.events[-1], text, now=now)
            if is_sent:
                await store.queue(
                    session, conversation, text, purpose=Purpose.REPLY, turn=turn, now=now
                )
        if decision.handover is not None or decision.is_broken:
            await self._hand_over(session, batch, conversation, decision, now=now)
            await session.flush()
            await session.refresh(conversation)
        rows = await values.history(session, conversation.lead_id)
        answer = await answers.give(
            session,
            batch.profile,
            conversation,
            batch.events,
            text,
            rows=rows,
            turn_count=batch.exchanges,
            now=now,
        )
        more = await _waits(session, conversation)
        if not more:
            await self._time_its_end(session, batch, conversation, reply, rows, now=now)
        return Settled(answer, more, writes=is_asked or is_sent or decision.handover is not None)

    def _goes_by_message(self, conversation: Conversation) -> bool:
        """Return whether it can: there is an account, and who wrote has a number (not "ACME")."""
        is_possible = self.state["twilio"] is not None and conversation.from_number is not None
        return is_possible and conversation.channel in Channel.by_message()

    async def _ask_by_message(
        self, session: AsyncSession, batch: Batch, conversation: Conversation, *, now: datetime
    ) -> bool:
        """Ask for what a form lacks by SMS, if its sender allowed that; return whether we did."""
        allowed = batch.events[-1].payload["sent"].get("consent") is True
        if conversation.channel != Channel.WEB_FORM or not allowed or batch.is_silent:
            return False
        first_word = FirstWord(
            batch.tenant, batch.profile, self._silence, self.state["twilio"] is not None, now
        )
        return bool(await first_word.after_form(session, conversation))

    @property
    def _silence(self) -> timedelta:
        return timedelta(hours=self.state["settings"].text_silence_hours)

    async def _hand_over(
        self,
        session: AsyncSession,
        batch: Batch,
        conversation: Conversation,
        decision: Decision,
        *,
        now: datetime,
    ) -> None:
        if decision.is_broken:
            await tasks.ask_call_back(session, conversation, BROKEN, now=now)
        if decision.handover is None:
            return
        why, reason = decision.handover
        await escalations.open_for(
            session,
            conversation,
            why,
            reason,
            now=now,
            profile=batch.profile,
            staff=staff.on_duty(batch.tenant, batch.profile, self.state["settings"]),
        )

    async def _time_its_end(
        self,
        session: AsyncSession,
        batch: Batch,
        conversation: Conversation,
        reply: TextReply,
        rows: Sequence[FieldValue],
        *,
        now: datetime,
    ) -> None:
        """Have the road finish the conversation now, soon, or when the contact falls silent."""
        if reply.ends or conversation.channel == Channel.WEB_FORM:
            reason = reply.ends or "complete"
            await conversations.call_over(session, conversation.id, now=now, reason=reason)
            return
        if conversation.end_reason == conversations.OPTED_OUT:  # while this was worked out
            return
        silence = self._silence
        known = values.told(values.choose(rows))
        if all(field.key in known for field in batch.profile.required):
            silence = min(silence, COMPLETE_SILENCE)
        if not _is_kept_open(conversation, now + silence):
            await conversations.continue_until(session, conversation.id, now + silence)


async def _waits(session: AsyncSession, conversation: Conversation) -> bool:
    """Return whether the contact has said more meanwhile."""
    await session.flush()
    query = select(InboundEvent.id).where(
        col(InboundEvent.answered_at).is_(None), InboundEvent.conversation_id == conversation.id
    )
    return (await session.exec(query.limit(1))).first() is not None


def _own_words(batch: Batch, text: str) -> TextReply:
    """Return what is said with no assistant, in the language that the contact is known to speak."""
    return TextReply(text=text, by="rules", language=batch.turn.language)


def _instead(batch: Batch) -> str:
    """Return what is said where there was nothing to answer: a form without a message."""
    is_form = batch.conversation.channel == Channel.WEB_FORM
    is_told = is_form and not batch.text and not batch.is_silent
    return batch.phrases.say("later") if is_told else ""


def _is_kept_open(conversation: Conversation, moment: datetime) -> bool:
    """Whether it rests about until `moment` anyway: so it was written when the message came in."""
    is_open = conversation.status == ConversationStatus.OPEN and conversation.ended_at is None
    until = conversation.finish_after
    return is_open and until is not None and abs(moment - until) < NEAR


async def _raised(session: AsyncSession, conversation: Conversation) -> frozenset[str]:
    """Return why this conversation was given to a person before."""
    query = select(Escalation.trigger).where(Escalation.conversation_id == conversation.id)
    return frozenset((await session.exec(query)).all())


def _worth(held: Iterable[FieldValue], currency: str) -> int | None:
    """Return the largest amount that the contact named in this currency, in minor units.

    What is named in another one is not compared: we know no rates.
    """
    named = [row.details for row in held if row.details.get("currency") == currency]
    return max((int(details["minor_units"]) for details in named), default=None)
