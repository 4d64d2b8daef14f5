"""`make bench`: what a call costs. Prints figures and judges nothing.

The server runs in a process of its own; phones and a model, both as lean as can be, run here. The
model sends every frame of the caller straight back as its own speech, so a frame's round trip is
the latency that the server adds in both directions together.
"""

import argparse
import asyncio
import base64
import json
import os
import re
import secrets
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tools.activation import SERVE
from tools.emulators.serving import listen
from tools.emulators.twilio.signing import sign

FRAME_S = 0.02
FRAME_BYTES = 160
ORIGIN = "https://ivr.example.test"
SID, TOKEN = "AC" + "0" * 32, secrets.token_hex(16)
CALLED = "+18005551212"
INTERRUPT_EVERY = 100  # frames: every two seconds the model hears the caller begin to speak
TOKEN_IN_TWIML = re.compile(r'name="token" value="([^"]+)"')


@dataclass(slots=True)
class Figures:
    """Milliseconds, as they were measured."""

    webhook: list[float] = field(default_factory=list)
    round_trip: list[float] = field(default_factory=list)
    clear: list[float] = field(default_factory=list)
    sent: int = 0
    returned: int = 0
    interrupted: dict[int, float] = field(default_factory=dict)  # by phone: when the model said so

    def clear_sheet(self) -> None:
        """Begin anew."""
        for sheet in (self.webhook, self.round_trip, self.clear):
            sheet.clear()
        self.sent = self.returned = 0


async def bench(counts: Sequence[int], seconds: float, console: Console) -> None:
    """Measure so many calls at once, one count after the other, on one server."""
    figures = Figures()
    table = Table(
        "calls",
        "webhook",
        "round trip",
        "clear",
        "lost",
        "CPU",
        "KiB",
        title="One server process; p50 / p99 in ms; lost frames; CPU ms and KiB per call(-second)",
        title_justify="left",
    )
    with tempfile.TemporaryDirectory() as folder:
        async with _model(figures) as model_url, _server(Path(folder), model_url) as (url, server):
            console.print(f"start to ready: {await _ready(url):.1f} s")
            for count in counts:
                figures.clear_sheet()
                table.add_row(str(count), *await _measure(url, server, figures, count, seconds))
    console.print(table)


async def _measure(
    url: str, server: psutil.Process, figures: Figures, count: int, seconds: float
) -> list[str]:
    rss, cpu = server.memory_info().rss, _cpu_s(server)
    async with httpx.AsyncClient() as http, asyncio.TaskGroup() as phones:
        for number in range(count):
            phones.create_task(_phone(http, url, number, seconds, figures))
        await asyncio.sleep(seconds * 0.8)
        peak = server.memory_info().rss
    used_ms = (_cpu_s(server) - cpu) * 1000
    return [
        _spread(figures.webhook),
        _spread(figures.round_trip),
        _spread(figures.clear),
        str(figures.sent - figures.returned),
        f"{used_ms / (count * seconds):.2f}",
        f"{(peak - rss) / 1024 / count:.0f}",
    ]


async def _phone(
    http: httpx.AsyncClient, url: str, number: int, seconds: float, figures: Figures
) -> None:
    call_sid = f"CA{secrets.token_hex(16)}"
    token = await _ring(http, url, call_sid, number, figures)
    async with connect(
        url.replace("http", "ws", 1) + "/twilio/voice/stream",
        additional_headers={"x-twilio-signature": sign(TOKEN, _stream_url())},
        compression=None,
        proxy=None,
    ) as phone:
        stream_sid = f"MZ{secrets.token_hex(16)}"
        await phone.send(json.dumps(_start(stream_sid, call_sid, token)))
        ears = asyncio.create_task(_listen(phone, stream_sid, number, figures))
        await _speak(phone, stream_sid, number, seconds, figures)
        await asyncio.sleep(0.5)  # what is on its way comes back
        ears.cancel()


async def _ring(
    http: httpx.AsyncClient, url: str, call_sid: str, number: int, figures: Figures
) -> str:
    path = "/twilio/voice-realtime-proxied"
    form = {
        "CallSid": call_sid,
        "AccountSid": SID,
        "From": f"+1770555{number % 10000:04}",
        "To": CALLED,
        "CallStatus": "ringing",
    }
    headers = {"X-Twilio-Signature": sign(TOKEN, ORIGIN + path, form.items())}
    began = time.perf_counter()
    answer = await http.post(url + path, data=form, headers=headers, timeout=30)
    figures.webhook.append(_ms_since(began))
    found = TOKEN_IN_TWIML.search(answer.text)
    assert found, f"no stream was offered: HTTP {answer.status_code} {answer.text}"
    return found[1]


async def _speak(
    phone: ClientConnection, stream_sid: str, number: int, seconds: float, figures: Figures
) -> None:
    """Send a frame every 20 ms on an absolute schedule; each tells when and where it left."""
    began = time.perf_counter()
    for chunk in range(int(seconds / FRAME_S)):
        await asyncio.sleep(max(0.0, began + chunk * FRAME_S - time.perf_counter()))
        stamp = time.perf_counter_ns().to_bytes(8, "big")
        audio = (stamp + number.to_bytes(4, "big")).ljust(FRAME_BYTES, b"\0")
        payload = base64.b64encode(audio).decode()
        media = {
            "track": "inbound",
            "chunk": str(chunk + 1),
            "timestamp": str(chunk * 20),
            "payload": payload,
        }
        frame = {
            "event": "media",
            "sequenceNumber": str(chunk + 2),
            "streamSid": stream_sid,
            "media": media,
        }
        await phone.send(json.dumps(frame))
        figures.sent += 1


async def _listen(phone: ClientConnection, stream_sid: str, number: int, figures: Figures) -> None:
    """Take what comes back: a frame's age, marks to be echoed, the order to be silent."""
    async for text in phone:
        message = json.loads(text)
        match message["event"]:
            case "media":
                left_ns = int.from_bytes(base64.b64decode(message["media"]["payload"])[:8], "big")
                figures.round_trip.append((time.perf_counter_ns() - left_ns) / 1e6)
                figures.returned += 1
            case "mark":
                echo = {"event": "mark", "streamSid": stream_sid, "mark": message["mark"]}
                await phone.send(json.dumps(echo))
            case "clear":
                figures.clear.append(_ms_since(figures.interrupted[number]))


class _Parrot:
    """A model that says what it hears, and every two seconds takes it for an interruption."""

    def __init__(self, socket: ServerConnection, figures: Figures) -> None:
        self._socket = socket
        self._figures = figures
        self._heard = 0
        self._response = 0

    async def run(self) -> None:
        await self._say("session.created", session={"type": "realtime"})
        async for text in self._socket:
            message = json.loads(text)
            match message["type"]:
                case "session.update":
                    await self._say("session.updated", session=message["session"])
                case "response.create":
                    await self._begin()
                case "input_audio_buffer.append" if self._response:
                    await self._repeat(message["audio"])

    async def _repeat(self, audio: str) -> None:
        self._heard += 1
        await self._say(
            "response.output_audio.delta",
            response_id=f"resp_{self._response}",
            item_id=f"item_{self._response}",
            output_index=0,
            content_index=0,
            delta=audio,
        )
        if self._heard % INTERRUPT_EVERY == 0:
            await self._interrupt(int.from_bytes(base64.b64decode(audio)[8:12], "big"))

    async def _interrupt(self, number: int) -> None:
        self._figures.interrupted[number] = time.perf_counter()
        item = f"caller_{self._heard}"
        await self._say("input_audio_buffer.speech_started", audio_start_ms=0, item_id=item)
        await self._say("response.done", response=self._object("cancelled"))
        await self._say("input_audio_buffer.speech_stopped", audio_end_ms=0, item_id=item)
        await self._begin()

    async def _begin(self) -> None:
        self._response += 1
        await self._say("response.created", response=self._object("in_progress"))

    def _object(self, status: str) -> dict[str, Any]:
        return {"id": f"resp_{self._response}", "object": "realtime.response", "status": status}

    async def _say(self, kind: str, **content: Any) -> None:
        await self._socket.send(json.dumps({"type": kind, "event_id": "event_1", **content}))


@asynccontextmanager
async def _model(figures: Figures) -> AsyncIterator[str]:
    async def answer(socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await _Parrot(socket, figures).run()

    async with serve(answer, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"http://127.0.0.1:{port}/v1"


@asynccontextmanager
async def _server(folder: Path, model_url: str) -> AsyncIterator[tuple[str, psutil.Process]]:
    environment = {
        "PATH": os.environ["PATH"],
        "PUBLIC_BASE_URL": ORIGIN,
        "OPENAI_API_KEY": "bench",
        "OPENAI_BASE_URL": model_url,
        "TWILIO_SID": SID,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "MAX_CONCURRENT_CALLS": "10000",
        "EXTRACTION_RUNS": "1",
    }
    with (folder / "server.log").open("wb") as log, listen() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        process = await asyncio.create_subprocess_exec(
            *SERVE, cwd=folder, env=environment, stdin=listener.fileno(), stdout=log, stderr=log
        )
    try:
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        await process.wait()


async def _ready(url: str) -> float:
    """Wait until the server takes calls; return the seconds since it was asked for."""
    began = time.perf_counter()
    async with httpx.AsyncClient() as http, asyncio.timeout(60):
        while True:
            with suppress(httpx.TransportError):
                if (await http.get(f"{url}/health/ready")).is_success:
                    return time.perf_counter() - began
            await asyncio.sleep(0.05)


def _start(stream_sid: str, call_sid: str, token: str) -> dict[str, Any]:
    start = {
        "accountSid": SID,
        "streamSid": stream_sid,
        "callSid": call_sid,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": token},
    }
    return {"event": "start", "sequenceNumber": "1", "streamSid": stream_sid, "start": start}


def _stream_url() -> str:
    return ORIGIN.replace("https", "wss", 1) + "/twilio/voice/stream"


def _cpu_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000


def _spread(figures: Sequence[float]) -> str:
    if len(figures) < 2:
        return "-"
    cuts = statistics.quantiles(figures, n=100)
    return f"{cuts[49]:.1f} / {cuts[98]:.1f}"


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", default="1,10,50", help="how many at once, e.g. 1,10,100")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each call")
    options = parser.parse_args()
    counts = [int(count) for count in options.calls.split(",")]
    asyncio.run(bench(counts, options.seconds, Console()))


if __name__ == "__main__":
    main()
