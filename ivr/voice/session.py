"""One call with a voice model, from an accepted stream to the note of how it ended.

It joins the bridge to the database: tools are run, turns are written behind the audio, and while
the stream is open the conversation's row says until when somebody looks after it.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import structlog

from ivr import conversations
from ivr.agent.cut_off import apology, nobody_free
from ivr.agent.goodbye import is_goodbye
from ivr.agent.instructions import first_words, voice_instructions
from ivr.agent.tool_output import ToolOutput
from ivr.agent.tool_schemas import voice_tools
from ivr.agent.toolbox import ToolBox
from ivr.conversations import Said
from ivr.costs import usage
from ivr.costs.usage import SoFar, Used
from ivr.db.engine import patiently
from ivr.db.tables import Conversation, Lead, Role, Tenant, Turn, utc_now
from ivr.leads.delivery.handover import profile_of
from ivr.leads.people import identity
from ivr.leads.profile import Profile
from ivr.leads.profile.tenant_profile import now_open
from ivr.runtime import State, VoiceModel
from ivr.settings import Settings
from ivr.turns import TurnWriter
from ivr.voice import bill, realtime, stream_net, transfer
from ivr.voice.bridge import Bridge, Outcome, Phone
from ivr.voice.call import Call
from ivr.voice.commands import EndReason, RecordTurn
from ivr.voice.model_socket import connect_model
from ivr.voice.script import Limits, Script

# How much of what was said a stream that takes a call up again is told.
_MOST_TURNS = 40
END_SECONDS = 30.0  # for which the end is written again while the database is down

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """What the database knows of a conversation when its stream opens."""

    tenant: Tenant
    profile: Profile
    values: dict[str, str]
    turns: Sequence[Turn]


class _Effects:
    """What the bridge may do to the world."""

    def __init__(self, tools: ToolBox, writer: TurnWriter, *, position: int, stream: int) -> None:
        self._tools = tools
        self._writer = writer
        self._position = position
        # A service may name its items as it did in the stream before.
        self._suffix = "" if stream == 1 else f"~stream{stream}"

    async def run_tool(self, name: str, arguments: str) -> ToolOutput:
        return await self._tools.run(name, arguments)

    def record(self, turn: RecordTurn) -> None:
        self._writer.put(
            Said(
                item_id=turn.item_id + self._suffix,
                position=self._position,
                role=Role(turn.role),
                text=turn.text,
                said_at=utc_now(),
                cut=turn.cut,
                heard_ms=turn.heard_ms,
            )
        )
        self._position += 1


async def carry(state: State, conversation: Conversation, stream_sid: str, phone: Phone) -> None:
    """Carry the call; its turns and the reason of its end are committed before this returns."""
    voice = state["voice"]
    assert voice is not None, "no stream is offered without a voice"
    known = await _known(state, conversation)
    zone = ZoneInfo(known.tenant.timezone)
    writer = TurnWriter(state["turns"], conversation)
    db = state["db"].for_tenant(conversation.tenant_id)
    bridge = Bridge(
        phone=phone,
        connect=partial(
            connect_model,
            voice.base_url,
            _model(voice, known.profile),
            voice.api_key,
            open_timeout_s=state["settings"].model_connect_seconds,
        ),
        call=Call(
            stream_sid,
            _script(state["settings"], known, conversation, zone),
            _time_left(limits(state["settings"]), conversation, utc_now()),
            time.monotonic(),
        ),
        effects=_Effects(
            ToolBox(db, known.profile, conversation, zone=zone),
            writer,
            position=known.turns[-1].position + 1 if known.turns else 0,
            stream=conversation.streams,
        ),
    )
    state["live"].attach(conversation.session_key, bridge)
    began = time.monotonic()
    try:
        with state["leases"].hold(conversation.id, bridge.line_closed):
            try:
                await _run(state, conversation, voice, bridge)
            finally:
                with anyio.CancelScope(shield=True):  # the server may be stopping
                    await writer.close()
    finally:
        with anyio.CancelScope(shield=True):  # the lead comes first
            lasted = time.monotonic() - began
            note = partial(_note_end, state, conversation, voice, bridge.outcome, lasted)
            await patiently(note, seconds=END_SECONDS)


async def _run(state: State, conversation: Conversation, voice: VoiceModel, bridge: Bridge) -> None:
    """Carry the call for as long as a call may last; what its models take is counted meanwhile."""
    transcribes = state["settings"].openai_transcribe_model

    def used() -> Sequence[Used]:
        if voice.is_offline:
            return ()
        return bill.of_stream(conversation, voice, bridge.usage, transcribe_model=transcribes)

    with stream_net.cut_off_when_overdue(
        bridge,
        started_at=conversation.started_at,
        now=utc_now(),
        longest_s=state["settings"].max_call_seconds,
    ):
        async with state["meter"].counts(conversation.tenant_id, conversation.id, used):
            await bridge.run()


def limits(settings: Settings) -> Limits:
    """Return the limits of a call as the settings have them."""
    return Limits(
        call_s=settings.max_call_seconds,
        silence_s=settings.silence_nudge_seconds,
        ready_s=settings.model_connect_seconds + 3,
        answer_s=settings.model_answer_seconds,
        session_s=settings.model_session_seconds,
    )


def _time_left(whole: Limits, conversation: Conversation, now: datetime) -> Limits:
    """Return the limits of a stream: the call's length counts from the ring."""
    spent_s = max((now - conversation.started_at).total_seconds(), 0)
    return replace(whole, call_s=max(whole.call_s - spent_s, 0))


def _model(voice: VoiceModel, profile: Profile) -> str:
    return f"{voice.model}/{voice.named(profile)}" if voice.is_offline else voice.model


async def _known(state: State, conversation: Conversation) -> Known:
    async with state["db"].for_tenant(conversation.tenant_id).read() as session:
        tenant = await session.get_one(Tenant, conversation.tenant_id)
        lead = await session.get_one(Lead, conversation.lead_id)
        return Known(
            tenant=tenant,
            profile=now_open(profile_of(state["profiles"], tenant, lead), tenant, utc_now()),
            values=await identity.known(session, conversation),
            turns=await conversations.transcript(session, conversation.id),
        )


def _script(settings: Settings, known: Known, conversation: Conversation, zone: ZoneInfo) -> Script:
    profile = known.profile
    is_reasoning = settings.openai_realtime_model.startswith("gpt-realtime-2")
    script = Script(
        session=realtime.session(
            instructions=voice_instructions(
                profile,
                caller_number=conversation.from_number,
                known=known.values,
                today=utc_now().astimezone(zone).date(),
            ),
            tools=voice_tools(profile),
            voice=settings.openai_voice,
            transcribe_model=settings.openai_transcribe_model,
            language=profile.language.partition("-")[0],
            reasoning_effort="low" if is_reasoning else None,
        ),
        greeting=first_words(profile, known.values),
        closing=profile.closing,
        is_goodbye=partial(is_goodbye, profile),
    )
    if conversation.streams < 2 or not known.turns:
        return script
    said = tuple((turn.role, turn.text) for turn in known.turns[-_MOST_TURNS:])
    is_back = transfer.is_back(conversation, stream=conversation.streams)
    first = nobody_free if is_back else apology
    return replace(script, history=said, apology=first(profile, known.values))


async def _note_end(
    state: State,
    conversation: Conversation,
    voice: VoiceModel,
    outcome: Outcome | None,
    lasted_s: float,
) -> None:
    now = utc_now()
    grace = timedelta(seconds=state["settings"].episode_grace_seconds)
    transcribes = state["settings"].openai_transcribe_model
    used: Sequence[Used] = ()
    if outcome is not None:
        used = bill.of_stream(conversation, voice, outcome.usage, transcribe_model=transcribes)
    async with state["db"].for_tenant(conversation.tenant_id).write() as session:
        whose = conversation.tenant_id, conversation.id
        carried = bill.of_media(conversation, lasted_s)
        is_new = await usage.note(session, *whose, [carried], now=now)
        await usage.note_so_far(session, [SoFar(*whose, used)], now=now)
        await conversations.stream_closed(
            session,
            conversation.id,
            stream=conversation.streams,
            reason=outcome.reason if outcome else EndReason.INTERNAL_ERROR,
            finish_after=now + grace,
            usage={"voice": _counts(voice, outcome)} if outcome and is_new else {},
            now=now,
        )


def _counts(voice: VoiceModel, outcome: Outcome) -> dict[str, Any]:
    return {
        "model": voice.model,
        **asdict(outcome.usage),
        "interruptions": outcome.interruptions,
        "unknown_messages": outcome.unknown,
    }
