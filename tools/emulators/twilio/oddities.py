"""What a hostile or broken peer does once in a stream, by the switches in `faults.py`."""

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed, InvalidStatus

from tools.emulators.twilio import frames
from tools.emulators.twilio.account import new_sid
from tools.emulators.twilio.record import Record

if TYPE_CHECKING:
    from tools.emulators.twilio.stream import Stream

NAMES = ("unknown_event", "binary_frame", "oversized_frame", "second_start", "replay_token")
OVERSIZED_BYTES = 64 * 1024  # of audio: a third more as base64


async def perform(stream: "Stream", record: Record) -> None:
    """Do each thing that is switched on and has not been done on this stream yet."""
    for name in NAMES:
        if getattr(record.account.faults, name) and name not in stream.oddities_done:
            stream.oddities_done.add(name)
            record.note("fault", name)
            await _do(name, stream, record)


async def _do(name: str, stream: "Stream", record: Record) -> None:
    match name:
        case "unknown_event":
            await stream.send(frames.UNKNOWN)
        case "binary_frame":
            await stream.send_raw(frames.SILENT_FRAME)
        case "oversized_frame":
            await stream.send(frames.media(1, 0, bytes(OVERSIZED_BYTES)))
        case "second_start":
            await stream.send(stream.start_message())
        case "replay_token":
            record.account.background(_replay(stream, record))


async def _replay(stream: "Stream", record: Record) -> None:
    """Open a second stream with the first one's parameters; note how it was refused.

    Once the first one speaks: of two at the same moment either may be the one that is let in.
    """
    with contextlib.suppress(TimeoutError):
        await record.facts.wait(lambda: bool(record.heard), record.account.patience_s)
    record.replays.append(await _outcome_of_replay(stream, record))
    record.note("replay", f"refused with {record.replays[-1]}")


async def _outcome_of_replay(stream: "Stream", record: Record) -> int | None:
    start = {**stream.start_message(), "streamSid": new_sid("MZ"), "sequenceNumber": "1"}
    start["start"] = {**start["start"], "streamSid": start["streamSid"]}
    try:
        async with record.account.dial_stream(stream.url) as socket:
            with contextlib.suppress(ConnectionClosed, TimeoutError):
                await socket.send(json.dumps(frames.CONNECTED))
                await socket.send(json.dumps(start))
                async with asyncio.timeout(record.account.patience_s / 2):
                    async for _ in socket:
                        pass
            return socket.close_code
    except InvalidStatus as error:
        return error.response.status_code
