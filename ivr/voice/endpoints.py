"""The telephony doors: verify, translate, hand on. Nothing is answered to who did not sign.

POST /twilio/voice-realtime-proxied, /twilio/voice   a call rings
WS   /twilio/voice/stream                            its audio
POST /twilio/voice/after                             what follows the stream, or a transfer
POST /twilio/voice/whisper                           who picks up takes the call, or not
POST /twilio/voice/status                            the call is over
POST /twilio/voice-ivr, /twilio/voice-ivr/collect    the conversation without a model
"""

import asyncio
import uuid
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode, urlsplit

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from ivr.db.engine import patiently
from ivr.db.tables import Conversation, utc_now
from ivr.doors.twilio_form import SIGNATURE, base_url, raw_target, signatures, signed_form
from ivr.errors import BadRequest, IvrError
from ivr.runtime import State
from ivr.voice import media_stream, phone_socket, session, stream_token, twiml
from ivr.voice.bridge import Phone
from ivr.voice.media_stream import StreamStarted
from ivr.voice.reception import Form, Reception
from ivr.voice.whisper import Whisper

REQUEST_NAME = "i-twilio-idempotency-token"  # the same when Twilio repeats a webhook
START_SECONDS = 10.0
ANSWER_SECONDS = 10.0  # Twilio waits 15 s for a webhook, and asks 5xx answers no second time
WHISPER_SECONDS = 3.0
REDEEM_SECONDS = 3.0  # the caller hears nothing meanwhile
MOST_TRIES = 4
# What Twilio says of a transfer, and only once (Twilio: twiml/dial, action).
_DIALLED = ("DialCallStatus", "DialCallSid", "DialBridged", "DialCallDuration")
SORRY = "Sorry, we have a technical problem. Please call again in a few minutes. Goodbye."
POLICY_VIOLATION = 1008

log = structlog.get_logger(__name__)


async def ring(request: Request[State]) -> Response:
    """A call rings: write the lead down, connect the voice."""
    return await _answer(request, Reception.ring)


async def after(request: Request[State]) -> Response:
    """The stream is over, or a transfer is: say what follows."""
    return await _answer(request, Reception.after)


async def gather(request: Request[State]) -> Response:
    """Begin the conversation without a model."""
    return await _answer(request, Reception.gather)


async def collect(request: Request[State]) -> Response:
    """An answer in the conversation without a model."""
    return await _answer(request, Reception.collect)


async def whisper(request: Request[State]) -> Response:
    """Something has picked up for a caller: have a person take the call."""
    form = await signed_form(request)
    key = request.query_params.get("key")  # ours, and signed
    if key is not None and form.get("Digits", "") not in {"", key}:
        return Response(twiml.hangup(), media_type="text/xml")
    asked = Whisper(request.state, f"{base_url(request)}{raw_target(request)}", key)
    try:
        conversation_id = uuid.UUID(request.query_params["conversation"])
        answering = request.state["background"].start(
            patiently(
                lambda: asked.answer(conversation_id, form, now=utc_now()), seconds=ANSWER_SECONDS
            )
        )
        # Not cancelled when it takes too long: who has the caller is to be written down.
        document = await asyncio.wait_for(asyncio.shield(answering), WHISPER_SECONDS)
    except Exception as exc:
        log.warning("whisper without words", problem=type(exc).__name__)
        document = asked.in_any_case(form)
    return Response(document, media_type="text/xml")


async def status(request: Request[State]) -> Response:
    """The status of a call has changed."""
    form = await signed_form(request)
    reception = Reception(request.state, base_url(request))
    await patiently(lambda: reception.status(form), seconds=ANSWER_SECONDS)
    return Response(status_code=204)


async def _answer(
    request: Request[State], decide: Callable[[Reception, Form], Coroutine[Any, Any, str]]
) -> Response:
    signed, query = await signed_form(request), request.query_params
    form = {name: query[name] for name in _DIALLED if name in query} | signed
    again_url = _again_url(request, form)
    token = request.headers.get(REQUEST_NAME, "")
    reception = Reception(request.state, base_url(request), token, again_url)
    deciding = request.state["background"].start(
        patiently(lambda: decide(reception, form), seconds=ANSWER_SECONDS)
    )
    try:
        # Not cancelled when it takes too long: what it writes down is what must not be lost.
        document = await asyncio.wait_for(asyncio.shield(deciding), ANSWER_SECONDS)
    except BadRequest:
        raise
    except Exception:  # whatever broke: there is a caller on the line, who must hear something
        log.warning("webhook not answered in time, or broken", call_sid=form.get("CallSid"))
        document = twiml.say_and_hangup(SORRY) if again_url is None else twiml.hold(again_url)
    return Response(document, media_type="text/xml")


def _again_url(request: Request[State], form: Form) -> str | None:
    """Return where this door is asked the same once more; None after a few times."""
    tries = int(request.query_params.get("try", "1"))  # ours, and signed
    if tries >= MOST_TRIES:
        return None
    dialled = {name: form[name] for name in _DIALLED if name in form}
    query = urlencode({"try": tries + 1, **dialled})
    return f"{base_url(request)}{request.url.path}?{query}"


async def stream(websocket: WebSocket[State]) -> None:
    """Carry a call's audio; refuse before `accept`, and before any model session is paid for."""
    try:
        _check_upgrade(websocket)
    except IvrError as exc:
        log.warning("stream refused", problem=str(exc))
        await websocket.close(POLICY_VIOLATION)
        return
    await websocket.accept()
    phone = WebSocketPhone(websocket)
    started = await _start(phone)
    conversation = await _claim(websocket.state, started) if started else None
    if started is None or conversation is None:
        log.warning("stream without a valid start or token")
        await phone.close(POLICY_VIOLATION)
        return
    direct = websocket.scope.get("extensions", {}).get(phone_socket.EXTENSION)
    await _carry(websocket.state, conversation, started, direct or phone)


async def _carry(
    state: State, conversation: Conversation, started: StreamStarted, phone: Phone
) -> None:
    with (
        state["live"].carry(conversation.session_key),
        structlog.contextvars.bound_contextvars(call_sid=conversation.session_key),
    ):
        await session.carry(state, conversation, started.stream_sid, phone)


class WebSocketPhone:
    """Twilio's side of a call over plain ASGI, for servers that are not ours."""

    def __init__(self, websocket: WebSocket[State]) -> None:
        self.unsent = 0
        self._websocket = websocket
        self._outbox: deque[str] = deque()
        self._sending: asyncio.Task[None] | None = None

    async def receive(self) -> str | None:
        """Return the next text frame; None when the socket is closed, or speaks binary."""
        try:
            message = await self._websocket.receive()
        except (WebSocketDisconnect, RuntimeError):
            return None
        return message.get("text") if message["type"] == "websocket.receive" else None

    async def listen(self, deliver: Callable[[str], None]) -> None:
        """Deliver each frame as it comes; return when there will be none."""
        while (frame := await self.receive()) is not None:
            deliver(frame)

    def write(self, text: str) -> None:
        """Send a frame without waiting."""
        self.unsent += 1
        self._outbox.append(text)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def close(self, code: int = 1000) -> None:
        """Close the socket behind what was written; Twilio then asks `after`."""
        if self._sending is not None:
            await asyncio.wait({self._sending})
        await self._websocket.close(code)

    async def _send(self) -> None:
        while self._outbox:
            with suppress(WebSocketDisconnect, RuntimeError):  # the reader says what happened
                await self._websocket.send_text(self._outbox.popleft())
            self.unsent -= 1


async def _start(phone: WebSocketPhone) -> StreamStarted | None:
    """Return the stream's `start`, or None when the peer does not begin as Twilio does."""
    try:
        async with asyncio.timeout(START_SECONDS):
            while (frame := await phone.receive()) is not None:
                event = media_stream.parse(frame)
                if event is not None:
                    return event if isinstance(event, StreamStarted) else None
    except TimeoutError:
        pass
    return None


async def _claim(state: State, started: StreamStarted) -> Conversation | None:
    """Return the conversation whose stream this is, also after a moment without the database."""
    return await patiently(lambda: _redeem(state, started), seconds=REDEEM_SECONDS)


async def _redeem(state: State, started: StreamStarted) -> Conversation | None:
    if started.account_sid != state["settings"].twilio_sid and state["settings"].twilio_sid:
        return None
    async with state["db"].write() as db_session:
        return await stream_token.redeem(
            db_session,
            state["secret_key"],
            token=started.parameters.get("token", ""),
            call_sid=started.call_sid,
            carrier=state["road"].executor_id,
            now=utc_now(),
        )


def _check_upgrade(websocket: WebSocket[State]) -> None:
    host = urlsplit(base_url(websocket)).netloc
    url = f"wss://{host}{raw_target(websocket)}"
    signatures(websocket.state).check_websocket(url, websocket.headers.get(SIGNATURE))
