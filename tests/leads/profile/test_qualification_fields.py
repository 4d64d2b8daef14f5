"""The fields that qualify a lead in any line of business, and how a profile takes them."""

from datetime import date

import pytest

from ivr.errors import ProfileError
from ivr.leads.fields import Accepted, Field, check, find
from ivr.leads.profile import Profile, load_profile, parse_profile, qualification_fields

TODAY = date(2026, 11, 21)
HOMES = load_profile("real_estate")
HEAD = """
key = "boats"
name = "Boats"
language = "en"
greeting = "Hello."
closing = "Goodbye!"
persona = "You sell boats."
policy = "best_effort"
goodbye_phrases = ["goodbye"]
stages = ["NEW", "KNOWN"]
[target]
name = "webhook"
"""
ARABIC = """
[texts.ar]
closing = "مع السلامة"
goodbye_phrases = ["مع السلامة"]
"""


def boats(fields: str, more: str = "") -> Profile:
    return parse_profile(f"{HEAD}{fields}{more}", source="boats.toml")


def test_every_shared_field_can_be_used_as_it_is() -> None:
    assert set(qualification_fields.shared()) == set(qualification_fields.KEYS)
    uses = "".join(f'[[fields]]\nuse = "{name}"\n' for name in qualification_fields.KEYS)
    profile = boats(uses, ARABIC)
    assert tuple(field.key for field in profile.fields) == qualification_fields.KEYS
    in_arabic = profile.in_language("ar")
    for plain, arabic in zip(profile.required, in_arabic.required, strict=True):
        assert arabic.ask != plain.ask and arabic.label != plain.label


def test_a_profile_overrides_what_it_likes() -> None:
    field = boats(
        """
[[fields]]
use = "urgency"
key = "how_soon"
ask = "How soon?"
asked = true
stage = "KNOWN"
choices = ["urgent", "later"]
options = { aliases = { "next season" = "later" } }
"""
    ).field("how_soon")
    assert (field.type, field.ask, field.required, field.stage) == (
        "choice",
        "How soon?",
        True,
        "KNOWN",
    )
    assert field.choices == ("urgent", "later")
    assert value(field, "I want it asap") == "urgent", "the shared word"
    assert value(field, "next season will do") == "later", "its own word"
    assert value(field, "next month") is None, "of a choice that it has not"


def test_options_are_merged_one_by_one() -> None:
    field = boats('[[fields]]\nuse = "budget"\noptions = { currency = "EUR", min = 500 }\n')
    assert field.field("budget").options == {"currency": "EUR", "min": 500}
    field = boats('[[fields]]\nuse = "timeline"\noptions = { max_length = 50 }\n')
    assert field.field("timeline").options == {"max_length": 50, "find": "time"}


def test_another_type_takes_only_the_words() -> None:
    field = boats('[[fields]]\nuse = "service_interest"\ntype = "free_text"\n').fields[0]
    assert (field.type, field.choices, field.options) == ("free_text", (), {})
    assert field.label == "interest"


def test_a_profiles_own_arabic_words_go_before_the_shared_ones() -> None:
    own = f'{ARABIC}\n[texts.ar.fields.timeline]\nask = "متى؟"\n'
    words = boats('[[fields]]\nuse = "timeline"\n', own).in_language("ar").field("timeline")
    assert (words.ask, words.label) == ("متى؟", "الموعد")


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ('use = "age"', "fields.age.use: unknown field 'age'; known are service_interest, "),
        ("use = 3", "fields.3.use: must be text"),
        ('use = "urgency"\ncolor = 1', "fields.urgency.color: unknown key; known are "),
        ('use = "urgency"\noptions = 3', "fields.urgency.options: must be a table"),
        ('use = "urgency"\noptions = { aliases = 3 }', "fields.urgency.options.aliases: must be"),
        ('use = "urgency"\nchoices = []', "fields.urgency.choices: belong to type choice"),
        ('use = "timeline"\noptions = { find = "x" }', "timeline.options: find: must be 'time'"),
        ('use = "budget_confirmed"\noptions = { find = "x" }', "find: must be 'settled'"),
        ('use = "budget"\noptions = { currency = "X" }', "fields.budget.options: currency: 'X'"),
    ],
)
def test_what_is_wrong_is_named_with_file_key_and_reason(field: str, reason: str) -> None:
    with pytest.raises(ProfileError) as wrong:
        boats(f"[[fields]]\n{field}\n")
    assert str(wrong.value).startswith("boats.toml: fields.") and reason in str(wrong.value)


@pytest.mark.parametrize("name", ["courses", "powersports"])
def test_no_other_profile_has_any_of_them_forced_on_it(name: str) -> None:
    asked = {field.key for field in load_profile(name).fields}
    assert not asked & set(qualification_fields.KEYS)


# --- what is found in a sentence ---


def value(field: Field, text: str) -> str | None:
    found = find(field, text, today=TODAY)
    return found.value if found else None


@pytest.mark.parametrize(
    ("text", "settled"),
    [
        ("budget around 800,000 SAR", "no"),
        ("around two million riyals", "no"),
        ("800k or so", "no"),
        ("our budget is not confirmed yet, maybe 500 to 600 thousand", "no"),
        ("my budget isn't fixed", "no"),
        ("I am not sure about the budget", "no"),
        ("My budget is 800k and it is fixed", "yes"),
        ("a fixed budget of 1.2 million SAR", "yes"),
        ("the budget is approved: 2 million", "yes"),
        ("The mortgage is pre-approved for 900000 SAR", "yes"),
        ("exactly 800000 SAR", "yes"),
        ("I have 800000 SAR", None),
        ("about 3 bedrooms around Dammam", None),
        ("I am set on Dammam", None),
        ("الميزانية حوالي ٨٠٠ ألف ريال", "no"),
        ("ميزانيتي ٨٠٠ ألف ريال تقريبا", "no"),
        ("ميزانيتنا غير محددة", "no"),
        ("ميزانيتي ٨٠٠ ألف ريال وهي مؤكدة", "yes"),
        ("والميزانية ثابتة", "yes"),
    ],
)
def test_whether_a_budget_is_settled_is_heard(text: str, settled: str | None) -> None:
    assert value(HOMES.field("budget_confirmed"), text) == settled


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("I want to buy asap", "asap"),
        ("we want to move next month", "next month"),
        ("within 3 months if possible", "within 3 months"),
        ("by the end of the year", "by the end of the year"),
        ("in March 2027", "in March 2027"),
        ("أريد الشراء خلال شهرين", "خلال شهرين"),
        ("بعد ٣ أشهر إن شاء الله", "بعد 3 أشهر"),
        ("نحتاجها فورًا", "فورا"),
        ("please call me next week", None),
        ("can I see it this week", None),
        ("asap, or next month", None),
        ("my lease ended last month", None),
        ("1000 per month", None),
        ("we are in no hurry", None),
    ],
)
def test_when_is_heard_in_the_middle_of_a_sentence(text: str, when: str | None) -> None:
    assert value(HOMES.field("timeline"), text) == when


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("my wife decides", "somebody else decides"),
        ("I am the decision maker", "decides alone"),
        ("I'd have to ask my husband", "decides together"),
        ("القرار لي", "decides alone"),
        ("أنا وزوجتي", "decides together"),
        ("زوجي يقرر", "somebody else decides"),
    ],
)
def test_who_decides_is_heard(text: str, who: str) -> None:
    assert value(HOMES.field("decision_maker"), text) == who


@pytest.mark.parametrize(
    ("text", "budget", "low", "high"),
    [
        ("2 million", "2000000 SAR", None, "200000000"),
        ("من ٥٠٠ إلى ٦٠٠ ألف ريال", "500000-600000 SAR", "50000000", "60000000"),
        ("between 1 and 1.5 million", "1000000-1500000 SAR", "100000000", "150000000"),
        ("200k USD", "200000 USD", None, "20000000"),
    ],
)
def test_a_budget_is_kept_with_its_ends_in_minor_units(
    text: str, budget: str, low: str | None, high: str
) -> None:
    checked = check(HOMES.field("budget"), text, today=TODAY)
    assert isinstance(checked, Accepted)
    found = checked.details
    assert (checked.value, found.get("minor_units_low"), found["minor_units"]) == (
        budget,
        low,
        high,
    )
