"""What ships works everywhere a profile is used: on the phone, in writing, in the offline voice."""

from datetime import date

import pytest

from ivr.agent.instructions import voice_instructions
from ivr.agent.tool_schemas import SAVE_FIELD, text_tools, voice_tools
from ivr.leads import extraction
from ivr.leads.fields import Accepted, check
from ivr.leads.profile import Profile, load_profile, shipped_profiles
from ivr.offline import grammar
from ivr.targets import TARGETS

TODAY = date(2026, 11, 21)
STAGES = [
    "NEW",
    "NAME_COLLECTED",
    "COURSE_SELECTED",
    "EDUCATION_COLLECTED",
    "GOAL_COLLECTED",
    "DEMO_SHARED",
    "ENROLLED",
    "LOST",
]


@pytest.fixture(params=shipped_profiles())
def profile(request: pytest.FixtureRequest) -> Profile:
    return load_profile(request.param)


def test_three_lines_of_business_ship() -> None:
    assert shipped_profiles() == ("courses", "powersports", "real_estate")


def test_courses_has_the_stages_and_fields_of_the_stage_guide() -> None:
    courses = load_profile("courses")
    assert list(courses.stages) == STAGES
    assert (courses.won_stages, courses.lost_stages) == (("ENROLLED",), ("LOST",))
    assert {field.key: field.stage for field in courses.fields} == {
        "name": "NAME_COLLECTED",
        "phone": "",
        "selected_course": "COURSE_SELECTED",
        "education_level": "EDUCATION_COLLECTED",
        "goal": "GOAL_COLLECTED",
        "demo_shared": "DEMO_SHARED",
        "enrolled": "ENROLLED",
    }
    assert {"CTA", "ACCA", "CMA", "CIMA", "CPA", "FIA", "CFA"} <= set(
        courses.field("selected_course").choices
    )
    assert courses.tools == ("append_lead_to_rag_sheets",) and courses.demo is not None
    assert [field.key for field in courses.fields if field.type == "flag"] == [
        "demo_shared",
        "enrolled",
    ]


def test_real_estate_knows_what_qualifies_a_lead() -> None:
    homes = load_profile("real_estate")
    assert {
        "service_interest",
        "budget",
        "budget_confirmed",
        "urgency",
        "timeline",
        "decision_maker",
        "location",
    } <= {field.key for field in homes.told}
    assert homes.escalation.high_value == 5_000_000


def test_the_voice_is_told_to_ask_for_what_is_required_and_never_for_a_flag(profile) -> None:
    told = voice_instructions(profile, caller_number=None, known={}, today=TODAY)
    for field in profile.required:
        assert f'({field.label}). Ask: "{field.ask}"' in told
    for field in profile.fields:
        if field.type == "flag":
            assert field.key not in told
        elif not field.asked:
            assert f"only if the caller brings it up: {field.key}" in told


def test_the_tools_save_what_a_contact_can_tell(profile) -> None:
    for tools in (voice_tools(profile), text_tools(profile)):
        save = next(tool for tool in tools if tool["name"] == SAVE_FIELD)
        names = save["parameters"]["properties"]["name"]["enum"]
        assert names == [field.key for field in profile.told]


def test_the_extraction_reads_what_a_contact_can_tell(profile) -> None:
    told = [field.key for field in profile.told]
    schema = extraction.schema_of(profile)
    assert list(schema["properties"]) == schema["required"] == told
    assert extraction.mismatch(dict.fromkeys(told), profile) is None
    assert extraction.mismatch({**dict.fromkeys(told), "enrolled": None}, profile) is not None


def test_a_question_is_known_again_in_every_language_of_the_profile(profile) -> None:
    for language in profile.languages:
        words = profile.in_language(language)
        for field in words.required:
            asked = extraction.asked_in(profile, f"{words.greeting} {field.ask}")
            assert asked == profile.field(field.key)


def test_the_offline_voice_can_hear_every_answer(profile) -> None:
    grammar.warm(profile)
    for field in profile.told:
        assert grammar.grammar(grammar.Expectation(field, "answer")).arcs


def test_the_target_exists_and_gets_known_fields(profile) -> None:
    assert profile.target in TARGETS
    assert set(profile.target_fields.values()) <= {field.key for field in profile.fields}


def test_every_alias_and_choice_is_heard_as_its_choice(profile) -> None:
    for field in profile.fields:
        ways = {choice: choice for choice in field.choices}
        ways |= field.options.get("aliases", {})
        for said, choice in ways.items():
            verdict = check(field, said, today=TODAY)
            assert isinstance(verdict, Accepted) and verdict.value == choice, said


def test_every_translated_word_belongs_to_a_field_that_is_asked_and_all_are_translated(
    profile,
) -> None:
    for wording in profile.texts.values():
        assert list(wording.fields) == [field.key for field in profile.required]
        assert all(words.keys() == {"ask", "label", "help"} for words in wording.fields.values())
