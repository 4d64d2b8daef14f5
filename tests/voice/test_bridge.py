"""The bridge carries a call between two sockets in memory, and survives the death of either."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosedError

from ivr.agent.tool_output import ToolOutput
from ivr.voice import bridge as bridge_module
from ivr.voice.bridge import Bridge
from ivr.voice.call import Call
from ivr.voice.model_socket import connect_model
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
        self.refused = []

    @property
    def unsent(self):
        return len(self.refused)

    async def listen(self, deliver):
        while (text := await self.incoming.get()) is not CLOSED:
            if isinstance(text, Exception):
                raise text
            deliver(text)

    def write(self, text):
        if self.blocks:
            self.refused.append(text)
        elif not self.is_closed.is_set():
            self.sent.put_nowait(json.loads(text))

    async def close(self):
        self.is_closed.set()
        self.incoming.put_nowait(CLOSED)

    def says(self, **message):
        self.incoming.put_nowait(json.dumps(message))

    async def gets(self, word):
        """Return the next message of that type or event, dropping what comes before it."""
        async with asyncio.timeout(30):
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
async def carried(*, limits=None, connect=None, models=1):
    """A call on a running bridge; it is over, with its outcome, when the block ends."""
    phone, effects = Socket(), Effects()
    sockets = [Socket() for _ in range(models)]
    waiting = iter(sockets)
    may_connect, is_connecting = asyncio.Event(), asyncio.Event()
    may_connect.set()

    @asynccontextmanager
    async def opened():
        model = next(waiting)
        is_connecting.set()
        await may_connect.wait()
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
        phone=phone,
        model=sockets[0],
        models=sockets,
        may_connect=may_connect,
        is_connecting=is_connecting,
        effects=effects,
        bridge=bridge,
        running=running,
        outcome=None,
    )
    try:
        yield line
        async with asyncio.timeout(30):
            line.outcome = await line.running
    finally:
        running.cancel()


async def configure(line, model):
    await model.gets("session.update")
    model.says(type="session.updated", session={})


async def greet(line):
    await configure(line, line.model)
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
        await asyncio.wait_for(line.phone.is_closed.wait(), 30)

    assert line.outcome.reason == "goodbye"
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


async def test_a_model_that_dies_is_connected_anew():
    async with carried(models=2) as line:
        await greet(line)
        line.model.incoming.put_nowait(ConnectionClosedError(None, None))
        await configure(line, line.models[1])
        line.phone.says(event="media", media={"payload": "f39/"})
        assert (await line.models[1].gets("input_audio_buffer.append"))["audio"] == "f39/"
        await line.phone.close()

    assert line.outcome.reason == "caller_hung_up"


async def test_a_model_that_dies_twice_leaves_the_caller_to_the_fallback():
    async with carried(models=2) as line:
        await greet(line)
        line.model.incoming.put_nowait(ConnectionClosedError(None, None))
        await configure(line, line.models[1])
        line.models[1].incoming.put_nowait(CLOSED)

    assert line.outcome.reason == "model_lost"
    assert line.phone.is_closed.is_set()


async def test_an_expired_session_is_closed_and_not_listened_to_any_more():
    async with carried(models=2) as line:
        await greet(line)
        line.model.says(type="error", error={"type": "e", "code": "session_expired"})
        speak(line, "i9", "r9", "Too late.")
        await line.model.is_closed.wait()
        await configure(line, line.models[1])
        await line.phone.close()

    assert "Too late." not in [turn.text for turn in line.effects.turns]


async def test_a_session_serves_on_until_its_successor_is_connected():
    async with carried(models=2, limits=Limits(session_s=0.01)) as line:
        await greet(line)
        line.may_connect.clear()
        line.is_connecting.clear()
        line.phone.says(event="mark", mark={"name": "0:i1:500"})
        await line.is_connecting.wait()
        line.phone.says(event="media", media={"payload": "f39/"})
        assert (await line.model.gets("input_audio_buffer.append"))["audio"] == "f39/"
        line.may_connect.set()
        await line.model.is_closed.wait()
        await configure(line, line.models[1])
        await line.phone.close()

    assert line.outcome.reason == "caller_hung_up"


async def test_a_session_that_comes_in_a_goodbye_leaves_the_caller_to_the_one_that_serves():
    async with carried(models=2, limits=Limits(session_s=0.01)) as line:
        await greet(line)
        line.may_connect.clear()
        line.is_connecting.clear()
        line.phone.says(event="mark", mark={"name": "0:i1:500"})
        await line.is_connecting.wait()
        speak(line, "i2", "r2", "Thank you, goodbye.")
        await line.phone.gets("mark")
        line.may_connect.set()
        await line.models[1].is_closed.wait()
        line.phone.says(event="media", media={"payload": "f39/"})
        assert (await line.model.gets("input_audio_buffer.append"))["audio"] == "f39/"
        await line.phone.close()

    assert line.models[1].sent.empty()
    assert line.outcome.reason == "caller_hung_up"


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
    monkeypatch.setattr(bridge_module, "HEARTBEAT_S", 0.02)
    async with carried() as line:
        await greet(line)
        monkeypatch.setattr(bridge_module, "STUCK_S", 0.05)
        line.phone.blocks = True
        speak(line, "i2", "r2", "Anybody there?")

    assert line.outcome.reason == "phone_stuck"


async def test_a_model_that_takes_nothing_any_more_is_replaced(monkeypatch):
    monkeypatch.setattr(bridge_module, "HEARTBEAT_S", 0.02)
    async with carried(models=2) as line:
        await greet(line)
        line.model.blocks = True
        line.phone.says(event="media", media={"payload": "f39/"})
        with monkeypatch.context() as soon:
            soon.setattr(bridge_module, "STUCK_S", 0.05)
            await line.model.is_closed.wait()
        await configure(line, line.models[1])
        await line.phone.close()

    assert line.outcome.reason == "caller_hung_up"


async def test_an_error_of_our_own_keeps_the_caller():
    async with carried() as line:
        await greet(line)
        line.effects.record = None  # a bug: calling it raises
        line.phone.says(event="mark", mark={"name": "0:i1:500"})

    assert line.outcome.reason == "internal_error"


@pytest.mark.parametrize(("door", "broken"), [("stop", "stop"), ("line_closed", "receive")])
async def test_an_error_of_one_call_does_not_reach_who_ends_it_from_outside(
    monkeypatch, door, broken
):
    def fail(*_, **__):
        monkeypatch.undo()
        raise AssertionError("a bug")

    async with carried() as line:
        await greet(line)
        monkeypatch.setattr(Call, broken, fail)
        getattr(line.bridge, door)()

    assert line.outcome.reason == "internal_error"
    assert line.phone.is_closed.is_set()


@pytest.mark.parametrize("status", [401, 403, 429, 500])
async def test_a_model_that_refuses_the_connection(status):
    def refuse(connection, request):
        return connection.respond(status, "no")

    async with serve(lambda connection: None, "127.0.0.1", 0, process_request=refuse) as server:
        port = server.sockets[0].getsockname()[1]
        base_url = f"http://127.0.0.1:{port}/v1"
        async with carried(connect=lambda: connect_model(base_url, "m", "key")) as line:
            pass

    assert line.outcome.reason == "model_refused"


async def test_a_model_that_is_not_there():
    with nobody() as nowhere:
        async with carried(connect=lambda: connect_model(f"{nowhere}/v1", "m", "key")) as line:
            pass

    assert line.outcome.reason == "model_unreachable"


async def test_a_model_that_never_answers_the_handshake():
    with socket.create_server(("127.0.0.1", 0)) as listener:  # connects, and never says a word
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"

        def connect():
            return connect_model(base_url, "m", "key", open_timeout_s=0.05)

        async with carried(connect=connect) as line:
            pass

    assert line.outcome.reason == "model_unreachable"


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
