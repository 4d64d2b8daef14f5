"""SMS: from the first message to the buyer, who may write, and what is answered when."""

import asyncio
from datetime import timedelta
from xml.etree import ElementTree

import httpx
import pytest

from ivr.channels import desk
from ivr.db.tables import ConsentAction, ConsentEvent, ReviewItem
from tests.calls.world import PUBLIC, TOKEN
from tests.channels.world import ANSWERS, BUSINESS, JOHN, World, world
from tests.leads.cast import LEAD, rows, until
from tools.emulators.twilio.signing import sign

DOORS = ("/twilio/sms", "/webhooks/sms/inbound")


async def test_a_lead_by_sms_reaches_the_buyer_with_no_key(database_url: str) -> None:
    async with world(database_url) as w:
        john = w.texter()
        for words in ANSWERS:
            said = await w.reply_to(john, words)
        books = await w.submitted()

    assert "Goodbye" in said
    (lead,) = books.succeeded
    assert (lead.channel, lead.lead_data) == ("sms", LEAD)
    assert len(books.submissions) == len(books.contacts) == len(books.leads) == 1
    assert [turn.text for turn in books.turns if turn.role == "user"] == list(ANSWERS)


@pytest.mark.parametrize("door", DOORS)
async def test_both_doors_answer_at_once_and_reply_by_message(sqlite_url: str, door: str) -> None:
    async with world(sqlite_url) as w:
        john = w.texter(url=door)
        exchange = await john.text("Hello")
        await until(lambda: len(john.received) == 1)

    assert exchange.status == 200 and exchange.content_type.startswith("text/xml")
    assert list(ElementTree.fromstring(exchange.body)) == []


async def test_the_same_message_again_changes_nothing(database_url: str) -> None:
    async with world(database_url) as w:
        john = w.texter()
        letter = john.letter("Hello")
        await asyncio.gather(*(john.post(letter) for _ in range(5)))
        await until(lambda: len(john.received) == 1)
        await john.post(letter)
        await w.reply_to(john, "John Doe")
        books = await w.books()

    assert [turn.role for turn in books.turns] == ["user", "assistant"] * 2
    assert len(john.received) == len(books.events) == 2


async def test_three_messages_at_once_get_one_answer(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(database_url) as w:
        john = w.texter()
        await w.reply_to(john, "Hi")
        monkeypatch.setattr(desk, "BURST_SECONDS", 6.0)
        monkeypatch.setattr(desk, "LEFT_AFTER", timedelta(seconds=60))
        for words in ("John Doe", "my zip is 30093", "it is a 2020 Yamaha"):
            await john.text(words)
        await until(lambda: len(john.received) == 2)
        turns = await w.turns(await w.conversation("sms"))

    assert [role for role, _ in turns] == ["user", "assistant", "user", "user", "user", "assistant"]


async def test_nobody_gets_in_without_twilios_signature(sqlite_url: str) -> None:
    form = {"MessageSid": "SM1", "From": JOHN, "To": BUSINESS, "Body": "Hello"}
    async with world(sqlite_url) as w:
        good = sign(TOKEN, f"{PUBLIC}/twilio/sms", form.items())
        signatures = {None: 403, "": 403, sign("other", f"{PUBLIC}/twilio/sms"): 403, good: 200}
        async with httpx.AsyncClient(base_url=w.url, trust_env=False, timeout=60) as http:
            for signature, status in signatures.items():
                headers = {} if signature is None else {"X-Twilio-Signature": signature}
                response = await http.post("/twilio/sms", data=form, headers=headers)
                assert response.status_code == status
            replayed = await http.post(
                "/twilio/sms", data=form, headers={"X-Twilio-Signature": good}
            )
        events = (await w.books()).events

    assert replayed.status_code == 200 and len(events) == 1


async def test_without_a_token_the_door_is_closed(sqlite_url: str) -> None:
    async with world(sqlite_url, twilio_auth_token=None) as w:
        exchange = await w.http.post("/twilio/sms", data={"MessageSid": "SM1"})
    assert exchange.status_code == 503


@pytest.mark.parametrize("lacking", ["MessageSid", "From"])
async def test_a_form_that_lacks_something_is_refused_by_name(
    sqlite_url: str, lacking: str
) -> None:
    form = {"MessageSid": "SM1", "From": JOHN, "To": BUSINESS, "Body": "Hello", lacking: ""}
    async with world(sqlite_url) as w:
        signature = sign(TOKEN, f"{PUBLIC}/twilio/sms", form.items())
        headers = {"X-Twilio-Signature": signature}
        response = await w.http.post("/twilio/sms", data=form, headers=headers)
    assert response.status_code == 400
    assert response.json()["detail"].startswith(f"{lacking}: ")


async def test_with_a_token_and_no_account_the_answer_is_the_reply(sqlite_url: str) -> None:
    async with world(sqlite_url, twilio_sid=None) as w:
        john = w.texter()
        letter = john.letter("Hello <you> & me")
        first, again = [await john.post(letter) for _ in range(2)]

    assert [one.tag for one in ElementTree.fromstring(first.body)] == ["Message"]
    assert first.body == again.body


# What contacts forbid


async def test_stop_is_kept_and_not_answered(database_url: str) -> None:
    async with world(database_url) as w:
        john = w.texter()
        await w.reply_to(john, "Hello")
        await john.text("Stop")
        await john.text("Are you there?")
        await until(lambda: _is_answered(w))
        await john.text("START")
        last = await w.reply_to(john, "John Doe")
        ledger = await rows(w.db, ConsentEvent)

    assert [event.action for event in ledger] == [ConsentAction.REVOKED, ConsentAction.GRANTED]
    assert len(john.received) == 2 and "ZIP" in last


async def _is_answered(w: World) -> bool:
    return all(event.answered_at for event in (await w.books()).events)


async def test_help_is_left_to_twilio(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        john = w.texter()
        await john.text("HELP")
        assert await _is_answered(w)
        await w.reply_to(john, "Hello")
    assert len(john.received) == 1


async def test_a_refusal_in_words_is_confirmed_once(database_url: str) -> None:
    async with world(database_url) as w:
        john = w.texter()
        await w.reply_to(john, "Hello")
        notice = await w.reply_to(john, "please stop texting me")
        await john.text("I said: please stop texting me")
        assert await _is_answered(w)
        ledger = await rows(w.db, ConsentEvent)

    assert "no more messages" in notice and len(john.received) == 2
    assert {(event.action, event.source) for event in ledger} == {("revoked", "free_text")}


async def test_yes_is_an_answer_unless_they_had_said_stop(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        john = w.texter()
        for words in ANSWERS[:3]:
            await w.reply_to(john, words)
        said = await w.reply_to(john, "YES")
        assert await rows(w.db, ConsentEvent) == []
    assert "year" in said


async def test_doubtful_words_are_shown_to_a_person(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        john = w.texter()
        await w.reply_to(john, "Hello")
        await w.reply_to(john, "My wife said stop texting me, haha")
        (item,) = await rows(w.db, ReviewItem)
    assert item.kind == "opt_out"


# What else arrives


async def test_a_picture_is_noted_and_answered(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        john = w.texter()
        url = f"{w.twilio.api_base_url}/2010-04-01/Accounts/AC/Messages/MM/Media/ME1"
        await w.reply_to(john, "", media=[(url, "image/jpeg")])
        turns = await w.turns(await w.conversation("sms"))
        incoming = (await w.messages())[0]

    assert turns[0] == ("user", "(sent 1 file(s): image/jpeg)")
    assert incoming.media == {"items": [{"url": url, "type": "image/jpeg"}]}


async def test_who_writes_again_after_the_goodbye_begins_the_next_episode(
    database_url: str,
) -> None:
    async with world(database_url) as w:
        john = w.texter()
        for words in ANSWERS:
            await w.reply_to(john, words)
        await w.submitted()
        await until(lambda: _is_finished(w))
        await w.reply_to(john, "One more thing: the tyres are new")
        conversation = await w.conversation("sms")
        books = await w.books()

    assert conversation.episode == 2 and conversation.status == "open"
    assert conversation.line_due_at is None
    assert len(books.succeeded) == 1


async def _is_finished(w: World) -> bool:
    return (await w.conversation("sms")).status == "finished"
