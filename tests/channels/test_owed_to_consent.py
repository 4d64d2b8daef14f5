"""STOP and a lead: who wants no messages is handed over at once, who is no lead is not."""

from functools import partial
from typing import Any

import pytest

from ivr.channels import desk
from ivr.db.tables import FieldValue, SubmissionState
from ivr.leads.delivery.waiting import WAITING
from tests.calls.world import World as Phones
from tests.channels.test_cut_off import BUSINESS, cut_off, following, has_more, is_sent, phones
from tests.channels.world import ANSWERS, World, world
from tests.leads.cast import JOHN, rows, until
from tools.emulators.twilio.texter import Texter

__all__ = ["following"]  # a fixture


async def followed_up(w: Phones) -> Texter:
    """Somebody whose call broke off, and who was written to."""
    john = w.twilio.texter(JOHN, BUSINESS)
    await cut_off(w)
    await until(lambda: len(john.received) == 1)

    async def is_waiting() -> bool:
        return [it.last_error for it in (await w.books()).submissions] == [WAITING]

    await until(is_waiting)
    return john


async def test_who_answers_stop_is_handed_over_at_once_and_not_to_be_texted(
    database_url: str, following: str
) -> None:
    async with phones(database_url, following) as w:
        john = await followed_up(w)
        await john.text("STOP")
        await until(lambda: is_sent(w))
        books = await w.books()
        (sent,) = w.npa.leads
    assert (sent["firstName"], sent["zip"], sent["okToText"]) == ("John", "30093", "false")
    assert "Do not text" in sent["additionalNotes"]
    assert [it.state for it in books.submissions] == [
        SubmissionState.RESOLVED,
        SubmissionState.SUCCEEDED,
    ]


async def test_what_they_write_after_a_stop_keeps_their_lead_from_nobody(
    database_url: str,
) -> None:
    async with world(database_url) as w:
        john = w.texter()
        for words in ANSWERS[:2]:
            await w.reply_to(john, words)
        await john.text("please stop texting me")
        await john.text("I have sold it anyway")
        books = await w.submitted()
    (succeeded,) = books.succeeded
    assert succeeded.lead_data["full_name"] == "John Doe"
    assert [it.end_reason for it in books.conversations] == ["opted_out"]


@pytest.mark.parametrize("words", ["STOP", "please stop texting me"])
async def test_a_stop_is_no_answer_to_what_was_asked(sqlite_url: str, words: str) -> None:
    async with world(sqlite_url) as w:
        john = w.texter()
        for said in ANSWERS[:6]:
            asked = await w.reply_to(john, said)
        await john.text(words)
        (succeeded,) = (await w.submitted()).succeeded
    assert "model" in asked
    assert succeeded.lead_data["vehicle_make"] == "Yamaha"
    assert succeeded.lead_data["vehicle_model"] is None


async def test_a_stop_is_no_answer_either_when_they_come_back(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        john = w.texter()
        for said in ANSWERS[:6]:
            await w.reply_to(john, said)
        for said in ("STOP", "START"):
            await john.text(said)
        await w.reply_to(john, "MT-07")
        typed = [it for it in await rows(w.db, FieldValue) if it.name == "vehicle_model"]
    assert {it.value for it in typed} == {"MT-07"}


async def test_what_they_wrote_just_before_a_stop_is_handed_over(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(database_url) as w:
        john = w.texter()
        for said in ANSWERS[:6]:
            await w.reply_to(john, said)
        monkeypatch.setattr(desk, "BURST_SECONDS", 1.5)
        await john.text("MT-07")
        await john.text("STOP")
        books = await w.submitted()
    (succeeded,) = books.succeeded
    assert succeeded.lead_data["vehicle_model"] == "MT-07"
    assert [it.text for it in books.turns if it.role == "user"][-2:] == ["MT-07", "STOP"]
    assert all(it.answered_at for it in books.events)


async def test_who_asks_whether_they_were_forgotten_is_still_a_lead(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        john = w.texter()
        for said in (*ANSWERS[:6], "did you forget about me?", "MT-07"):
            await w.reply_to(john, said)
        (succeeded,) = (await w.submitted()).succeeded
    assert succeeded.lead_data["vehicle_model"] == "MT-07"


async def test_who_wants_to_be_forgotten_is_handed_to_nobody(
    database_url: str, following: str
) -> None:
    async with phones(database_url, following) as w:
        john = await followed_up(w)
        await john.text("Please delete my number and all my data")

        async def is_held() -> bool:
            return [it.state for it in (await w.books()).submissions] == [
                SubmissionState.RESOLVED,
                SubmissionState.HELD,
            ]

        await until(is_held)
        books = await w.books()
        assert w.npa.requests == []
    assert "forget them" in books.failed[-1].error_message


async def test_a_wrong_number_takes_back_what_waits_and_a_real_answer_gives_it_again(
    database_url: str, following: str
) -> None:
    async with phones(database_url, following) as w:
        john = await followed_up(w)
        await john.text("Wrong number")
        (held,) = (await w.books()).submissions
        assert (held.state, w.npa.requests) == (SubmissionState.HELD, [])
        await until(lambda: len(john.received) == 2)
        for count, words in enumerate(("2020", "Yamaha", "MT-07", "yes"), 3):
            await john.text(words)
            await until(partial(has_more, john, count - 1))
        await until(lambda: is_sent(w))
        (sent,) = w.npa.leads
    assert sent["model"] == "MT-07"


async def contact_in_list(w: World) -> Any:
    (brief,) = (await w.http.get("/api/v1/leads")).json()["items"]
    return brief["contact"]["name"]


async def test_a_name_is_in_the_list_while_they_still_write(database_url: str) -> None:
    async with world(database_url) as w:
        john = w.texter()
        await w.reply_to(john, ANSWERS[0])
        assert await contact_in_list(w) is None
        await w.reply_to(john, "John Doe")
        assert await contact_in_list(w) == "John Doe"
        (conversation,) = (await w.books()).conversations
        assert conversation.status == "open"
