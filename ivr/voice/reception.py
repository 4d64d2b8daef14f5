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
from ivr.conversations import ConversationStore
from ivr.db.tables import Channel, Conversation, Tenant, utc_now
from ivr.errors import BadRequest
from ivr.leads import intake
from ivr.leads.intake import Enquiry
from ivr.leads.profile import Profile
from ivr.runtime import State
from ivr.voice import stream_token, twiml
from ivr.voice.commands import INTERRUPTED, LOST_STREAM, EndReason
from ivr.voice.gather import GatherDialogue, Reply

STREAM_PATH = "/twilio/voice/stream"
AFTER_PATH = "/twilio/voice/after"
COLLECT_PATH = "/twilio/voice-ivr/collect"
NOBODY_THERE = "Sorry, nobody can take your call right now. We will call you back. Goodbye."

# Twilio: voice call resource, CallStatus values after which nothing follows
TERMINAL = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
# Twilio asks `after` as soon as our socket closes, while its reason is still being committed.
_REASON_SECONDS = 3.0
_REASON_POLL_SECONDS = 0.05

log = structlog.get_logger(__name__)

Form = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reception:
    """Answers webhooks; `base_url` is our public origin, `token` names the request, also again."""

    state: State
    base_url: str
    token: str = ""
    now: Callable[[], datetime] = utc_now

    async def ring(self, form: Form) -> str:
        """Write the lead down and connect the call to the voice, or to the keypad road."""
        tenant, conversation = await self._begin(form)
        profile = self.state["profiles"](tenant.profile)
        if self.state["voice"] is None or not self.state["live"].offer(conversation.session_key):
            log.warning("no voice for this call", call_sid=conversation.session_key)
            return await self._open_gather(tenant, profile, conversation)
        host = urlsplit(self.base_url).netloc
        return twiml.connect_stream(
            f"wss://{host}{STREAM_PATH}",
            stream_token.issue(self.state["secret_key"], conversation.id),
            f"{self.base_url}{AFTER_PATH}",
        )

    async def after(self, form: Form) -> str:
        """Decide what follows a stream, or a transfer: hang-up, a person, or the keypad road."""
        if "DialCallStatus" in form:
            return _after_transfer(form["DialCallStatus"])
        tenant, conversation = await self._begin(form)
        if form.get("CallStatus") in TERMINAL:
            await self._finish_now(conversation)
            return twiml.hangup()
        profile = self.state["profiles"](tenant.profile)
        reason = await self._reason(conversation) or await self._stream_lost(conversation)
        if reason in INTERRUPTED or _is_stranded(form, reason):
            return await self._open_gather(tenant, profile, conversation)
        await self._finish_now(conversation)
        if reason == EndReason.TRANSFER and profile.transfer_number:
            return twiml.dial(profile.transfer_number, action_url=f"{self.base_url}{AFTER_PATH}")
        return twiml.hangup()

    async def status(self, form: Form) -> None:
        """Finish the conversation of a call that is over; repeats are harmless."""
        if form.get("CallStatus") not in TERMINAL:
            return
        now = self.now()
        async with self.state["db"].write() as session:
            tenant = await tenants.by_called_number(session, form.get("To"))
            store = ConversationStore(session, tenant.id)
            conversation = await store.find(Channel.VOICE, _required(form, "CallSid"))
            if conversation is not None:
                await conversations.call_over(session, conversation.id, now=now)

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

    async def _reason(self, conversation: Conversation) -> str | None:
        """Return why the stream ended; None when nobody is left to tell, as after a crash."""
        deadline = asyncio.get_running_loop().time() + _REASON_SECONDS
        while True:
            async with self.state["db"].read() as session:
                row = await conversations.by_id(session, conversation.id)
            is_late = asyncio.get_running_loop().time() >= deadline
            is_ours = conversation.session_key in self.state["live"]
            if row.end_reason is not None or not row.streaming or (is_late and not is_ours):
                return row.end_reason
            await asyncio.sleep(_REASON_POLL_SECONDS)

    async def _stream_lost(self, conversation: Conversation) -> str:
        log.warning("stream lost with its process", call_sid=conversation.session_key)
        async with self.state["db"].write() as session:
            await conversations.stream_lost(
                session, conversation.id, reason=EndReason.SERVER_STOPPED
            )
        return EndReason.SERVER_STOPPED

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
        await self._finish_now(conversation, reason=reply.ends)
        if reply.ends == EndReason.TRANSFER and profile.transfer_number:
            return twiml.dial(
                profile.transfer_number,
                action_url=f"{self.base_url}{AFTER_PATH}",
                say=reply.say,
            )
        return twiml.say_and_hangup(reply.say, language=profile.language)

    async def _finish_now(self, conversation: Conversation, *, reason: str | None = None) -> None:
        async with self.state["db"].write() as session:
            await conversations.call_over(session, conversation.id, reason=reason, now=self.now())

    def _is_too_long(self, conversation: Conversation) -> bool:
        seconds = (self.now() - conversation.started_at).total_seconds()
        return seconds > self.state["settings"].max_call_seconds

    @property
    def _grace(self) -> timedelta:
        return timedelta(seconds=self.state["settings"].episode_grace_seconds)


def _is_stranded(form: Form, reason: str) -> bool:
    """Whether only the stream was lost, and the caller is still on the line."""
    return reason in LOST_STREAM and form.get("CallStatus") == "in-progress"


def _after_transfer(status: str) -> str:
    """Return what follows a transfer (Twilio: twiml/dial, DialCallStatus)."""
    if status in {"completed", "answered"}:
        return twiml.hangup()
    return twiml.say_and_hangup(NOBODY_THERE)


def _required(form: Form, name: str) -> str:
    value = form.get(name)
    if not value:
        raise BadRequest(f"{name}: expected, as Twilio sends it with every voice webhook")
    return value
