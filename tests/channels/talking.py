"""Has a talk of `tools.scenarios.written` through the real doors, and looks at what came out."""

import re
import uuid
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlmodel import update
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ivr.db.tables import (
    ConsentEvent,
    Conversation,
    ConversationStatus,
    Escalation,
    FailedLead,
    InboundEvent,
    Lead,
    SucceededLead,
    Tenant,
)
from ivr.leads import values
from tests.channels.world import BUSINESS, World, world
from tests.leads.cast import rows, until
from tools.emulators import openai as model
from tools.emulators.openai import OpenAIEmulator, Say
from tools.emulators.serving import serve
from tools.emulators.twilio.texter import Texter
from tools.scenarios.written import Talk, Turn

_ARABIC = re.compile(r"[\u0621-\u064a]")
_ANY_HOUR = {"follow_up_first_hour": 0, "follow_up_last_hour": 24}


@dataclass(frozen=True, slots=True)
class Stage:
    """Where talks are had: a server with a model or without (`openai` is None)."""

    w: World
    openai: OpenAIEmulator | None


@asynccontextmanager
async def stage(url: str, *, by_model: bool, **more: Any) -> AsyncIterator[Stage]:
    """Open a server; the leads of all targets are taken."""
    async with AsyncExitStack() as stack:
        app = Starlette(routes=[Route("/leads", _take, methods=["POST"])])
        port = await stack.enter_async_context(serve(app))
        changes = {"target_webhook_url": f"http://127.0.0.1:{port}/leads"}
        openai = None
        if by_model:
            openai = await stack.enter_async_context(OpenAIEmulator())
            changes |= {"openai_api_key": openai.api_key, "openai_base_url": openai.base_url}
        w = await stack.enter_async_context(world(url, **changes, **_ANY_HOUR, **more))
        yield Stage(w, openai)


async def _take(request: Request) -> JSONResponse:
    return JSONResponse({"taken": (await request.json())["reference"]})


class Speaker:
    """The person of one talk, with a phone and a browser."""

    def __init__(self, at: Stage, talk: Talk) -> None:
        self._at, self._w = at, at.w
        self._talk = talk
        self._session_key = f"{talk.name}-{uuid.uuid4()}"
        self._phone = at.w.texter(talk.phone)
        self._whatsapp = at.w.texter(talk.phone, whatsapp=True)

    async def say_all(self) -> None:
        """Go through the talk, and look at every reply."""
        async with self._w.db.write() as session:
            await session.exec(update(Tenant).values(profile=self._talk.profile))
        if self._at.openai is not None:
            self._at.openai.steps.clear()  # of a talk that failed
        for number, turn in enumerate(self._talk.turns):
            self._prepare(turn)
            reply = await self._do(turn)
            _check_reply(f"{self._talk.name}, turn {number}", turn, reply)
            if self._at.openai is not None:
                assert not self._at.openai.steps, f"{self._talk.name}, turn {number}: left over"

    def _prepare(self, turn: Turn) -> None:
        """Have the model say its part."""
        if self._at.openai is None or not turn.assistant:
            return
        calls = [model.Call(call.name, call.arguments) for call in turn.calls]
        then = [model.Call(call.name, call.arguments) for call in turn.then_calls]
        if calls:
            self._at.openai.steps.append(Say(calls=tuple(calls)))
        self._at.openai.steps.append(Say(turn.assistant, tuple(then)))

    async def _do(self, turn: Turn) -> str:
        """Do it, and return what came back, wherever."""
        before = len(self._phone.received)
        if turn.door in ("sms", "whatsapp"):
            reply = await self._write(turn)
        else:
            reply = await self._post(turn)
        if turn.answer in ("text", "both"):
            await until(lambda: len(self._phone.received) > before)
            reply += "\n" + str(self._phone.received[-1]["body"])
        return reply

    async def _write(self, turn: Turn) -> str:
        texter: Texter = self._phone if turn.door == "sms" else self._whatsapp
        media = [(f"{self._w.twilio.api_base_url}/Media/ME1", kind) for kind in turn.media]
        if turn.answer == "reply":
            return await self._w.reply_to(texter, turn.says, media=media)
        await texter.text(turn.says, media=media)
        await until(self._is_all_answered)
        return ""

    async def _post(self, turn: Turn) -> str:
        path, body = _request(turn, self._talk.phone, self._session_key)
        response = await self._w.http.post(path, json=body)
        assert response.status_code == 200, response.text
        said = response.json()
        await until(self._is_all_over_finished)  # before anybody can have read the answer
        if turn.stage:
            assert said["stage"] == turn.stage, said
        return str(said.get("response") or "")

    async def _is_all_answered(self) -> bool:
        return all(event.answered_at for event in await rows(self._w.db, InboundEvent))

    async def _is_all_over_finished(self) -> bool:
        """Whether the road has been through what is over: people are slower than it is."""
        over = [it for it in await rows(self._w.db, Conversation) if it.ended_at is not None]
        return all(it.status == ConversationStatus.FINISHED for it in over)


def _request(turn: Turn, phone: str, session_key: str) -> tuple[str, dict[str, object]]:
    match turn.door:
        case "chat":
            return "/chat", {"message": turn.says, "session_id": session_key}
        case "live_chat":
            return "/webhooks/live-chat", {"message": turn.says, "session_id": session_key}
        case "web_form":
            return "/webhooks/web-form", {**turn.form, "event_id": session_key}
    return "/webhooks/missed-call", {"phone": phone, "called": BUSINESS, "id": session_key}


def _check_reply(where: str, turn: Turn, reply: str) -> None:
    assert bool(reply) == (turn.answer != "none"), f"{where}: {reply!r}"
    for words in turn.contains:
        assert words.casefold() in reply.casefold(), f"{where}: no {words!r} in {reply!r}"
    if turn.language:
        is_arabic = bool(_ARABIC.search(reply))
        assert is_arabic == (turn.language == "ar"), f"{where}: {reply!r}"


async def check_outcome(w: World, talk: Talk, before: Collection[uuid.UUID] = ()) -> None:
    """Look at all that the talk left in the database; `before`: older conversations."""
    expect = talk.expect
    mine = {it.id: it.lead_id for it in await rows(w.db, Conversation) if it.id not in before}
    assert len(mine) == expect.conversations
    (lead_id,) = set(mine.values())
    if expect.outcome == "succeeded":
        await until(lambda: _is_sent(w, mine))
    async with w.db.read() as session:
        lead = await session.get_one(Lead, lead_id)
        known = await values.known(session, lead_id)
    assert {key: known.get(key) for key in expect.lead} == expect.lead
    assert expect.stage in ("", lead.stage)
    await _check_sent(w, talk, mine)
    escalations = [row.trigger for row in await rows(w.db, Escalation) if row.lead_id == lead_id]
    assert escalations == ([expect.escalation] if expect.escalation else [])
    ledger = [row for row in await rows(w.db, ConsentEvent) if row.address == talk.phone]
    assert any(row.action == "revoked" for row in ledger) == expect.opted_out


async def _is_sent(w: World, mine: Collection[uuid.UUID]) -> bool:
    return any(row.session_id in mine for row in await rows(w.db, SucceededLead))


async def _check_sent(w: World, talk: Talk, mine: Collection[uuid.UUID]) -> None:
    """The lead is with the buyer once and whole, or not at all."""
    sent = [row.lead_data for row in await rows(w.db, SucceededLead) if row.session_id in mine]
    failed = [row for row in await rows(w.db, FailedLead) if row.session_id in mine]
    assert (len(sent), len(failed)) == (int(talk.expect.outcome == "succeeded"), 0)
    for lead_data in sent:
        assert talk.expect.lead.items() <= lead_data.items()
