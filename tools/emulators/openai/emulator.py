"""The emulated OpenAI on a loopback port: opens the door, checks who comes in, keeps the books.

One object per test: `async with OpenAIEmulator(load("john_doe"), speed=20) as openai:` serves
`WS /v1/realtime`, `POST /v1/chat/completions` and `GET /v1/models`. Leaving the block fails when a
client broke the protocol.
"""

import asyncio
import itertools
import json
import re
import time
from collections import deque
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, get_args
from urllib.parse import parse_qs

from openai.types.realtime.realtime_session_create_request import RealtimeSessionCreateRequest

from tools.emulators.openai.chat_script import Mind, Say
from tools.emulators.openai.conversation import Conversation
from tools.emulators.openai.event_log import EventLog
from tools.emulators.openai.faults import FaultCounter, Faults
from tools.emulators.openai.misconduct import Misconduct
from tools.emulators.openai.refusal import Refusal
from tools.emulators.openai.responses import Stage
from tools.emulators.openai.rest import Extraction, TextModel
from tools.emulators.openai.script import Script
from tools.emulators.openai.session import Session
from tools.emulators.openai.session_config import SessionConfig
from tools.emulators.openai.wire import Closed, Send, Wire
from tools.emulators.serving import serve
from tools.scenarios import Scenario
from tools.scenarios.retold import told_to

_MAX_AGE_S = 3600
_GENERATIONS = ("gpt-realtime",)


def _realtime_models() -> set[str]:
    """Return the models the SDK names for Realtime sessions, without the previews that are gone."""
    annotation = RealtimeSessionCreateRequest.model_fields["model"].annotation
    names = {name for member in get_args(annotation) for name in get_args(member)}
    return {name for name in names if name.startswith(_GENERATIONS)}


REALTIME_MODELS = _realtime_models()


class OpenAIEmulator:
    """The service; its audio is `pace` times faster than real time, `speed` shortens its waits.

    With `own_numbers` each caller of the scenario says the number that the prompt says is theirs.
    """

    def __init__(
        self,
        scenario: Scenario | None = None,
        *,
        speed: float = 1.0,
        pace: float = 5.0,
        delta_bytes: int = 3200,
        default_reply: str | None = "Okay.",
        api_key: str = "sk-emulated",
        allow_violations: bool = False,
        own_numbers: bool = False,
        port: int = 0,
    ) -> None:
        self.scenario = scenario
        self.api_key = api_key
        self.base_url = ""
        self.faults = Faults()
        self.sessions: list[Session] = []
        self.upgrades: list[int] = []  # the HTTP status of every attempt to open a session
        self.heard: list[str] = []  # what the next callers say, instead of the scenario's words
        self.allow_violations = allow_violations
        self.own_numbers = own_numbers
        # Played where the words are found in a prompt: of another business, of another caller.
        self.other_scenarios: list[tuple[re.Pattern[str], Scenario]] = []
        self._speed, self._pace, self._delta_bytes = speed, pace, delta_bytes
        self._default_reply = default_reply
        self._port = port
        self._misconduct = Misconduct()
        self._counter = FaultCounter()
        self._numbers = itertools.count(1)
        self._opened = EventLog()
        self._text_model = TextModel(self)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        port = await self._stack.enter_async_context(serve(self, port=self._port))
        self.base_url = f"http://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        for session in self.sessions:
            await session.close(1001, "going away")
        self._text_model.release()
        await self._stack.aclose()
        if kind is None and not self.allow_violations:
            self._misconduct.assert_clean()

    @property
    def violations(self) -> list[str]:
        """Everything the published protocol forbids and a client did."""
        return self._misconduct.violations

    @property
    def errors_sent(self) -> list[dict[str, Any]]:
        """The `error` objects of all Realtime errors that clients caused."""
        return self._misconduct.errors

    @property
    def requests(self) -> EventLog:
        """REST requests: `{"type": "POST /v1/chat/completions", "headers": ..., "body": ...}`."""
        return self._text_model.requests

    @property
    def extractions(self) -> deque[Extraction]:
        """The next answers of the text model; see `rest.Extraction`."""
        return self._text_model.extractions

    @property
    def routes(self) -> deque[str]:
        """What the router says next, "simple" or "complex"."""
        return self._text_model.routes

    @property
    def steps(self) -> deque[Say]:
        """What the model says next in a conversation with tools."""
        return self._text_model.steps

    def think(self, mind: Mind) -> None:
        """Have conversations with tools answered by `mind`, where no step is prepared."""
        self._text_model.mind = mind

    async def session(self, index: int = 0, *, within: float = 30.0) -> Session:
        """Return the session opened as number `index`, as soon as it is there."""
        await self._opened.first(lambda e: e["index"] == index, within=within)
        return self.sessions[index]

    def audio_sent(self, item_id: str) -> bytes:
        """Return the audio of one assistant item of any session."""
        for session in self.sessions:
            if any(item.id == item_id for item in session.items):
                return session.audio_sent(item_id)
        raise KeyError(item_id)

    def told(self, prompt: str) -> Scenario | None:
        """Return the scenario as whoever is spoken of in a prompt has it."""
        fitting = (told for words, told in self.other_scenarios if words.search(prompt))
        scenario = next(fitting, self.scenario)
        if scenario is None or not self.own_numbers:
            return scenario
        return told_to(scenario, prompt)

    def spoils_rest(self) -> bool:
        """Return whether the REST request at hand suffers from a fault; counts it."""
        return self._counter.spoils_rest(self.faults)

    @property
    def speed(self) -> float:
        return self._speed

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI application."""
        if scope["type"] == "websocket":
            await self._realtime(scope, receive, send)
        else:
            await self._text_model.app(scope, receive, send)

    async def _realtime(self, scope: Any, receive: Any, send: Send) -> None:
        await receive()
        try:
            model = self._admit(scope)
        except _Refused as refused:
            self.upgrades.append(refused.status)
            await _answer(send, refused.status, refused.body)
            return
        self.upgrades.append(101)
        await send({"type": "websocket.accept"})
        session = self._open(model, send)
        try:
            code = await self._pump(session, receive)
        except Closed:
            code = None
        await session.gone(code)

    async def _pump(self, session: Session, receive: Any) -> int | None:
        """Feed the session until the socket closes; return the close code."""
        faults = self._faults_of(len(self.sessions))
        await session.opened()
        if faults.close_after_ms is not None:
            session.later(self._end(session, faults.close_after_ms, faults.close_code))
        if faults.session_expired is not None:
            session.later(self._end(session, faults.session_expired, None))
        while (message := await receive())["type"] == "websocket.receive":
            await session.receive(message.get("text"))
        code: int | None = message.get("code")
        return code

    async def _end(self, session: Session, after_ms: int, code: int | None) -> None:
        """Close with `code` after a while; None = the session expires."""
        await asyncio.sleep(after_ms / 1000 / self._speed)
        await (session.expire() if code is None else session.close(code))

    def _open(self, model: str, send: Send) -> Session:
        number = next(self._numbers)
        expires_at = int(time.time()) + _MAX_AGE_S
        stage = Stage(
            number=number,
            wire=Wire(send, lambda: self._faults_of(number), self._speed),
            conversation=Conversation(f"conv_{number}"),
            config=SessionConfig(session_id=f"sess_{number}", model=model, expires_at=expires_at),
            faults=lambda: self._faults_of(number),
            delta_bytes=self._delta_bytes,
            pace=self._pace,
        )
        script = Script(self.scenario, self._default_reply, told=self.told)
        session = Session(stage, script, self._misconduct, self.heard)
        self.sessions.append(session)
        self._opened.add({"type": "session", "index": number - 1})
        return session

    def _faults_of(self, number: int) -> Faults:
        limit = self.faults.sessions
        return self.faults if limit is None or number <= limit else Faults()

    def _admit(self, scope: Any) -> str:
        """Return the model of an upgrade request; raise _Refused with the service's own status."""
        if status := self._counter.refuses_upgrade(self.faults):
            raise _Refused(status, Refusal("Refused on purpose.", code="emulated_fault"))
        headers = {key.decode().lower(): value.decode() for key, value in scope["headers"]}
        query = parse_qs(scope["query_string"].decode())
        model = query.get("model", [""])[0]
        if scope["path"] != "/v1/realtime":
            raise self._forbidden(404, f"no such path: {scope['path']}")
        if headers.get("authorization") != f"Bearer {self.api_key}":
            raise _Refused(401, Refusal("Incorrect API key provided.", code="invalid_api_key"))
        if "openai-beta" in headers:
            raise self._forbidden(400, "the OpenAI-Beta header belongs to the beta API")
        if set(query) != {"model"}:
            raise self._forbidden(400, f"the query must be 'model' alone, not {sorted(query)}")
        if model not in REALTIME_MODELS:
            raise _Refused(
                404, Refusal(f"The model '{model}' does not exist.", code="model_not_found")
            )
        return str(model)

    def _forbidden(self, status: int, message: str) -> "_Refused":
        refusal = Refusal(message)
        self._misconduct.violation(len(self.sessions), "upgrade", refusal)
        return _Refused(status, refusal)


class _Refused(Exception):
    """An upgrade that is answered with an HTTP status."""

    def __init__(self, status: int, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.status = status
        self.body = {"error": refusal.body()}


async def _answer(send: Send, status: int, body: dict[str, Any]) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": json.dumps(body).encode()})
