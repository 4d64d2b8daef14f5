"""A written conversation in Arabic, without any model, from the greeting to the finished lead."""

import pytest

from ivr.db import Database
from ivr.leads.profile import Profile, load_profile
from tests.agent.text_world import Texter
from tests.leads.cast import settings_for

COURSES = load_profile("courses")
HOMES = load_profile("real_estate")
COURSE = (
    ["مرحبا، اسمي أحمد", "٠٣٠٠١٢٣٤٥٦٧", "أريد دراسة CTA", "بكالوريوس", "وظيفة أفضل"],
    {
        "name": "أحمد",
        "phone": "+923001234567",
        "selected_course": "CTA",
        "education_level": "بكالوريوس",
        "goal": "وظيفة أفضل",
    },
)
HOME = (
    ["أريد شراء شقة في الدمام بميزانية ٨٠٠ ألف ريال", "أحمد", "٠٥٠١٢٣٤٥٦٧", "الشهر القادم"],
    {
        "service_interest": "buy",
        "property_type": "apartment",
        "location": "Dammam",
        "budget": "800000 SAR",
        "name": "أحمد",
        "phone": "+966501234567",
        "timeline": "الشهر القادم",
    },
)


@pytest.mark.parametrize(
    ("profile", "conversation"), [(COURSES, COURSE), (HOMES, HOME)], ids=["course", "home"]
)
async def test_arabic_from_the_greeting_to_the_finished_lead(
    sqlite_db: Database, profile: Profile, conversation: tuple[list[str], dict[str, str]]
) -> None:
    texts, expected = conversation
    ahmed = Texter(sqlite_db, profile, settings_for(sqlite_db.url))
    await ahmed.begin(number=None, key="chat")
    arabic = profile.in_language("ar")
    replies = [await ahmed.says(text) for text in texts]
    assert replies[0].text.startswith(arabic.greeting)
    assert {reply.language for reply in replies} == {"ar"}
    assert [reply.ends for reply in replies] == [None] * (len(texts) - 1) + ["complete"]
    assert replies[-1].text.endswith(arabic.closing)
    lead = await ahmed.lead()
    assert {key: lead[key] for key in expected} == expected
    assert not any(letter.isascii() and letter.isalpha() for letter in replies[1].text)


async def test_the_seeds_enquiry_is_understood_in_one_message(sqlite_db: Database) -> None:
    ahmed = Texter(sqlite_db, HOMES, settings_for(sqlite_db.url))
    await ahmed.begin(number=None, key="form")
    await ahmed.says("I am looking to buy an apartment in Dammam, budget around 800,000 SAR")
    assert await ahmed.lead() == {
        "service_interest": "buy",
        "property_type": "apartment",
        "location": "Dammam",
        "budget": "800000 SAR",
        "budget_confirmed": "no",
    }
    assert await ahmed.stage() == "BUDGET_KNOWN"


async def test_a_contact_who_changes_the_language_is_followed(sqlite_db: Database) -> None:
    ahmed = Texter(sqlite_db, COURSES, settings_for(sqlite_db.url))
    await ahmed.begin(number=None, key="chat")
    said = [await ahmed.says(text) for text in ("Hello", "أريد دراسة ACCA", "my name is Ahmed")]
    assert [reply.language for reply in said] == ["en", "ar", "en"]
    assert said[1].text.endswith(COURSES.in_language("ar").field("name").ask)
    assert said[2].text.endswith(COURSES.field("phone").ask)
