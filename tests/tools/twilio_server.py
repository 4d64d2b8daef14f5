"""A small server for Twilio's emulator to call: TwiML by path, one way of talking on the stream."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tools.emulators.serving import serve
from tools.emulators.twilio import TwilioEmulator

ACCOUNT, TOKEN = "AC" + "0" * 32, "12345"
PUBLIC = "https://ivr.example.test"
CALLER, CALLED = "+17705550123", "+18005551212"
STREAM_URL = "wss://ivr.example.test/stream"
STREAM = f'<Connect{{}}><Stream url="{STREAM_URL}">{{}}</Stream></Connect>'
TONE = bytes(range(160))  # 20 ms, every byte another
SECOND = 8000  # bytes

Talk = Callable[[WebSocket, dict[str, Any]], Awaitable[None]]


def response(inner: str) -> str:
    return f"<Response>{inner}</Response>"


def stream(action: str = "", parameters: str = "") -> str:
    return response(STREAM.format(f' action="{action}"' if action else "", parameters))


class Server:
    """The server under test: documents by path, one way of talking, everything written down."""

    def __init__(self) -> None:
        self.documents: dict[str, str | Response] = {}
        self.requests: list[tuple[str, list[tuple[str, str]], dict[str, str]]] = []
        self.upgrades: list[dict[str, str]] = []
        self.frames: list[dict[str, Any]] = []
        self.raw: list[str | bytes] = []
        self.talk: Talk = hear_only
        self.refuses = False
        self.on_accept: Callable[[WebSocket], Awaitable[None]] | None = None
        self.closed: list[int] = []
        self.gone, self.stopped = asyncio.Event(), asyncio.Event()
        self.app = Starlette(
            routes=[
                WebSocketRoute("/stream", self.on_stream),
                Route("/{path:path}", self.on_webhook, methods=["GET", "POST"]),
            ]
        )
        self.app.state.server = self

    async def on_webhook(self, request: Request) -> Response:
        body = (await request.body()).decode()
        fields = parse_qsl(body, keep_blank_values=True)
        self.requests.append((str(request.url), fields, dict(request.headers)))
        answer = self.documents.get(request.url.path, Response(status_code=404))
        return answer if isinstance(answer, Response) else Response(answer, media_type="text/xml")

    async def on_stream(self, socket: WebSocket) -> None:
        self.upgrades.append(dict(socket.headers))
        if self.refuses:
            await socket.close(code=1008)
            return
        await socket.accept()
        if self.on_accept is not None:
            await self.on_accept(socket)
        try:
            await self.receive(socket)  # connected
            await self.talk(socket, await self.receive(socket))
        except WebSocketDisconnect as error:
            self.closed.append(error.code)
            self.gone.set()

    async def receive(self, socket: WebSocket) -> dict[str, Any]:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message["code"])
        frame = message.get("text") or message["bytes"]
        self.raw.append(frame)
        self.frames.append(json.loads(frame) if isinstance(frame, str) else {"event": "binary"})
        if self.frames[-1]["event"] == "stop":
            self.stopped.set()
        return self.frames[-1]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["event"] == name]

    def fields(self, path: str) -> list[dict[str, str]]:
        return [dict(fields) for url, fields, _ in self.requests if url.endswith(path)]


async def hear_only(socket: WebSocket, start: dict[str, Any]) -> None:
    await listen(socket)


async def listen(socket: WebSocket, until: str = "", count: int = 0) -> list[dict[str, Any]]:
    """Read until an event of that name, or so many, or until the socket closes."""
    server = cast(Server, socket.app.state.server)
    seen: list[dict[str, Any]] = []
    while not seen or (seen[-1]["event"] != until and len(seen) != count):
        seen.append(await server.receive(socket))
    return seen


async def greet(socket: WebSocket, start: dict[str, Any]) -> None:
    """Speak for a second with two marks, then listen."""
    await socket.send_text(say(start, b"\x01" * (SECOND // 2)))
    await socket.send_text(mark(start, "half"))
    await socket.send_text(say(start, b"\x02" * (SECOND // 2)))
    await socket.send_text(mark(start, "whole"))
    await listen(socket)


def say(start: dict[str, Any], ulaw: bytes) -> str:
    payload = base64.b64encode(ulaw).decode()
    return outbound(start, "media", media={"payload": payload})


def mark(start: dict[str, Any], name: str) -> str:
    return outbound(start, "mark", mark={"name": name})


def outbound(start: dict[str, Any], event: str, **body: Any) -> str:
    return json.dumps({"event": event, "streamSid": start["streamSid"], **body})


@asynccontextmanager
async def twilio_for(server: Server, **options: Any) -> AsyncIterator[TwilioEmulator]:
    async with serve(server.app, ws_max_size=64 * 1024) as port:
        webhook = f"http://127.0.0.1:{port}/voice"
        options = {"speed": 20.0, "patience_s": 5.0, **options}
        async with TwilioEmulator(
            ACCOUNT, TOKEN, webhook=webhook, public_base_url=PUBLIC, **options
        ) as twilio:
            yield twilio
