"""Two hundred people write at once, and the networks repeat and reorder what they write."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import httpx
import pytest

from ivr.channels import desk
from ivr.db.tables import Message
from ivr.leads import road
from tests.calls.world import PUBLIC, TOKEN
from tests.channels.world import BUSINESS, World, world
from tests.leads.cast import rows, until
from tools.emulators.twilio.signing import sign

CHATS, TEXTERS = 130, 70
WORDS = ("Hello", "John Doe")


async def test_no_turn_of_two_hundred_conversations_is_lost_doubled_or_crossed(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(road, "SCHEDULE_SECONDS", 1.0)  # there is enough to do
    monkeypatch.setattr(desk, "SWEEP_SECONDS", 1.0)
    dice = random.Random(4)
    async with world(database_url) as w:
        chats = [_chat(w, f"c{number}", dice) for number in range(CHATS)]
        texters = [_texts(w, number, dice) for number in range(TEXTERS)]
        answers = await asyncio.gather(*chats, *texters)
        await until(lambda: _all_answered(w), seconds=60)
        await _check(w)

    for said in answers[:CHATS]:  # each got the answers of its own conversation
        assert said is not None
        assert len({one["conversation_id"] for one in said}) == 1
        assert sorted({one["turn_count"] for one in said}) == [1, 2]


async def _chat(w: World, name: str, dice: random.Random) -> list[dict[str, object]]:
    """Say two things, one of them sent twice, in any order."""
    posts = [(f"{name}: {words}", f"{name}-{number}") for number, words in enumerate(WORDS)]
    posts.append(dice.choice(posts))
    dice.shuffle(posts)
    said = []
    for start in range(0, len(posts), 2):
        lot = [_post(w, name, *post) for post in posts[start : start + 2]]
        said += await asyncio.gather(*lot)
    return said


async def _post(w: World, name: str, words: str, key: str) -> dict[str, object]:
    body = {"message": words, "session_id": name}
    response = await _until_taken(
        lambda: w.http.post("/chat", json=body, headers={"Idempotency-Key": key})
    )
    answer: dict[str, object] = response.json()
    return answer


async def _texts(w: World, number: int, dice: random.Random) -> None:
    phone = f"+1770555{number:04}"
    forms = [
        {
            "MessageSid": f"SM{number}-{n}",
            "From": phone,
            "To": BUSINESS,
            "Body": f"{phone}: {words}",
        }
        for n, words in enumerate(WORDS)
    ]
    forms.append(dice.choice(forms))
    dice.shuffle(forms)
    for start in range(0, len(forms), 2):
        await asyncio.gather(*(_deliver(w, form) for form in forms[start : start + 2]))


async def _deliver(w: World, form: dict[str, str]) -> None:
    signature = sign(TOKEN, f"{PUBLIC}/twilio/sms", form.items())
    headers = {"X-Twilio-Signature": signature}
    await _until_taken(lambda: w.visitor.post("/twilio/sms", data=form, headers=headers))


async def _until_taken(send: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """Send it until it is answered: one that is busy says 503, and asking again does no harm."""
    while True:
        try:
            response = await send()
        except httpx.TransportError:  # the server closed an idle connection just then
            continue
        if response.status_code != 503:
            assert response.status_code == 200, response.text
            return response


async def _all_answered(w: World) -> bool:
    return all(event.answered_at for event in (await w.books()).events)


async def _check(w: World) -> None:
    books = await w.books()
    people = CHATS + TEXTERS
    assert len(books.conversations) == len(books.leads) == len(books.contacts) == people
    assert len(books.events) == people * len(WORDS)
    sent = [message for message in await rows(w.db, Message) if message.direction == "out"]
    for conversation in books.conversations:
        turns = [turn for turn in books.turns if turn.conversation_id == conversation.id]
        turns.sort(key=lambda turn: turn.position)
        heard = sorted(turn.text for turn in turns if turn.role == "user")
        name = heard[0].partition(":")[0]
        assert heard == sorted(f"{name}: {words}" for words in WORDS)
        assert len({turn.position for turn in turns}) == len(turns)
        replies = [turn.text for turn in turns if turn.role == "assistant"]
        if conversation.channel == "chat":
            assert [turn.role for turn in turns] == ["user", "assistant"] * len(WORDS)
        else:
            assert name == conversation.session_key
            theirs = [one for one in sent if one.conversation_id == conversation.id]
            assert [one.recipient for one in theirs] == [name] * len(theirs)
            assert sorted(one.body for one in theirs) == sorted(replies)
