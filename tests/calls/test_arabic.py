"""A client that speaks Arabic does so at the hard moments of a call, too (S2.20)."""

from xml.etree import ElementTree

from ivr.agent.language import detect
from tests.calls.test_admission import until_refusing
from tests.calls.transfers import PERSON
from tests.calls.world import by_gather, short, world
from tests.channels.test_arabic import speak_arabic

ASKS = "أريد التحدث مع موظف"
CALLER = "+966501234567"
NOBODY_FREE = "عذرًا، لا يوجد أحد متاح الآن. سيتصل بك أحد زملائنا."
NOBODY_THERE = "عذرًا، لا يستطيع أحد الرد على مكالمتك الآن. سنعاود الاتصال بك. مع السلامة."
BUSY = "عذرًا، جميع خطوطنا مشغولة. سنعاود الاتصال بك."
CALLED_BACK = "شكرًا لك. سنعاود الاتصال بك في أقرب وقت ممكن. مع السلامة."


async def test_who_meets_nobody_is_told_so(sqlite_url: str) -> None:
    async with world(
        sqlite_url, scenario=short(), door="/twilio/voice-ivr", profile="real_estate"
    ) as w:
        await speak_arabic(w.db, transfer_number=PERSON)
        w.twilio.account.dial_status = "no-answer"
        call = await w.ring(CALLER)
        await by_gather(call, [("ما اسمك", ASKS), (NOBODY_FREE, ASKS)])
        assert await call.ended() == "completed"
        await w.finished(call)
    assert call.sayings[-1] == NOBODY_THERE
    said = [say for one in call.webhooks for say in ElementTree.fromstring(one.body).iter("Say")]
    assert {say.get("language") for say in said} == {"ar-SA"}
    assert {detect(say.text or "") for say in said} == {"ar"}


async def test_who_is_turned_away_is_told_so(sqlite_url: str) -> None:
    async with world(sqlite_url, profile="real_estate", max_memory_mb=1) as w:
        await speak_arabic(w.db)
        await until_refusing(w, "memory")
        call = await w.ring(CALLER)
        assert BUSY in (await call.gathering()).children[0].text
        await by_gather(call, [("ما اسمك", "أحمد الحربي"), ("", "نعم")])
        assert await call.ended() == "completed"
        await w.finished(call)
    assert call.sayings[-1].endswith(CALLED_BACK)
