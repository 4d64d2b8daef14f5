"""The bridge carries a call between two sockets in memory, and survives the death of either."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosedError

from ivr.agent.toolbox import ToolOutput
from ivr.voice import bridge as bridge_module
from ivr.voice.bridge import Bridge, connect_model
from ivr.voice.call import Call
from ivr.voice.script import Limits
from tests.nobody import nobody
from tests.voice.line import HALF_SECOND, script

CLOSED = object()


class Socket:
    """A socket in memory: what is put into `incoming` is received, `sent` is what went out."""

    def __init__(self):
        self.incoming = asyncio.Queue()
        self.sent = asyncio.Queue()
        self.is_closed = asyncio.Event()
        self.blocks = False

    async def receive(self):
        text = await self.incoming.get()
        return None if text is CLOSED else text

    async def send(self, text):
        if self.blocks:
            await asyncio.Event().wait()
        if self.is_closed.is_set():
            raise ConnectionError("closed")
        self.sent.put_nowait(json.loads(text))

    async def close(self):
        self.is_closed.set()
        self.incoming.put_nowait(CLOSED)

    def __aiter__(self):
        return self

    async def __anext__(self):
        text = await self.incoming.get()
        if text is CLOSED:
            raise StopAsyncIteration
        if isinstance(text, Exception):
            raise text
        return text

    def says(self, **message):
        self.incoming.put_nowait(json.dumps(message))

    async def gets(self, word):
        """Return the next message of that type or event, dropping what comes before it."""
        async with asyncio.timeout(5):
            while True:
                message = await self.sent.get()
                if word in (message.get("type"), message.get("event")):
                    return message


class Effects:
    def __init__(self):
        self.turns = []
        self.tools = []
        self.answer = ToolOutput('{"saved": true}')
        self.is_slow = None
        self.is_running = asyncio.Event()

    async def run_tool(self, name, arguments):
        self.tools.append((name, arguments))
        self.is_running.set()
        if self.is_slow:
            await self.is_slow.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def record(self, turn):
        self.turns.append(turn)


@asynccontextmanager
async def carried(*, limits=None, connect=None):
    """A call on a running bridge; it is over, with its outcome, when the block ends."""
    phone, model, effects = Socket(), Socket(), Effects()

    @asynccontextmanager
    async def opened():
        yield model

    call = Call("MZ1", script(), limits or Limits(), asyncio.get_running_loop().time())
    bridge = Bridge(
        phone=phone,
        connect=connect or opened,
        call=call,
        effects=effects,
        clock=asyncio.get_running_loop().time,
    )
    running = asyncio.create_task(bridge.run())
    line = SimpleNamespace(
        phone=phone, model=model, effects=effects, bridge=bridge, running=running, outcome=None
    )
    try:
        yield line
        async with asyncio.timeout(5):
            line.outcome = await line.running
    finally:
        running.cancel()


async def greet(line):
    await line.model.gets("session.update")
    line.model.says(type="session.updated", session={})
    await line.model.gets("response.create")
    speak(line, "i1", "r1", "Hello, your name?")
    await line.phone.gets("mark")


def speak(line, item_id, response_id, text):
    line.model.says(type="response.created", response={"id": response_id})
    line.model.says(
        type="response.output_audio.delta",
        response_id=response_id,
        item_id=item_id,
        delta=HALF_SECOND,
    )
    line.model.says(
        type="response.output_audio_transcript.done",
        response_id=response_id,
        item_id=item_id,
        transcript=text,
    )
    line.model.says(type="response.done", response={"id": response_id, "status": "completed"})


def call_tool(line, name):
    line.model.says(type="response.created", response={"id": "r2"})
    line.model.says(
        type="response.output_item.done",
        response_id="r2",
        item={
            "id": "f1",
            "type": "function_call",
            "status": "completed",
            "name": name,
            "call_id": "c1",
            "arguments": '{"name":"zip_code"}',
        },
    )
    line.model.says(type="response.done", response={"id": "r2", "status": "completed"})


async def test_audio_passes_through_both_ways_untouched():
    async with carried() as line:
        await greet(line)
        line.phone.says(event="media", media={"payload": "f39/"})
        assert (await line.model.gets("input_audio_buffer.append"))["audio"] == "f39/"

        speak(line, "i2", "r2", "And your ZIP?")
        assert (await line.phone.gets("media"))["media"]["payload"] in HALF_SECOND
        await line.phone.close()

    assert line.outcome.reason == "caller_hung_up"
    assert line.outcome is line.bridge.outcome


async def test_a_goodbye_that_was_heard_closes_the_stream():
    async with carried() as line:
        await greet(line)
        speak(line, "i2", "r2", "Thank you, goodbye.")
        name = None
        while name != "0:bye":
            name = (await line.phone.gets("mark"))["mark"]["name"]
        line.phone.says(event="mark", mark={"name": "0:bye"})
        await asyncio.wait_for(line.phone.is_closed.wait(), 5)

    assert (line.outcome.reason, line.outcome.fallback) == ("goodbye", False)
    assert [turn.text for turn in line.effects.turns] == [
        "Hello, your name?",
        "Thank you, goodbye.",
    ]


async def test_a_tool_s_answer_reaches_the_model():
    async with carried() as line:
        await greet(line)
        call_tool(line, "save_field")
        created = await line.model.gets("conversation.item.create")
        assert created["item"]["output"] == '{"saved": true}'
        await line.model.gets("response.create")
        await line.phone.close()

    assert line.effects.tools == [("save_field", '{"name":"zip_code"}')]


async def test_a_tool_that_breaks_does_not_break_the_call():
    async with carried() as line:
        line.effects.answer = RuntimeError("database locked")
        await greet(line)
        call_tool(line, "save_field")
        created = await line.model.gets("conversation.item.create")
        assert "error" in json.loads(created["item"]["output"])
        await line.phone.close()

    assert line.outcome.reason == "caller_hung_up"


async def test_a_tool_that_still_runs_at_the_hang_up_is_waited_for():
    async with carried() as line:
        line.effects.is_slow = asyncio.Event()
        await greet(line)
        call_tool(line, "save_field")
        await line.effects.is_running.wait()
        await line.phone.close()
        await line.phone.is_closed.wait()
        assert not line.running.done()
        line.effects.is_slow.set()

    assert line.outcome.reason == "caller_hung_up"


async def test_a_cancelled_bridge_still_has_its_turns_and_outcome():
    async with carried() as line:
        await greet(line)
        line.phone.says(event="mark", mark={"name": "0:i1:400"})
        line.phone.says(event="media", media={"payload": "f39/"})
        await line.model.gets("input_audio_buffer.append")
        line.running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await line.running
        assert line.bridge.outcome.reason == "server_stopped"
        (turn,) = line.effects.turns
        assert turn.cut
        assert "Hello, your name?".startswith(turn.text)
        line.running = asyncio.create_task(asyncio.sleep(0))


async def test_a_model_that_dies_leaves_the_caller_to_the_fallback():
    async with carried() as line:
        await greet(line)
        line.model.incoming.put_nowait(ConnectionClosedError(None, None))

    assert (line.outcome.reason, line.outcome.fallback) == ("model_lost", True)
    assert line.phone.is_closed.is_set()


async def test_garbage_from_both_sides_is_counted_and_survived():
    async with carried() as line:
        await greet(line)
        line.model.incoming.put_nowait("garbage")
        line.model.incoming.put_nowait(b"\xff")
        line.phone.incoming.put_nowait("[")
        line.phone.says(event="media", media={"payload": "f39/"})
        await line.model.gets("input_audio_buffer.append")
        speak(line, "i2", "r2", "Still here.")
        await line.phone.gets("media")
        await line.phone.close()

    assert line.outcome.unknown == 3


async def test_a_phone_that_takes_nothing_any_more_ends_the_call(monkeypatch):
    monkeypatch.setattr(bridge_module, "STUCK_S", 0.05)
    async with carried() as line:
        await greet(line)
        line.phone.blocks = True
        speak(line, "i2", "r2", "Anybody there?")

    assert (line.outcome.reason, line.outcome.fallback) == ("phone_stuck", False)


async def test_a_model_that_takes_nothing_any_more_is_given_up(monkeypatch):
    monkeypatch.setattr(bridge_module, "STUCK_S", 0.05)
    async with carried() as line:
        await greet(line)
        line.model.blocks = True
        line.phone.says(event="media", media={"payload": "f39/"})

    assert (line.outcome.reason, line.outcome.fallback) == ("model_stuck", True)


async def test_an_error_of_our_own_keeps_the_caller():
    async with carried() as line:
        await greet(line)
        line.effects.record = None  # a bug: calling it raises
        line.phone.says(event="mark", mark={"name": "0:i1:500"})

    assert (line.outcome.reason, line.outcome.fallback) == ("internal_error", True)


@pytest.mark.parametrize("status", [401, 403, 429, 500])
async def test_a_model_that_refuses_the_connection(status):
    def refuse(connection, request):
        return connection.respond(status, "no")

    async with serve(lambda connection: None, "127.0.0.1", 0, process_request=refuse) as server:
        port = server.sockets[0].getsockname()[1]
        base_url = f"http://127.0.0.1:{port}/v1"
        async with carried(connect=lambda: connect_model(base_url, "m", "key")) as line:
            pass

    assert (line.outcome.reason, line.outcome.fallback) == ("model_refused", True)


async def test_a_model_that_is_not_there():
    with nobody() as nowhere:
        async with carried(connect=lambda: connect_model(f"{nowhere}/v1", "m", "key")) as line:
            pass

    assert (line.outcome.reason, line.outcome.fallback) == ("model_unreachable", True)


async def test_a_model_that_never_answers_the_handshake():
    with socket.create_server(("127.0.0.1", 0)) as listener:  # connects, and never says a word
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"

        def connect():
            return connect_model(base_url, "m", "key", open_timeout_s=0.05)

        async with carried(connect=connect) as line:
            pass

    assert (line.outcome.reason, line.outcome.fallback) == ("model_unreachable", True)


async def test_the_model_is_asked_for_by_name_with_the_key():
    seen = asyncio.Queue()

    async def listen(connection):
        seen.put_nowait((connection.request.path, connection.request.headers))
        await connection.wait_closed()

    async with serve(listen, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect_model(f"http://127.0.0.1:{port}/v1/", "offline/powersports", "key"):
            path, headers = await seen.get()

    assert path == "/v1/realtime?model=offline%2Fpowersports"
    assert headers["Authorization"] == "Bearer key"
    assert "OpenAI-Beta" not in headers
    assert "Sec-WebSocket-Extensions" not in headers
