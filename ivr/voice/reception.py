"""What we answer to Twilio's webhooks about a call. Form fields in, TwiML out; no web, no sockets.

The lead is written down before anything is answered. `after` alone decides what follows a stream:
verbs behind a <Connect> that has an `action` never run (Twilio: twiml/connect).
"""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import structlog

from ivr import conversations, tenants
from ivr.admission import Refusal
from ivr.db.tables import Channel, Conversation, Tenant, utc_now
from ivr.errors import BadRequest
from ivr.leads import intake, staff, tasks
from ivr.leads.intake import Enquiry
from ivr.leads.profile import Profile
from ivr.runtime import State
from ivr.vendors.twilio import TERMINAL
from ivr.voice import gather, line, stream_token, transfer, twiml
from ivr.voice.commands import INTERRUPTED, LOST_STREAM, EndReason
from ivr.voice.gather import GatherDialogue, Reply

STREAM_PATH = "/twilio/voice/stream"
AFTER_PATH = "/twilio/voice/after"
COLLECT_PATH = "/twilio/voice-ivr/collect"
NOBODY_THERE = "Sorry, nobody can take your call right now. We will call you back. Goodbye."

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
        profile = self.state["profiles"](tenant.profile)
        live = self.state["live"]
        if live.is_draining and self.again_url is not None:
            await self._keep(conversation)
            return twiml.hold(self.again_url)  # who comes after us takes it
        if self.state["voice"] is None or live.is_draining:
            log.warning("no voice for this call", call_sid=conversation.session_key)
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
            await self._line_closed(conversation)
            return twiml.hangup()
        profile = self.state["profiles"](tenant.profile)
        reason = await self._await_reason(conversation)
        if reason in INTERRUPTED or _is_stranded(form, reason):
            return await self._go_on(tenant, profile, conversation, reason)
        return await self._leave(profile, conversation, reason)

    async def status(self, form: Form) -> None:
        """Finish the conversation of a call that is over; repeats are harmless.

        A call that nobody knows is written down now: the database was away when it rang.
        """
        if form.get("CallStatus") not in TERMINAL:
            return
        self.state["live"].withdraw(_required(form, "CallSid"))
        _, conversation = await self._begin(form)
        await self._line_closed(conversation)

    async def gather(self, form: Form) -> str:
        """Begin, or take up again, the conversation without a model."""
        tenant, conversation = await self._begin(form)
        return await self._open_gather(tenant, self.state["profiles"](tenant.profile), conversation)

    async def collect(self, form: Form) -> str:
        """Take one answer, spoken or keyed, and ask the next question."""
        tenant, conversation = await self._begin(form)
        profile = self.state["profiles"](tenant.profile)
        if self._is_too_long(conversation):
            return await self._say(profile, conversation, Reply(profile.closing, EndReason.LENGTH))
        dialogue = self._dialogue(tenant, profile, conversation)
        digits = form.get("Digits", "")
        answer = digits or form.get("SpeechResult", "")
        reply = await dialogue.hear(answer, keyed=bool(digits), token=self.token)
        return await self._say(profile, conversation, reply)

    async def _begin(self, form: Form) -> tuple[Tenant, Conversation]:
        """Return the tenant and the conversation of a call, written down now if they were not."""
        now = self.now()
        called = form.get("To")
        async with self.state["db"].read() as session:
            tenant = await tenants.by_called_number(session, called)
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
        profile = self.state["profiles"](tenant.profile)
        return tenant, await intake.begin(self.state["db"], tenant, profile, enquiry)

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
        async with self.state["db"].write() as session:
            row = await conversations.by_id(session, conversation.id)
            await tasks.ask_call_back(session, row, f"all lines busy ({refusal})", now=self.now())
            gather.turn_away(row)
            return row

    async def whisper(self, conversation_id: uuid.UUID) -> str:
        """Tell whoever has picked up who is about to be connected, and why."""
        async with self.state["db"].write() as session:
            conversation = await conversations.by_id(session, conversation_id)
            tenant = await session.get_one(Tenant, conversation.tenant_id)
            profile = self.state["profiles"](tenant.profile)
            words = await transfer.picked_up(session, conversation, profile, now=self.now())
        return twiml.whisper(words, language=profile.language)

    async def _after_transfer(self, form: Form) -> str:
        """Return what follows a transfer (Twilio: twiml/dial, DialCallStatus)."""
        if form["DialCallStatus"] in transfer.ANSWERED:
            self.state["background"].start(self._transfer_over(form))
            return twiml.hangup()
        tenant, conversation = await self._begin(form)
        if form.get("CallStatus") in TERMINAL or conversation.line_closed_at is not None:
            await self._line_closed(conversation)
            return twiml.hangup()
        profile = self.state["profiles"](tenant.profile)
        async with self.state["db"].write() as session:
            goes_on = await transfer.nobody_picked_up(
                session,
                conversation.id,
                profile,
                staff.on_duty(profile, self.state["settings"]),
                request=self.token,
                now=self.now(),
            )
        self.state["outbox"].poke()
        if goes_on is None:
            return twiml.say_and_hangup(NOBODY_THERE, language=profile.language)
        return await self._go_on(tenant, profile, goes_on, EndReason.TRANSFER)

    async def _keep(self, conversation: Conversation) -> None:
        """Let nobody finish the conversation while the call is on its way."""
        async with self.state["db"].write() as session:
            await conversations.continue_until(session, conversation.id, self.now() + self._grace)

    async def _offer_again(self, conversation: Conversation) -> bool:
        """Keep a place for the call's next stream; False when nobody has come to it before."""
        async with self.state["db"].write() as session:
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
        while True:
            async with self.state["db"].read() as session:
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
        async with self.state["db"].write() as session:
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
        return GatherDialogue(self.state["db"], profile, conversation, zone=zone, now=self.now())

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
        async with self.state["db"].write() as session:
            await conversations.call_over(session, conversation.id, reason=reason, now=now)
            await line.expect_end(session, conversation.id, by=now + line.HANG_UP_TIME)
        return twiml.say_and_hangup(say, language=profile.language) if say else twiml.hangup()

    async def _put_through(
        self, profile: Profile, conversation: Conversation, number: str, *, say: str | None
    ) -> str:
        async with self.state["db"].write() as session:
            await transfer.begin(session, conversation, now=self.now(), grace=self._grace)
        return twiml.dial(
            number,
            action_url=f"{self.base_url}{AFTER_PATH}",
            whisper_url=transfer.whisper_url(self.base_url, conversation),
            say=say,
            language=profile.language,
        )

    async def _transfer_over(self, form: Form) -> None:
        _, conversation = await self._begin(form)
        async with self.state["db"].write() as session:
            await transfer.over(session, conversation.id, now=self.now())

    async def _line_closed(self, conversation: Conversation) -> None:
        async with self.state["db"].write() as session:
            await line.closed(session, conversation.id, now=self.now())
            if conversation.end_reason == EndReason.TRANSFER:
                await transfer.hung_up(session, conversation, now=self.now())

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
