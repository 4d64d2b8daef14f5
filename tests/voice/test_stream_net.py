"""Nothing keeps a stream or a model's socket open: peers that hang, flood, or never let go."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from websockets.server import ServerProtocol

from ivr.voice import bridge as bridge_module
from ivr.voice import model_socket, stream_net
from ivr.voice.commands import EndReason
from ivr.voice.model_socket import connect_model
from tests.voice.test_bridge import call_tool, carried, greet

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
BIG = "x" * 1024 * 1024


async def test_a_phone_that_keeps_sending_is_cut_off_at_the_longest_time():
    async with carried() as line:
        await greet(line)

        async def send_for_ever():
            while True:
                line.phone.says(event="media", media={"payload": "f39/"})
                await asyncio.sleep(0)

        sending = asyncio.create_task(send_for_ever())
        past = NOW - stream_net.MARGIN - timedelta(seconds=900)
        with structlog.testing.capture_logs() as logs:
            with stream_net.cut_off_when_overdue(
                line.bridge, started_at=past, now=NOW, longest_s=900
            ):
                await asyncio.wait_for(line.phone.is_closed.wait(), 30)
        sending.cancel()

    assert line.outcome.reason == EndReason.OVERDUE
    assert [entry["log_level"] for entry in logs if "longest" in entry["event"]] == ["error"]


async def test_a_call_that_ends_in_time_is_not_cut_off():
    async with carried() as line:
        await greet(line)
        with stream_net.cut_off_when_overdue(line.bridge, started_at=NOW, now=NOW, longest_s=900):
            await line.phone.close()
            await line.running

    assert line.outcome.reason == EndReason.CALLER_HUNG_UP


async def test_the_length_of_a_call_counts_from_its_ring_whatever_stream_it_is(monkeypatch):
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(stream_net, "MARGIN", timedelta(0))
    async with carried() as line:
        began = loop.time()
        rang = NOW - timedelta(seconds=899.9)
        with stream_net.cut_off_when_overdue(line.bridge, started_at=rang, now=NOW, longest_s=900):
            await asyncio.wait_for(line.phone.is_closed.wait(), 30)
        lasted = loop.time() - began

    assert lasted >= 0.09
    assert line.outcome.reason == EndReason.OVERDUE


async def test_work_that_never_ends_does_not_hold_up_the_end(monkeypatch):
    monkeypatch.setattr(bridge_module, "WIND_UP_S", 0.1)
    async with carried() as line:
        await greet(line)
        line.effects.is_slow = asyncio.Event()  # never set
        call_tool(line, "save_field")
        await line.effects.is_running.wait()
        line.phone.blocks = True
        line.bridge.stop(EndReason.OVERDUE)

    assert line.outcome.reason == EndReason.OVERDUE
    assert line.phone.is_closed.is_set()


async def test_the_word_that_the_call_is_over_ends_the_stream():
    async with carried() as line:
        await greet(line)
        line.bridge.line_closed()

    assert line.outcome.reason == EndReason.CALLER_HUNG_UP
    assert line.phone.is_closed.is_set()


async def test_a_phone_that_sends_nothing_any_more_is_lost(monkeypatch):
    monkeypatch.setattr(bridge_module, "HEARTBEAT_S", 0.02)
    async with carried() as line:
        await greet(line)
        monkeypatch.setattr(bridge_module, "LOST_S", 0.1)

    assert line.outcome.reason == EndReason.PHONE_LOST
    assert line.phone.is_closed.is_set()


# The model's socket, against a peer that speaks the protocol as far as it must


class Deaf(asyncio.Protocol):
    """A model that accepts a session and then reads nothing more."""

    def __init__(self) -> None:
        self.is_gone = asyncio.Event()
        self._wire = ServerProtocol()
        self._is_open = False

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if self._is_open:
            return
        self._is_open = True
        self._wire.receive_data(data)
        for request in self._wire.events_received():
            self._wire.send_response(self._wire.accept(request))
            self.transport.write(b"".join(self._wire.data_to_send()))
            self.transport.pause_reading()

    def connection_lost(self, exc):
        self.is_gone.set()


@asynccontextmanager
async def deaf_model() -> AsyncIterator[tuple[str, list[Deaf]]]:
    peers: list[Deaf] = []

    def accept() -> Deaf:
        peers.append(Deaf())
        return peers[-1]

    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", peers


@pytest.mark.parametrize("is_full", [True, False])
async def test_a_model_that_does_not_let_its_socket_close_is_cut_off(monkeypatch, is_full):
    monkeypatch.setattr(model_socket, "CLOSE_S", 0.2)
    async with deaf_model() as (url, peers):
        async with connect_model(url, "gpt-realtime", "key") as model:
            for _ in range(20 if is_full else 0):
                model.write(BIG)
            began = time.monotonic()
        assert time.monotonic() - began < 1
        (peer,) = peers
        peer.transport.resume_reading()
        await asyncio.wait_for(peer.is_gone.wait(), 30)


async def test_a_model_that_hangs_while_its_session_opens_is_left():
    is_gone = asyncio.Event()

    async def accept(reader, writer):
        await reader.read()  # until the client is gone
        writer.close()
        await writer.wait_closed()
        is_gone.set()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        with pytest.raises(TimeoutError):
            async with connect_model(url, "gpt-realtime", "key", open_timeout_s=0.1):
                raise AssertionError("no session was opened")
        await asyncio.wait_for(is_gone.wait(), 30)
