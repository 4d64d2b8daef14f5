"""Without a key: real audio, heard by this machine's own voice, through the whole road."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise

from ivr.app import create_app
from ivr.db import Database
from ivr.db.secret_key import hash_key
from ivr.db.tables import Turn
from ivr.settings import Settings
from tests.calls.world import NPA_PASSWORD, NPA_USER, PUBLIC, SID, TOKEN
from tests.leads.cast import until
from tools.call_page import CallPages, Page
from tools.caller import talk
from tools.demo_audio import Script, load_script
from tools.emulators.npa import NpaEmulator
from tools.emulators.serving import listen, serve
from tools.emulators.twilio import TwilioEmulator
from tools.emulators.twilio.call import Call

# Ears and mouth work in real time; pauses and play-out need not.
SPEED = 3.0


@asynccontextmanager
async def offline_world(
    database_url: str,
) -> AsyncIterator[tuple[TwilioEmulator, NpaEmulator, CallPages]]:
    with listen() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with (
            NpaEmulator(username=NPA_USER, password=NPA_PASSWORD) as npa,
            TwilioEmulator(
                SID,
                TOKEN,
                webhook=f"{url}/twilio/voice-realtime-proxied",
                public_base_url=PUBLIC,
                speed=SPEED,
                patience_s=90,
            ) as twilio,
        ):
            settings = Settings(
                _env_file=None,
                database_url=database_url,
                twilio_sid=SID,
                twilio_auth_token=TOKEN,
                twilio_api_base_url=twilio.api_base_url,
                public_base_url=PUBLIC,
                npa_api_base_url=npa.base_url,
                npa_api_username=NPA_USER,
                npa_api_password=NPA_PASSWORD,
            )
            async with serve(create_app(settings), listener=listener, ws_max_size=64 * 1024):
                db = Database(settings.database_url, hash_key=hash_key(settings))
                try:
                    yield twilio, npa, CallPages(db)
                finally:
                    await db.close()


async def sell(twilio: TwilioEmulator, pages: CallPages, script: Script, number: int) -> Page:
    """Call from a number of one's own, answer every question, and wait for the lead's row."""
    call = await twilio.call(from_=f"+1770555{number:04}", to=script.called)

    async def turns() -> Sequence[Turn]:
        return (await pages.page(call.sid)).turns

    await talk(call, script.answers, turns)
    assert await call.ended() == "completed"
    assert_in_order(call)

    async def is_delivered() -> bool:
        return (await pages.page(call.sid)).succeeded is not None

    await until(is_delivered)
    return await pages.page(call.sid)


def assert_in_order(call: Call) -> None:
    """Every frame that was sent was played, as it was sent and in the order of its marks."""
    sent = [m["media"]["payload"] for m in call.received if m["event"] == "media"]
    audio = b"".join(map(base64.b64decode, sent))
    assert call.clear_count == 0, "nobody interrupted"
    assert bytes(call.heard) == audio
    marks = [mark.split(":") for mark in call.marks_echoed if mark.count(":") == 2]
    assert len(marks) == len(sent), "each piece is followed by its mark"
    for (_, item, ms), (_, next_item, next_ms) in pairwise(marks):
        assert item != next_item or int(ms) < int(next_ms)


async def test_ten_callers_at_once_all_get_through_with_every_field_right(sqlite_url: str) -> None:
    script = load_script("demo")
    async with offline_world(sqlite_url) as (twilio, npa, pages):
        async with asyncio.TaskGroup() as callers:
            calls = [
                callers.create_task(sell(twilio, pages, script, number))
                for number in range(100, 110)
            ]
        sold = [call.result() for call in calls]

    for number, page in enumerate(sold, start=100):
        assert page.succeeded is not None
        expected = {**script.expected, "phone": f"+1770555{number:04}"}
        assert page.succeeded.lead_data == expected
    assert len(npa.requests) == len(npa.leads) == 10
