"""One call with a voice model, from an accepted stream to the note of how it ended.

It joins the bridge to the database: tools are run, turns are written behind the audio, and while
the stream is open the conversation's row says until when somebody looks after it.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import structlog

from ivr import conversations
from ivr.agent.goodbye import is_goodbye
from ivr.agent.instructions import voice_instructions
from ivr.agent.tool_schemas import voice_tools
from ivr.agent.toolbox import ToolBox, ToolOutput
from ivr.conversations import Said, TurnWriter
from ivr.db.engine import patiently
from ivr.db.tables import Conversation, Lead, Role, Source, Tenant, utc_now
from ivr.errors import Unavailable
from ivr.leads import values
from ivr.leads.handover import profile_of
from ivr.leads.profile import Profile
from ivr.runtime import State, VoiceModel
from ivr.settings import Settings
from ivr.voice import gather, realtime
from ivr.voice.bridge import Bridge, Outcome, Phone, connect_model
from ivr.voice.call import Call
from ivr.voice.commands import EndReason, RecordTurn
from ivr.voice.prices import cost_usd
from ivr.voice.script import Limits, Script

# Until the end is written the row must not look abandoned; renewed well before that.
_LEASE_PARTS = 4
_REST_NET_SECONDS = 10.0
_END_SECONDS = 30.0  # for which the end is written again while the database is down

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """What the database knows of a conversation when its stream opens."""

    tenant: Tenant
    profile: Profile
    values: dict[str, str]
    next_position: int


class _Effects:
    """What the bridge may do to the world."""

    def __init__(self, tools: ToolBox, writer: TurnWriter, position: int) -> None:
        self._tools = tools
        self._writer = writer
        self._position = position

    async def run_tool(self, name: str, arguments: str) -> ToolOutput:
        return await self._tools.run(name, arguments)

    def record(self, turn: RecordTurn) -> None:
        self._writer.put(
            Said(
                item_id=turn.item_id,
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
    writer = TurnWriter(state["db"], conversation)
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
            limits(state["settings"]),
            time.monotonic(),
        ),
        effects=_Effects(
            ToolBox(state["db"], known.profile, conversation, zone=zone),
            writer,
            known.next_position,
        ),
    )
    try:
        async with _lease(state, conversation):
            try:
                await bridge.run()
            finally:
                with anyio.CancelScope(shield=True):  # the server may be stopping
                    await writer.close()
    finally:
        with anyio.CancelScope(shield=True):  # the lead comes first
            note = partial(_note_end, state, conversation, voice, bridge.outcome)
            await patiently(note, seconds=_END_SECONDS)


async def make_sure_hung_up(state: State, conversation: Conversation) -> None:
    """End the call over REST if Twilio has not asked what to do after our stream in time."""
    await asyncio.sleep(_REST_NET_SECONDS)
    async with state["db"].read() as session:
        row = await conversations.by_id(session, conversation.id)
    is_cared_for = row.ended_at is not None or row.streaming or gather.is_under_way(row)
    if state["twilio"] is None or is_cared_for:
        return
    try:
        await state["twilio"].hang_up(conversation.session_key)
    except Unavailable as exc:
        log.warning("call not ended over REST", problem=str(exc))


def limits(settings: Settings) -> Limits:
    """Return the limits of a call as the settings have them."""
    return Limits(
        call_s=settings.max_call_seconds,
        silence_s=settings.silence_nudge_seconds,
        ready_s=settings.model_connect_seconds + 3,
        answer_s=settings.model_answer_seconds,
    )


def _model(voice: VoiceModel, profile: Profile) -> str:
    return f"{voice.model}/{profile.key}" if voice.is_offline else voice.model


async def _known(state: State, conversation: Conversation) -> Known:
    async with state["db"].read() as session:
        tenant = await session.get_one(Tenant, conversation.tenant_id)
        lead = await session.get_one(Lead, conversation.lead_id)
        held = await values.current(session, lead.id)
        return Known(
            tenant=tenant,
            profile=profile_of(state["profiles"], tenant, lead),
            values={
                name: row.value
                for name, row in held.items()
                if row.value is not None and row.source != Source.CALLER_ID
            },
            next_position=await conversations.next_position(session, conversation.id),
        )


def _script(settings: Settings, known: Known, conversation: Conversation, zone: ZoneInfo) -> Script:
    profile = known.profile
    is_reasoning = settings.openai_realtime_model.startswith("gpt-realtime-2")
    return Script(
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
        greeting=f"{profile.greeting} {_first_question(profile, known.values)}".strip(),
        closing=profile.closing,
        is_goodbye=partial(is_goodbye, profile),
    )


def _first_question(profile: Profile, held: dict[str, str]) -> str:
    return next((field.ask for field in profile.required if field.key not in held), "")


@asynccontextmanager
async def _lease(state: State, conversation: Conversation) -> AsyncIterator[None]:
    """Keep the conversation's row from being finished while its stream is open."""
    grace = timedelta(seconds=state["settings"].episode_grace_seconds)

    async def renew_once() -> None:
        async with state["db"].write() as session:
            await conversations.continue_until(session, conversation.id, utc_now() + grace)

    async def renew() -> None:
        while True:
            try:
                await patiently(renew_once)
            except Exception:
                log.exception("lease not renewed", conversation_id=str(conversation.id))
            await asyncio.sleep(grace.total_seconds() / _LEASE_PARTS)

    task = asyncio.create_task(renew(), name=f"lease:{conversation.id}")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _note_end(
    state: State, conversation: Conversation, voice: VoiceModel, outcome: Outcome | None
) -> None:
    now = utc_now()
    grace = timedelta(seconds=state["settings"].episode_grace_seconds)
    async with state["db"].write() as session:
        await conversations.stream_closed(
            session,
            conversation.id,
            reason=outcome.reason if outcome else EndReason.INTERNAL_ERROR,
            finish_after=now + grace,
            usage={"voice": _usage(voice, outcome)} if outcome else {},
            now=now,
        )


def _usage(voice: VoiceModel, outcome: Outcome) -> dict[str, Any]:
    return {
        "model": voice.model,
        **asdict(outcome.usage),
        "interruptions": outcome.interruptions,
        "unknown_messages": outcome.unknown,
        "cost_usd": 0.0 if voice.is_offline else cost_usd(voice.model, outcome.usage),
    }
