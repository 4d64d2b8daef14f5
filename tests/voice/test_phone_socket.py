"""Twilio's socket on a real server: what the bridge is told, and what goes back over the wire."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import structlog
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.asyncio.client import connect
from websockets.frames import Frame, Opcode

from ivr.voice import phone_socket
from ivr.voice.phone_socket import PhoneSocket
from tools.emulators.serving import serve

LIMIT = 64 * 1024


class Stream:
    """What an endpoint and a bridge would make of a stream."""

    def __init__(self):
        self.texts = asyncio.Queue()
        self.calls = asyncio.Queue()  # as the log lines would name them
        self.may_listen = asyncio.Event()
        self.may_listen.set()
        self.is_over = asyncio.Event()
        self.socket = None

    async def endpoint(self, websocket):
        await websocket.accept()
        self.texts.put_nowait(await websocket.receive_text())  # the start
        await self.may_listen.wait()
        self.socket = websocket.scope["extensions"][phone_socket.EXTENSION]
        structlog.contextvars.bind_contextvars(call_sid="CA1")
        await self.socket.listen(self._hear)
        self.is_over.set()

    async def hears(self):
        return await asyncio.wait_for(self.texts.get(), 30)

    def _hear(self, text):
        self.texts.put_nowait(text)
        self.calls.put_nowait(structlog.contextvars.get_contextvars().get("call_sid"))
        if text == "ping me":
            self.socket.write("here I am")


@asynccontextmanager
async def streaming():
    """A stream of which `start` was heard, and the client at its other end."""
    stream = Stream()
    app = Starlette(routes=[WebSocketRoute("/", stream.endpoint)])
    async with (
        serve(app, ws=PhoneSocket, ws_max_size=LIMIT, lifespan="off") as port,
        connect(f"ws://127.0.0.1:{port}/", compression=None, close_timeout=1) as client,
    ):
        await client.send("start")
        assert await stream.hears() == "start"
        yield stream, client


async def test_texts_are_heard_in_order_from_the_first_on():
    async with streaming() as (stream, client):
        stream.may_listen.clear()
        for number in range(5):
            await client.send(str(number))
        stream.may_listen.set()
        for number in range(5, 10):
            await client.send(str(number))

        assert [await stream.hears() for _ in range(10)] == [str(number) for number in range(10)]


async def test_what_is_heard_belongs_to_the_call_in_the_log():
    async with streaming() as (stream, client):
        await client.send("a frame")
        await client.send("another")

        assert [await asyncio.wait_for(stream.calls.get(), 30) for _ in range(2)] == ["CA1", "CA1"]


async def test_what_is_written_arrives():
    async with streaming() as (stream, client):
        await client.send("ping me")

        assert await asyncio.wait_for(client.recv(), 30) == "here I am"
        assert stream.socket.unsent == 0


async def test_a_message_in_parts_is_heard_whole():
    async with streaming() as (stream, client):
        await client.send(["in two ", "parts"])

        assert await stream.hears() == "in two parts"


async def test_pings_are_answered():
    async with streaming() as (stream, client):
        await client.send("a frame")
        await stream.hears()

        await asyncio.wait_for(await client.ping(), 30)


async def test_a_client_that_leaves_ends_the_stream():
    async with streaming() as (stream, client):
        await client.close()
        await asyncio.wait_for(stream.is_over.wait(), 30)
        stream.socket.write("to nobody")

    assert client.close_code == 1000


async def test_a_connection_that_breaks_ends_the_stream():
    async with streaming() as (stream, client):
        await client.send("a frame")
        await stream.hears()
        client.transport.abort()
        await asyncio.wait_for(stream.is_over.wait(), 30)
        stream.socket.write("to nobody")


async def test_closing_it_says_goodbye_and_ends_the_stream():
    async with streaming() as (stream, client):
        await client.send("a frame")
        await stream.hears()
        await stream.socket.close()
        await asyncio.wait_for(stream.is_over.wait(), 30)
        await asyncio.wait_for(client.wait_closed(), 30)

    assert client.close_code == 1000


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (Frame(Opcode.TEXT, b"\xff\xfe\xfd"), 1007),
        (Frame(Opcode.TEXT, bytes(LIMIT + 1)), 1009),
        (Frame(Opcode.CONT, b"of what?"), 1002),
    ],
    ids=["no UTF-8", "too big", "out of place"],
)
async def test_what_breaks_the_protocol_is_refused(frame, code):
    async with streaming() as (stream, client):
        await client.send("a frame")
        await stream.hears()
        client.transport.write(frame.serialize(mask=True))
        await asyncio.wait_for(stream.is_over.wait(), 30)
        await asyncio.wait_for(client.wait_closed(), 30)

    assert client.close_code == code


async def test_a_client_that_speaks_binary_is_no_twilio():
    async with streaming() as (stream, client):
        await client.send("a frame")
        await client.send(b"\x00")

        await asyncio.wait_for(stream.is_over.wait(), 30)
