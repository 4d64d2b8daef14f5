"""Who writes Arabic, or to a client that does, reads it also where no assistant answers (S2.20)."""

from typing import Any

import pytest
from sqlmodel import select

from ivr.agent.language import detect
from ivr.channels.answering import TextAssistant
from ivr.db import Database
from ivr.db.tables import Tenant
from ivr.leads.profile import load_profile
from tests.channels.world import BUSINESS, world
from tests.leads.cast import until

AHMED = "+966501234567"
HOMES = load_profile("real_estate").in_language("ar")
HELLO = "السلام عليكم، أبحث عن فيلا"
PERSON = "أريد التحدث مع موظف"
TO_PERSON = "سأحولك إلى أحد أفراد فريقنا، وسيرد عليك هنا."
LATER = "شكرًا لك. وصلتنا رسالتك، وسيتواصل معك أحد أفراد فريقنا."
HOW_TO_STOP = "أرسل STOP لإيقاف الرسائل."


async def speak_arabic(db: Database, **more: Any) -> None:
    """Have the one client speak Arabic first."""
    async with db.write() as session:
        tenant = (await session.exec(select(Tenant))).one()
        tenant.config = {"locale": "ar-SA", **more}


async def test_who_asks_for_a_person_in_a_chat_is_told_so(database_url: str) -> None:
    async with world(database_url, profile="real_estate") as w:
        first = await w.chat(PERSON)
        conversation = await w.conversation("chat")
        english = await w.chat("I want to talk to a human")
        await speak_arabic(w.db)
        unclear = await w.chat("agent")
    assert first["response"] == TO_PERSON and conversation.language == "ar"
    assert english["response"].startswith("I will hand you over to a person")
    assert unclear["response"] == TO_PERSON, "of who cannot be told, the client's language"


@pytest.mark.parametrize("whatsapp", [False, True])
async def test_who_asks_for_a_person_by_message_is_told_so(sqlite_url: str, whatsapp: bool) -> None:
    async with world(sqlite_url, profile="real_estate") as w:
        assert await w.reply_to(w.texter(AHMED, whatsapp=whatsapp), PERSON) == TO_PERSON


async def test_who_asks_for_a_person_in_a_live_chat_is_told_so(sqlite_url: str) -> None:
    async with world(sqlite_url, profile="real_estate") as w:
        body = {"session_id": "visitor-1", "message": PERSON}
        answer = await w.visitor.post("/webhooks/live-chat", json=body)
    assert answer.json()["response"] == TO_PERSON


async def test_who_gets_no_answer_of_an_assistant_gets_a_word(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(TextAssistant, "reply", broken)
    async with world(sqlite_url, profile="real_estate") as w:
        assert (await w.chat(HELLO))["response"] == LATER


@pytest.mark.parametrize(
    ("before", "words"), [(None, "توقف"), (HELLO, "توقف"), (HELLO, "STOP"), (HELLO, "لا تراسلوني")]
)
async def test_who_stops_is_told_how_to_begin_again(
    database_url: str, before: str | None, words: str
) -> None:
    async with world(database_url, profile="real_estate") as w:
        ahmed = w.texter(AHMED, whatsapp=True)
        if before:
            await w.reply_to(ahmed, before)
        notice = await w.reply_to(ahmed, words)
    assert notice == (f"{HOMES.name}: لن تصلك منا أي رسائل أخرى. أرسل START لتصلك رسائلنا من جديد.")


async def test_who_sends_a_form_is_asked_in_arabic_by_sms(database_url: str) -> None:
    form = {"name": "أحمد", "phone": AHMED, "message": HELLO, "consent": True}
    async with world(database_url, profile="real_estate") as w:
        said = (await w.http.post("/webhooks/web-form", json=form)).json()["response"]
        ahmed = w.texter(AHMED)
        await until(lambda: len(ahmed.received) == 1)
        by_sms = await w.conversation("sms")
    opening = f"شكرًا لك على رسالتك إلى {HOMES.name}."
    ask = HOMES.field("service_interest").ask
    assert said == "شكرًا لك. أرسلنا إليك رسالة نصية فيها سؤال."
    assert ahmed.received[0]["body"] == f"{opening} {ask} {HOW_TO_STOP}"
    assert by_sms.language == "ar"


async def test_who_sends_a_form_without_words_is_thanked(sqlite_url: str) -> None:
    async with world(sqlite_url, profile="real_estate") as w:
        await speak_arabic(w.db)
        form = {"name": "أحمد", "phone": AHMED}
        said = (await w.http.post("/webhooks/web-form", json=form)).json()["response"]
    assert said == LATER


async def test_whose_call_was_missed_is_written_to_in_the_clients_language(
    database_url: str,
) -> None:
    async with world(database_url, profile="real_estate") as w:
        await speak_arabic(w.db)
        await w.http.post("/webhooks/missed-call", json={"phone": AHMED, "called": BUSINESS})
        ahmed = w.texter(AHMED)
        await until(lambda: len(ahmed.received) == 1)
    opening = f"عذرًا، فاتتنا مكالمتك إلى {HOMES.name}. كيف يمكننا مساعدتك؟"
    assert ahmed.received[0]["body"] == f"{opening} {HOMES.field('name').ask} {HOW_TO_STOP}"


async def test_whose_call_was_missed_is_written_to_as_they_write(sqlite_url: str) -> None:
    async with world(sqlite_url, profile="real_estate") as w:
        ahmed = w.texter(AHMED)
        await w.reply_to(ahmed, HELLO)
        await w.http.post("/webhooks/missed-call", json={"phone": AHMED, "called": BUSINESS})
        await until(lambda: len(ahmed.received) == 2)
    assert detect(ahmed.received[1]["body"]) == "ar"
