"""What we answer to Twilio's webhooks about a call. Form fields in, TwiML out; no web, no sockets.

The lead is written down before anything is answered. `after` alone decides what follows a stream:
verbs behind a <Connect> that has an `action` never run (Twilio: twiml/connect).
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import structlog

from ivr import conversations, tenants
from ivr.admission import Refusal
from ivr.agent.phrases import Phrases
from ivr.costs import budget, usage
from ivr.db import Database
from ivr.db.tables import Channel, Conversation, Tenant, TenantStatus, utc_now
from ivr.errors import BadRequest
from ivr.leads import intake
from ivr.leads.attention import staff, tasks
from ivr.leads.intake import Enquiry
from ivr.leads.profile import Profile
from ivr.leads.profile.tenant_profile import now_open, own
from ivr.runtime import State
from ivr.vendors.twilio import TERMINAL
from ivr.voice import bill, gather, line, stream_token, transfer, twiml
from ivr.voice.commands import INTERRUPTED, LOST_STREAM, EndReason
from ivr.voice.gather import GatherDialogue, Reply

STREAM_PATH = "/twilio/voice/stream"
AFTER_PATH = "/twilio/voice/after"
COLLECT_PATH = "/twilio/voice-ivr/collect"
PAUSED = "called while the business was paused"

# What a new stream can mend: it was not the model's fault, and the caller did not want to go.
RESUMED = frozenset({EndReason.SERVER_STOPPED, EndReason.INTERNAL_ERROR, *LOST_STREAM})
# In one call. A call that brings our process down, or a line that keeps breaking, ends up in the
# dialogue without a model after three attempts, however fast they come.
MOST_STREAMS = 4
# Twilio asks `after` as soon as our socket closes, while its reason is still being committed.
_REASON_SECONDS = 3.0
_REASON_POLL_SECONDS = 0.05

log = structlog.get_logger(__name__)

Form = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reception:
    """Answers webhooks; `base_url` is our public origin, `token` names the request, also again.

    `again_url` asks the same once more; None when that has been done often enough.
    """

    state: State
    base_url: str
    token: str = ""
    again_url: str | None = None
    now: Callable[[], datetime] = utc_now

    async def ring(self, form: Form) -> str:
        """Write the lead down and connect the call to the voice, or to the keypad road."""
        tenant, conversation = await self._begin(form)
        if conversation.line_closed_at is not None:  # its status has overtaken this
            return twiml.hangup()
        if tenant.status != TenantStatus.ACTIVE:
            return await self._note_paused(conversation)
        profile = self._profile(tenant)
        live = self.state["live"]
        if live.is_draining and self.again_url is not None:
            await self._keep(conversation)
            return twiml.hold(self.again_url)  # who comes after us takes it
        if self.state["voice"] is None or live.is_draining:
            log.warning("no voice for this call", call_sid=conversation.session_key)
            return await self._open_gather(tenant, profile, conversation)
        if not await self._may_spend(tenant, conversation):
            log.warning("the budget is spent", call_sid=conversation.session_key)
            return await self._open_gather(tenant, profile, conversation)
        if gather.is_turned_away(conversation):  # the same request again
            return await self._open_gather(tenant, profile, conversation)
        if (refusal := live.offer(conversation.session_key)) is not None:
            conversation = await self._turn_away(conversation, refusal)
            return await self._open_gather(tenant, profile, conversation)
        return self._connect(conversation)

    async def after(self, form: Form) -> str:
        """Decide what follows a stream, or a transfer: hang-up, a person, or the call goes on."""
        if "DialCallStatus" in form:
            return await self._after_transfer(form)
        tenant, conversation = await self._begin(form)
        self.state["live"].asked(conversation.session_key)
        if form.get("CallStatus") in TERMINAL or conversation.line_closed_at is not None:
            await self._line_closed(conversation, form)
            return twiml.hangup()
        profile = self._profile(tenant)
        reason = await self._await_reason(conversation)
        if reason in INTERRUPTED or _is_stranded(form, reason):
            return await self._go_on(tenant, profile, conversation, reason)
        # Who was told that they are put through is, though the hours have ended meanwhile.
        return await self._leave(own(self.state["profiles"], tenant), conversation, reason)

    async def status(self, form: Form) -> None:
        """Finish the conversation of a call that is over; repeats are harmless.

        A call that nobody knows is written down now: the database was away when it rang.
        """
        if form.get("CallStatus") not in TERMINAL:
            return
        self.state["live"].withdraw(_required(form, "CallSid"))
        _, conversation = await self._begin(form)
        await self._line_closed(conversation, form)

    async def gather(self, form: Form) -> str:
        """Begin, or take up again, the conversation without a model."""
        tenant, conversation = await self._begin(form)
        if tenant.status != TenantStatus.ACTIVE and not gather.is_under_way(conversation):
            return await self._note_paused(conversation)
        return await self._open_gather(tenant, self._profile(tenant), conversation)

    async def collect(self, form: Form) -> str:
        """Take one answer, spoken or keyed, and ask the next question."""
        tenant, conversation = await self._begin(form)
        profile = self._profile(tenant)
        if self._is_too_long(conversation):
            return await self._say(profile, conversation, Reply(profile.closing, EndReason.LENGTH))
        dialogue = self._dialogue(tenant, profile, conversation)
        digits = form.get("Digits", "")
        answer = digits or form.get("SpeechResult", "")
        reply = await dialogue.hear(answer, keyed=bool(digits), token=self.token)
        return await self._say(profile, conversation, reply)

    def _profile(self, tenant: Tenant) -> Profile:
        """Return the tenant's profile as it is at this moment."""
        return now_open(own(self.state["profiles"], tenant), tenant, self.now())

    async def _note_paused(self, conversation: Conversation) -> str:
        """Have the caller of a paused business called back; nobody answers."""
        now = self.now()
        async with self._db(conversation).write() as session:
            row = await conversations.by_id(session, conversation.id)
            await tasks.ask_call_back(session, row, PAUSED, now=now)
            await conversations.call_over(session, row.id, reason="paused", now=now)
            await line.expect_end(session, row.id, by=now + line.HANG_UP_TIME)
        return twiml.busy()

    async def _begin(self, form: Form) -> tuple[Tenant, Conversation]:
        """Return the tenant and the conversation of a call, written down now if they were not."""
        now = self.now()
        called = form.get("To")
        async with self.state["db"].read() as session:
            tenant = await tenants.by_call(session, _required(form, "CallSid"), called)
        enquiry = Enquiry(
            channel=Channel.VOICE,
            provider="twilio",
            session_key=_required(form, "CallSid"),
            caller=intake.caller_number(form.get("From")),
            called=called,
            finish_after=now + self._grace,
            now=now,
            payload=form,
        )
        profile = own(self.state["profiles"], tenant)
        db = self.state["db"].for_tenant(tenant.id)
        on_duty = staff.on_duty(tenant, profile, self.state["settings"])
        return tenant, await intake.begin(db, tenant, profile, enquiry, staff=on_duty)

    async def _go_on(
        self, tenant: Tenant, profile: Profile, conversation: Conversation, reason: str
    ) -> str:
        """Give the caller of an interrupted call a new stream, or the dialogue without a model.

        Who was handed to that dialogue stays there; so does whose model failed, for the call has
        tried again by itself.
        """
        if self._is_too_long(conversation):
            return await self._say(profile, conversation, Reply(profile.closing, EndReason.LENGTH))
        if not self._may_resume(conversation, reason):
            return await self._open_gather(tenant, profile, conversation)
        await self._keep(conversation)
        if self.state["live"].is_draining:
            return twiml.hold(f"{self.base_url}{AFTER_PATH}")  # who comes after us takes it up
        if not await self._offer_again(conversation):
            return await self._open_gather(tenant, profile, conversation)
        log.info("call goes on in a new stream", call_sid=conversation.session_key, after=reason)
        return self._connect(conversation)

    def _may_resume(self, conversation: Conversation, reason: str) -> bool:
        return (
            (reason in RESUMED or reason == EndReason.TRANSFER)
            and self.state["voice"] is not None
            and conversation.streams < MOST_STREAMS
            and not gather.is_under_way(conversation)
        )

    async def _turn_away(self, conversation: Conversation, refusal: Refusal) -> Conversation:
        """Have the caller called back, before anything is said; ask them for little."""
        log.warning("caller turned away", call_sid=conversation.session_key, why=str(refusal))
        async with self._db(conversation).write() as session:
            row = await conversations.by_id(session, conversation.id)
            await tasks.ask_call_back(session, row, f"all lines busy ({refusal})", now=self.now())
            gather.turn_away(row)
            return row

    async def _after_transfer(self, form: Form) -> str:
        """Return what follows a transfer (Twilio: twiml/dial, DialCallStatus)."""
        tenant, conversation = await self._begin(form)
        # Not the profile of this moment: the hours may have ended while they spoke.
        dialled = own(self.state["profiles"], tenant)
        async with self._db(conversation).write() as session:
            used = bill.of_transfer(conversation, form, dialled.transfer_number)
            await usage.note(session, tenant.id, conversation.id, [used], now=self.now())
            row = await conversations.by_id(session, conversation.id)
            if is_taken := transfer.is_taken(row, dialled, form):
                leg = form.get("DialCallSid", "")
                await transfer.picked_up(session, row, leg=leg, now=self.now())
                await transfer.over(session, conversation.id, now=self.now())
        if is_taken:
            return twiml.hangup()
        if form.get("CallStatus") in TERMINAL or conversation.line_closed_at is not None:
            await self._line_closed(conversation, form)
            return twiml.hangup()
        profile = self._profile(tenant)
        async with self.state["db"].for_tenant(tenant.id).write() as session:
            goes_on = await transfer.nobody_picked_up(
                session,
                conversation.id,
                profile,
                staff.on_duty(tenant, profile, self.state["settings"]),
                request=form.get("DialCallSid") or self.token,
                now=self.now(),
            )
        self.state["outbox"].poke()
        if goes_on is None:
            words = Phrases(profile.languages[0], "voice").say("nobody_there")
            return twiml.say_and_hangup(words, language=profile.language)
        return await self._go_on(tenant, profile, goes_on, EndReason.TRANSFER)

    async def _may_spend(self, tenant: Tenant, conversation: Conversation) -> bool:
        """Return whether the voice may answer: this machine's own costs nothing.

        A call under way is brought to its end, whatever it costs.
        """
        voice = self.state["voice"]
        if voice is None or voice.is_offline or conversation.streams:
            return True
        return await budget.may_spend(self._db(conversation), tenant, self.now())

    def _db(self, conversation: Conversation) -> Database:
        return self.state["db"].for_tenant(conversation.tenant_id)

    async def _keep(self, conversation: Conversation) -> None:
        """Let nobody finish the conversation while the call is on its way."""
        async with self._db(conversation).write() as session:
            await conversations.continue_until(session, conversation.id, self.now() + self._grace)

    async def _offer_again(self, conversation: Conversation) -> bool:
        """Keep a place for the call's next stream; False when nobody has come to it before."""
        async with self._db(conversation).write() as session:
            if not await conversations.stream_offered(session, conversation.id, request=self.token):
                return False
        return self.state["live"].offer(conversation.session_key, comes_back=True) is None

    def _connect(self, conversation: Conversation) -> str:
        host = urlsplit(self.base_url).netloc
        return twiml.connect_stream(
            f"wss://{host}{STREAM_PATH}",
            stream_token.issue(self.state["secret_key"], conversation),
            f"{self.base_url}{AFTER_PATH}",
        )

    async def _await_reason(self, conversation: Conversation) -> str:
        """Return why the stream ended, as its carrier notes it; a dead one has lost it."""
        deadline = asyncio.get_running_loop().time() + _REASON_SECONDS
        await self.state["live"].left(conversation.session_key, seconds=_REASON_SECONDS)
        while True:
            async with self._db(conversation).read() as session:
                row = await conversations.by_id(session, conversation.id)
            if row.end_reason is not None:
                return row.end_reason
            is_late = asyncio.get_running_loop().time() >= deadline
            if not row.streaming or await self._is_carrier_gone(row, is_late=is_late):
                return await self._stream_lost(row)
            await asyncio.sleep(_REASON_POLL_SECONDS)

    async def _is_carrier_gone(self, row: Conversation, *, is_late: bool) -> bool:
        """Whether nobody is left to note why the stream ended, or takes too long to."""
        if row.session_key in self.state["live"]:
            return False
        if row.carried_by == self.state["road"].executor_id or is_late:
            return True
        return row.carried_by is not None and not await self.state["road"].carried_elsewhere(
            [row], now=self.now()
        )

    async def _stream_lost(self, row: Conversation) -> str:
        """Note that the stream is lost; return why, or what its carrier noted just before."""
        async with self._db(row).write() as session:
            await conversations.stream_lost(
                session, row.id, stream=row.streams, reason=EndReason.SERVER_STOPPED
            )
            reason = (await conversations.by_id(session, row.id)).end_reason
        reason = reason or EndReason.SERVER_STOPPED
        if reason == EndReason.SERVER_STOPPED:
            log.warning("stream lost with its process", call_sid=row.session_key)
        return reason

    async def _open_gather(
        self, tenant: Tenant, profile: Profile, conversation: Conversation
    ) -> str:
        reply = await self._dialogue(tenant, profile, conversation).open(token=self.token)
        return await self._say(profile, conversation, reply)

    def _dialogue(
        self, tenant: Tenant, profile: Profile, conversation: Conversation
    ) -> GatherDialogue:
        zone = ZoneInfo(tenant.timezone)
        return GatherDialogue(
            self._db(conversation),
            profile,
            conversation,
            zone=zone,
            now=self.now(),
        )

    async def _say(self, profile: Profile, conversation: Conversation, reply: Reply) -> str:
        if reply.ends is None:
            return twiml.gather(
                reply.say, f"{self.base_url}{COLLECT_PATH}", language=profile.language
            )
        log.info("=== GOODBYE MESSAGE DETECTED - CALL COMPLETE ===", reason=reply.ends)
        return await self._leave(profile, conversation, reply.ends, say=reply.say)

    async def _leave(
        self, profile: Profile, conversation: Conversation, reason: str, *, say: str | None = None
    ) -> str:
        """Finish the conversation; return what becomes of the caller: a person, or the hang-up."""
        if reason == EndReason.TRANSFER and profile.transfer_number:
            return await self._put_through(profile, conversation, profile.transfer_number, say=say)
        now = self.now()
        async with self._db(conversation).write() as session:
            await conversations.call_over(session, conversation.id, reason=reason, now=now)
            await line.expect_end(session, conversation.id, by=now + line.HANG_UP_TIME)
        return twiml.say_and_hangup(say, language=profile.language) if say else twiml.hangup()

    async def _put_through(
        self, profile: Profile, conversation: Conversation, number: str, *, say: str | None
    ) -> str:
        async with self._db(conversation).write() as session:
            await transfer.begin(session, conversation, now=self.now(), grace=self._grace)
        return twiml.dial(
            number,
            action_url=f"{self.base_url}{AFTER_PATH}",
            whisper_url=transfer.whisper_url(self.base_url, conversation, profile),
            say=say,
            language=profile.language,
        )

    async def _line_closed(self, conversation: Conversation, form: Form) -> None:
        longest = timedelta(seconds=self.state["settings"].max_call_seconds)
        async with self._db(conversation).write() as session:
            await line.closed(session, conversation, form, now=self.now(), longest=longest)
            if conversation.end_reason == EndReason.TRANSFER:
                await transfer.hung_up(session, conversation, form, now=self.now())

    def _is_too_long(self, conversation: Conversation) -> bool:
        seconds = (self.now() - conversation.started_at).total_seconds()
        return seconds > self.state["settings"].max_call_seconds

    @property
    def _grace(self) -> timedelta:
        return timedelta(seconds=self.state["settings"].episode_grace_seconds)


def _is_stranded(form: Form, reason: str) -> bool:
    """Whether only the stream was lost, and the caller is still on the line."""
    return reason in LOST_STREAM and form.get("CallStatus") == "in-progress"


def _required(form: Form, name: str) -> str:
    value = form.get(name)
    if not value:
        raise BadRequest(f"{name}: expected, as Twilio sends it with every voice webhook")
    return value
