"""Faults on the way: an ASGI application in front of another that spoils what goes through it.

In front of our own server it is the road from Twilio to us, in front of an emulator the road from
us to a vendor. What comes when is the schedule's; here it only happens.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.faults.schedule import Fault, Kind, Place

TRANSCRIBED = '"conversation.item.input_audio_transcription.completed"'
RESPONSE_DONE = '"response.done"'
MARK = '"mark"'
SERVER_ERROR = 503
PlaceOf = Callable[[Scope], Place]
OURS = frozenset({Place.WEBHOOK, Place.AFTER, Place.STATUS})


class Forecast:
    """The faults that are still to come, and how often each has come."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.fired: Counter[tuple[Place, Kind]] = Counter()
        self.lifted = asyncio.Event()  # from then on nothing goes wrong any more
        self.under_way = 0  # requests that have not been answered, or not arrived yet
        self._armed = list(faults)
        self._seen: Counter[Place] = Counter()

    def take(
        self, place: Place, *, fits: Callable[[Fault], bool] = lambda fault: True
    ) -> Fault | None:
        """Return the fault that hits what happens at `place` now, if one does."""
        self._seen[place] += 1
        if self.lifted.is_set():
            return None
        for fault in self._armed:
            if fault.place is place and fault.at <= self._seen[place] and fits(fault):
                self._armed.remove(fault)
                self.happened(fault)
                return fault
        return None

    def happened(self, fault: Fault) -> None:
        """Count a fault that really came."""
        self.fired[fault.place, fault.kind] += 1


class Weather:
    """Stands before `app`; `refuse` makes it say no, in its own words, to its next request."""

    def __init__(
        self,
        app: ASGIApp,
        forecast: Forecast,
        place_of: PlaceOf,
        *,
        refuse: Callable[[], None] = lambda: None,
    ) -> None:
        self._app = app
        self._forecast = forecast
        self._place_of = place_of
        self._refuse = refuse
        self._passed = asyncio.Event()  # the next request after one that is held back

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            self._forecast.under_way += 1
            try:
                await self._request(scope, receive, send)
            finally:
                self._forecast.under_way -= 1
        elif self._place_of(scope) is Place.STREAM:
            await self._app(scope, self._ears(receive, send), send)
        elif not await self._is_turned_away(receive, send):
            await self._app(scope, receive, self._mouth(send))

    # requests

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        place, body = self._place_of(scope), await _body(receive)
        if body is None:
            return

        async def ask() -> list[Message]:
            answer = await self._ask(scope, body)
            self._passed.set()
            return answer

        fault = self._forecast.take(place)
        if fault is None:
            await _tell(send, await ask())
        elif fault.late and fault.kind is not Kind.DUPLICATE:
            await self._spoil_answer(fault, await ask(), receive, send)
        else:
            await self._spoil_request(fault, ask, receive, send)

    async def _ask(self, scope: Scope, body: bytes) -> list[Message]:
        """Have `app` answer; nobody tells it that the line is gone meanwhile."""
        answer: list[Message] = []
        told = deque([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> Message:
            return told.popleft() if told else await asyncio.Future()

        async def send(message: Message) -> None:
            answer.append(message)

        await self._app(scope, receive, send)
        return answer

    async def _spoil_request(
        self, fault: Fault, ask: Callable[[], Any], receive: Receive, send: Send
    ) -> None:
        match fault.kind:
            case Kind.DROP:
                await _cut(receive, send)
            case Kind.ERROR:
                await _tell(send, _ERROR)
            case Kind.HANG:
                await self._until_given_up(receive)
                if fault.place in OURS:
                    await ask()  # it arrives all the same, when nobody waits for it any more
                await _cut(receive, send)
            case Kind.TRUNCATE:
                await _tell_half(receive, send, await ask())
            case Kind.DUPLICATE:
                await self._twice(fault, ask, send)
            case Kind.REORDER:
                self._passed.clear()
                await self._at_most(fault.seconds, self._passed.wait())
                await _tell(send, await ask())
            case Kind.REFUSE:
                self._refuse()
                await _tell(send, await ask())
            case _:
                await asyncio.sleep(fault.seconds)
                await _tell(send, await ask())

    async def _spoil_answer(
        self, fault: Fault, answer: list[Message], receive: Receive, send: Send
    ) -> None:
        if fault.kind is Kind.DELAY:
            await asyncio.sleep(fault.seconds)
            await _tell(send, answer)
            return
        if fault.kind is Kind.HANG:
            await self._until_given_up(receive)
        await _cut(receive, send)

    async def _twice(self, fault: Fault, ask: Callable[[], Any], send: Send) -> None:
        """Together, or `late`: once more a while after it was answered."""
        if not fault.late:
            first, _ = await asyncio.gather(ask(), ask())
            await _tell(send, first)
            return
        await _tell(send, await ask())
        await self._at_most(fault.seconds, self._forecast.lifted.wait())
        await ask()

    async def _until_given_up(self, receive: Receive) -> None:
        gone = asyncio.ensure_future(_disconnected(receive))
        lifted = asyncio.ensure_future(self._forecast.lifted.wait())
        await asyncio.wait({gone, lifted}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        lifted.cancel()

    async def _at_most(self, seconds: float, waiting: Any) -> None:
        try:
            await asyncio.wait_for(waiting, seconds)
        except TimeoutError:
            return

    # frames from Twilio to us

    def _ears(self, receive: Receive, send: Send) -> Receive:
        again: deque[Message] = deque()

        async def hear() -> Message:
            if again:
                return again.popleft()
            message = await receive()
            text = message.get("text") or ""

            def fits(fault: Fault) -> bool:
                return fault.kind is not Kind.DUPLICATE or MARK in text

            fault = self._forecast.take(Place.STREAM, fits=fits) if text else None
            match fault:
                case Fault(kind=Kind.DROP):
                    _abort(send)
                    return await _disconnected(receive)
                case Fault(kind=Kind.HANG):
                    return await _disconnected(receive)  # nothing gets through until the end
                case Fault(kind=Kind.DELAY):
                    await asyncio.sleep(fault.seconds)
                case Fault(kind=Kind.DUPLICATE):
                    again.append(message)
                case Fault(kind=Kind.TRUNCATE):
                    return {**message, "text": text[: len(text) // 2]}
            return message

        return hear

    # frames from the model to us

    async def _is_turned_away(self, receive: Receive, send: Send) -> bool:
        fault = self._forecast.take(Place.UPGRADE)
        if fault is None:
            return False
        await receive()  # websocket.connect
        if fault.kind is Kind.ERROR:
            for message in _ERROR:
                await send({**message, "type": f"websocket.{message['type']}"})
            return True
        if fault.kind is Kind.HANG:
            await self._until_given_up(receive)
        _abort(send)
        return True

    def _mouth(self, send: Send) -> Send:
        held: list[Message] = []
        is_silent = False

        async def say(message: Message) -> None:
            nonlocal is_silent
            text = message.get("text") or ""

            def fits(fault: Fault) -> bool:
                return fault.kind is not Kind.REORDER or TRANSCRIBED in text

            fault = self._forecast.take(Place.MODEL, fits=fits) if text else None
            match fault:
                case Fault(kind=Kind.DROP):
                    _abort(send)
                    return
                case Fault(kind=Kind.HANG):
                    is_silent = True
                case Fault(kind=Kind.DELAY):
                    await asyncio.sleep(fault.seconds)
                case Fault(kind=Kind.TRUNCATE):
                    message = {**message, "text": text[: len(text) // 2]}
                case Fault(kind=Kind.REORDER):
                    held.append(message)
                    return
            if is_silent and message["type"] == "websocket.send":
                return
            await send(message)
            if RESPONSE_DONE in text:
                while held:
                    await send(held.pop())

        return say


_ERROR: list[Message] = [
    {
        "type": "http.response.start",
        "status": SERVER_ERROR,
        "headers": [(b"content-type", b"text/plain")],
    },
    {"type": "http.response.body", "body": b"upstream connect error"},
]


def _abort(send: Send) -> None:
    """Reset the connection; ASGI has no word for it, so this asks uvicorn's own object."""
    connection: Any = send.__self__  # type: ignore[attr-defined]  # a bound method
    connection.transport.abort()


async def _cut(receive: Receive, send: Send) -> None:
    _abort(send)
    await _disconnected(receive)


async def _disconnected(receive: Receive) -> Message:
    while True:
        message = await receive()
        if message["type"].endswith(".disconnect"):
            return message


async def _body(receive: Receive) -> bytes | None:
    """Return the body; None when who sent it has gone before its end."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def _tell(send: Send, answer: list[Message]) -> None:
    for message in answer:
        await send(message)


async def _tell_half(receive: Receive, send: Send, answer: list[Message]) -> None:
    """The head promises all of the body; half of it comes."""
    body = b"".join(message.get("body", b"") for message in answer)
    await send(answer[0])
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    await asyncio.sleep(0.02)  # else what was written goes down with the connection
    await _cut(receive, send)
