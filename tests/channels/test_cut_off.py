"""A call that breaks off goes on by SMS, and who calls again is known: whole roads, with no key."""

from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from ivr.db.tables import SubmissionState
from ivr.leads import profile as profiles
from tests.calls.world import World, by_gather, world
from tests.leads.cast import JOHN, LEAD, until
from tools.emulators.twilio.call import Call
from tools.emulators.twilio.texter import Texter

BUSINESS = "+18005551212"
THREE = (("first and last name", "John Doe"), ("ZIP code", "30093"), ("Is that right", "yes"))
AT_ANY_HOUR = {"follow_up_first_hour": 0, "follow_up_last_hour": 24}
GRACE = 0.3


@pytest.fixture
def following(tmp_path: Path) -> str:
    """The path of a profile that is `powersports` but may write to who was cut off."""
    text = (Path(profiles.__file__).parents[1] / "profiles" / "powersports.toml").read_text()
    path = tmp_path / "following.toml"
    path.write_text(f"follow_up = true\n{text}")
    return str(path)


def phones(url: str, following: str) -> AbstractAsyncContextManager[World]:
    return world(
        url,
        door="/twilio/voice-ivr",
        profile=following,
        openai_api_key=None,
        twilio_phone_number=BUSINESS,
        episode_grace_seconds=GRACE,
        **AT_ANY_HOUR,
    )


async def cut_off(w: World) -> Call:
    """Call, give name and ZIP, and be cut off in the middle of the next question."""
    call = await w.twilio.call(from_=JOHN, to=BUSINESS)
    await by_gather(call, THREE)
    await call.gathering()
    await call.hang_up()
    return call


def has_more(texter: Texter, than: int) -> bool:
    return len(texter.received) > than


async def is_sent(w: World) -> bool:
    return len((await w.books()).succeeded) == 1


async def test_a_call_breaks_off_and_the_contact_finishes_it_by_sms(
    database_url: str, following: str
) -> None:
    async with phones(database_url, following) as w:
        john = w.twilio.texter(JOHN, BUSINESS)
        await cut_off(w)
        await until(lambda: len(john.received) == 1)
        assert "sorry, we were cut off" in john.received[0]["body"]
        assert w.npa.requests == []
        for words in ("2020", "Yamaha", "MT-07", "yes"):
            before = len(john.received)
            await john.text(words)
            await until(partial(has_more, john, before))
        await until(lambda: is_sent(w))
        books = await w.books()

    (succeeded,) = books.succeeded
    assert (succeeded.lead_data, succeeded.channel) == (LEAD, "sms")
    assert len(books.leads) == len(books.contacts) == 1
    assert [it.channel for it in books.conversations] == ["voice", "sms"]
    assert [it.state for it in books.submissions] == [
        SubmissionState.RESOLVED,
        SubmissionState.SUCCEEDED,
    ]


async def test_who_calls_again_is_greeted_by_name_and_asked_only_for_what_is_missing(
    sqlite_url: str, following: str
) -> None:
    async with phones(sqlite_url, following) as w:
        await cut_off(w)
        await until(lambda: bool(w.twilio.messages))
        again = await w.twilio.call(from_=JOHN, to=BUSINESS)
        said = (await again.gathering()).children[0].text
        assert "Hello John Doe" in said and "ZIP" not in said
        rest = (("best one to reach you", "yes"), ("year", "2020"), ("make", "Yamaha"))
        await by_gather(again, [*rest, ("model", "MT-07")])
        await until(lambda: is_sent(w))
        books = await w.books()

    assert [it.lead_data for it in books.succeeded] == [LEAD]
    assert len(books.leads) == 1


async def test_who_is_somebody_else_says_so_and_is_not_told_of_the_first(
    sqlite_url: str, following: str
) -> None:
    async with phones(sqlite_url, following) as w:
        await cut_off(w)
        await until(lambda: bool(w.twilio.messages))
        other = await w.twilio.call(from_=JOHN, to=BUSINESS)
        assert "Hello John Doe" in (await other.gathering()).children[0].text
        await other.answer(speech="This is not John")
        await by_gather(other, [("first and last name", "Mary Major"), ("ZIP code", "30301")])
        await other.gathering()
        await other.hang_up()

        async def is_over() -> bool:
            return all(it.finished_at for it in (await w.books()).conversations if it.ended_at)

        await until(is_over)
        books = await w.books()

    john, mary = books.leads
    given = {(it.lead_id, it.name): it.value for it in books.values if it.value}
    assert given[john.id, "zip_code"] == "30093" and given[mary.id, "zip_code"] == "30301"
    assert given[john.id, "full_name"] == "John Doe"
    assert given[mary.id, "full_name"] == "Mary Major"
