"""The yardstick: the least that a relay on our own libraries can do. No feature, no safety.

Starlette and uvicorn (websockets-sansio, uvloop), a `websockets` client, msgspec for the frames;
no compression. It answers every webhook with a stream, begins at `start`, asks for a greeting, and
carries audio both ways. Run by the benchmark: `python -m tools.bench.relay`, on an adopted socket.
"""

import asyncio
import os
import socket
from urllib.parse import urlsplit

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

_TWIML = (
    '<?xml version="1.0" encoding="UTF-8"?><Response><Connect><Stream url="wss://{host}'
    '/twilio/voice/stream"><Parameter name="token" value="none"/></Stream></Connect></Response>'
)
_SESSION = {
    "type": "realtime",
    "output_modalities": ["audio"],
    "audio": {
        "input": {"format": {"type": "audio/pcmu"}, "turn_detection": {"type": "server_vad"}},
        "output": {"format": {"type": "audio/pcmu"}, "voice": "marin"},
    },
}


class _Start(msgspec.Struct, rename="camel"):
    stream_sid: str


class _Media(msgspec.Struct):
    payload: str


class _Frame(msgspec.Struct):
    event: str
    media: _Media | None = None
    start: _Start | None = None


class _Message(msgspec.Struct):
    type: str
    delta: str = ""


class _Append(msgspec.Struct, tag_field="type", tag="input_audio_buffer.append"):
    audio: str


class _MediaOut(msgspec.Struct, tag_field="event", tag="media", rename="camel"):
    stream_sid: str
    media: _Media


_frames = msgspec.json.Decoder(_Frame)
_messages = msgspec.json.Decoder(_Message)
_encode = msgspec.json.Encoder().encode


async def ring(request: Request) -> Response:
    """Offer a stream to whoever calls."""
    host = urlsplit(str(request.url)).netloc
    return Response(_TWIML.format(host=host), media_type="text/xml")


async def health(_: Request) -> Response:
    """The process runs."""
    return PlainTextResponse("ok")


async def stream(phone: WebSocket) -> None:
    """Carry audio both ways until one side is gone."""
    await phone.accept()
    url = os.environ["OPENAI_BASE_URL"].replace("http", "ws", 1) + "/realtime?model=bench"
    async with connect(url, compression=None, max_size=None, proxy=None) as model:
        try:
            stream_sid = await _start(phone)
            await model.send(_encode({"type": "session.update", "session": _SESSION}).decode())
            await model.send('{"type":"response.create"}')
            back = asyncio.create_task(_from_model(model, phone, stream_sid))
            try:
                await _from_phone(phone, model)
            finally:
                back.cancel()
        except (WebSocketDisconnect, ConnectionClosed):
            pass


async def _start(phone: WebSocket) -> str:
    while True:
        frame = _frames.decode(await phone.receive_text())
        if frame.start is not None:
            return frame.start.stream_sid


async def _from_phone(phone: WebSocket, model: ClientConnection) -> None:
    while True:
        frame = _frames.decode(await phone.receive_text())
        if frame.media is not None:
            await model.send(_encode(_Append(frame.media.payload)).decode())


async def _from_model(model: ClientConnection, phone: WebSocket, stream_sid: str) -> None:
    async for text in model:
        message = _messages.decode(text)
        if message.type == "response.output_audio.delta":
            frame = _MediaOut(stream_sid, _Media(message.delta))
            await phone.send_text(_encode(frame).decode())


app = Starlette(
    routes=[
        Route("/twilio/voice-realtime-proxied", ring, methods=["POST"]),
        Route("/health/ready", health, methods=["GET"]),
        WebSocketRoute("/twilio/voice/stream", stream),
    ]
)


def main() -> None:
    """Serve on the listening socket that is file descriptor 3, as ours does."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=3)])


if __name__ == "__main__":
    main()
