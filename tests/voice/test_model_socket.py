"""The model's socket against a real server: messages arrive whole and in order, as does the end."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosedError

from ivr.voice.model_socket import connect_model


@asynccontextmanager
async def connected():
    """The socket, and the model at its other end."""
    models = asyncio.Queue()

    async def accept(model):
        await model.send("session.created")
        models.put_nowait(model)
        await model.wait_closed()

    async with serve(accept, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect_model(f"http://127.0.0.1:{port}/v1", "m", "key") as socket:
            yield socket, await models.get()


async def test_messages_arrive_whole_and_in_order_also_those_before_anybody_listened():
    heard = []
    async with connected() as (socket, model):
        await (await model.ping())  # the first message has arrived
        listening = asyncio.create_task(socket.listen(heard.append))
        for text in ("one", "x" * 70_000, ["in two ", "parts"], b"binary", "last"):
            await model.send(text)
        await model.close()
        await asyncio.wait_for(listening, 30)

    assert heard == [
        b"session.created",
        b"one",
        b"x" * 70_000,
        b"in two parts",
        b"binary",
        b"last",
    ]


async def test_what_is_written_arrives_in_order_and_nothing_waits():
    async with connected() as (socket, model):
        texts = ["{}", "f39/" * 70, "Grüße" * 30, "x" * 70_000]
        for text in texts:
            socket.write(text)

        assert [await asyncio.wait_for(model.recv(), 30) for _ in texts] == texts
        assert socket.unsent == 0


async def test_a_connection_that_breaks_is_no_good_end():
    async with connected() as (socket, model):
        model.transport.abort()
        with pytest.raises(ConnectionClosedError):
            await asyncio.wait_for(socket.listen(lambda message: None), 30)
        socket.write("to nobody")
