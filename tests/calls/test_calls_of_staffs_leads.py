"""Who calls while one of our people has their lead: the assistant answers, and staff know."""

from pathlib import Path
from typing import Any

import pytest

from ivr.db.tables import Message, Purpose, utc_now
from ivr.leads.attention import escalations
from tests.calls.world import World, by_gather, world
from tests.leads.cast import JOHN, rows, strict_profile

STAFF = "+18005550177"
BUSINESS = "+18005551212"
BY_KEYPAD: dict[str, Any] = {
    "door": "/twilio/voice-ivr",
    "openai_api_key": None,
    "twilio_phone_number": BUSINESS,
    "staff_phone_number": STAFF,
    "episode_grace_seconds": 0.3,
}


async def call_once(w: World) -> None:
    call = await w.twilio.call(from_=JOHN, to=BUSINESS)
    await by_gather(call, [("first and last name", "John Doe")])
    await call.gathering()
    await call.hang_up()
    await w.finished(call)


async def told(w: World) -> list[str]:
    """What staff read of calls."""
    found = [it for it in await rows(w.db, Message) if it.purpose == Purpose.STAFF]
    assert {it.recipient for it in found} <= {STAFF}
    return [it.body for it in found if "is calling" in it.body]


async def hand_over(w: World, who: str | None) -> None:
    (conversation,) = (await w.books()).conversations
    async with w.db.write() as session:
        await escalations.hand_over(session, conversation, "a dear client", who=who, now=utc_now())


@pytest.mark.parametrize("who", ["Sarah", None])
async def test_who_has_the_lead_reads_once_that_its_person_calls(
    database_url: str, tmp_path: Path, who: str | None
) -> None:
    profile = strict_profile(tmp_path)  # the lead stays with us
    async with world(database_url, profile=profile, **BY_KEYPAD) as w:
        await call_once(w)
        assert await told(w) == []
        await hand_over(w, who)
        again = await w.twilio.call(from_=JOHN, to=BUSINESS)
        said = (await again.gathering()).children[0].text
        (text,) = await told(w)
        await again.answer(speech="30093")
        await again.gathering()
        await again.hang_up()
        await w.finished(again)
        assert await told(w) == [text], "once per call"
        third = await w.twilio.call(from_=JOHN, to=BUSINESS)
        await third.gathering()
        assert len(await told(w)) == 2
        await third.hang_up()
        await w.finished(third)
    assert "Hello John Doe" in said, "the assistant answers"
    assert ("with Sarah" if who else "who waits for you") in text
    assert "Known: John Doe" in text and JOHN not in text
