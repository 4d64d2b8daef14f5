"""A model that fails: the rules go on with what is known, the lead notices nothing."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ivr.leads.profile import load_profile
from tests.agent.conftest import Begin
from tests.agent.text_world import Texter
from tests.leads.cast import LEAD
from tools.emulators.openai import Call, OpenAIEmulator, Say, by_message, save
from tools.emulators.serving import serve

PROFILE = load_profile("powersports")
END = Call("end_call", {"reason": "complete"})
FAULTS = [
    Say(fault=500),
    Say(fault=429),
    Say(fault=401),
    Say(fault="not_json"),
    Say(fault="other"),
    Say(fault="refusal"),
    Say(fault="length", text="Well, as I was"),
    Say(fault="filtered"),
    Say(),
    Say("[confidence: 0.9]"),
    Say('{"name": "save_field", "arguments": {"name": "full_name"}}'),
    Say("<tool_call>save_field</tool_call>"),
]

# What John writes, and what a model makes of it. Each message can be understood by itself.
TALK = {
    "Hello": [Say("Hi! What is your name?")],
    "My name is John Doe": [Say(calls=(save("full_name", "John Doe"),)), Say("Your ZIP code?")],
    "30093": [Say(calls=(save("zip_code", "30093"),)), Say("And which phone number?")],
    "770 555 0123": [Say(calls=(save("phone", "770 555 0123"),)), Say("Nice. What year is it?")],
    "2020": [Say(calls=(save("vehicle_year", "2020"),)), Say("What make is it?")],
    "Yamaha": [Say(calls=(save("vehicle_make", "Yamaha"),)), Say("And which model is it?")],
    "MT-07": [Say(calls=(save("vehicle_model", "MT-07"),)), Say("Thanks. Goodbye!", (END,))],
}


def assert_unnoticed(john: Texter) -> None:
    """Only the first answer greets, and every answer says something that belongs there."""
    for reply in john.replies[1:]:
        assert (PROFILE.text_greeting or PROFILE.greeting) not in reply.text
        assert "cut off" not in reply.text and "did not" not in reply.text
    assert all(reply.text for reply in john.replies)
    assert [reply.ends for reply in john.replies] == [None] * (len(TALK) - 1) + ["complete"]


async def talk(john: Texter, openai: OpenAIEmulator, down: set[int]) -> None:
    """Have the whole conversation, with the model down at these turns."""
    openai.think(by_message(TALK))
    for number, text in enumerate(TALK):
        openai.faults.rest_status = 503 if number in down else None
        reply = await john.says(text)
        assert reply.by == ("rules" if number in down else "model")


@pytest.mark.parametrize("turn", range(len(TALK)))
async def test_an_outage_at_one_turn_is_not_noticed(
    openai: OpenAIEmulator, begin: Begin, turn: int
) -> None:
    john = await begin(PROFILE)
    await talk(john, openai, {turn})
    assert await john.lead() == LEAD
    assert_unnoticed(john)


@pytest.mark.parametrize("first", range(len(TALK)))
async def test_an_outage_that_lasts_is_not_noticed(
    openai: OpenAIEmulator, begin: Begin, first: int
) -> None:
    john = await begin(PROFILE)
    await talk(john, openai, set(range(first, len(TALK))))
    assert await john.lead() == LEAD
    assert_unnoticed(john)


@pytest.mark.parametrize("last", range(len(TALK)))
async def test_a_model_that_comes_back_goes_on(
    openai: OpenAIEmulator, begin: Begin, last: int
) -> None:
    john = await begin(PROFILE)
    await talk(john, openai, set(range(last)))
    assert await john.lead() == LEAD
    assert_unnoticed(john)


# The same for a profile with free text, where a model asks in its own words.
COURSES = load_profile("courses")
COURSE_TALK = {
    "Hello": [Say("Hi there! Who am I writing with?")],
    "My name is Ahmed": [Say(calls=(save("name", "Ahmed"),)), Say("Hi Ahmed! On what number?")],
    "+92 300 1234567": [Say(calls=(save("phone", "+92 300 1234567"),)), Say("Which course is it?")],
    "CTA": [Say(calls=(save("selected_course", "CTA"),)), Say("What is your education like?")],
    "Graduate": [Say(calls=(save("education_level", "Graduate"),)), Say("And your goals?")],
    "Career switch": [Say(calls=(save("goal", "Career switch"),)), Say("Thanks. Goodbye!", (END,))],
}
COURSE_LEAD = {
    "name": "Ahmed",
    "phone": "+923001234567",
    "selected_course": "CTA",
    "education_level": "Graduate",
    "goal": "Career switch",
}


@pytest.mark.parametrize("turn", range(len(COURSE_TALK)))
async def test_free_text_survives_an_outage(
    openai: OpenAIEmulator, begin: Begin, turn: int
) -> None:
    ahmed = await begin(COURSES)
    openai.think(by_message(COURSE_TALK))
    for number, text in enumerate(COURSE_TALK):
        openai.faults.rest_status = 503 if number == turn else None
        reply = await ahmed.says(text)
        assert COURSES.text_greeting not in reply.text or number == 0
    assert COURSE_LEAD.items() <= (await ahmed.lead()).items()
    assert reply.ends == "complete"


async def test_a_model_that_comes_and_goes_is_not_noticed(
    openai: OpenAIEmulator, begin: Begin
) -> None:
    john = await begin(PROFILE)
    await talk(john, openai, {1, 3, 5})
    assert await john.lead() == LEAD
    assert_unnoticed(john)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda say: str(say.fault or say.text or "empty"))
async def test_whatever_is_wrong_with_an_answer_the_rules_answer(
    openai: OpenAIEmulator, begin: Begin, fault: Say
) -> None:
    john = await begin(PROFILE)
    openai.steps.append(fault)
    reply = await john.says("My name is John Doe")
    assert reply.by == "rules" and "ZIP code" in reply.text
    assert (await john.lead())["full_name"] == "John Doe"
    assert reply.confidence is None and reply.usage["text"]["answers_by_rules"] == 1


async def test_a_model_that_hangs_has_its_time_and_no_more(
    openai: OpenAIEmulator, begin: Begin
) -> None:
    john = await begin(PROFILE, text_model_seconds=0.3)
    openai.steps.append(Say(fault="hang"))
    assert (await john.says("My name is John Doe")).by == "rules"


async def test_a_model_that_fails_after_its_tools_leaves_what_it_saved(
    openai: OpenAIEmulator, begin: Begin
) -> None:
    john = await begin(PROFILE)
    openai.steps.extend([Say("Hi! Your name?"), Say(calls=(save("full_name", "John Doe"),))])
    openai.steps.append(Say(fault=500))
    await john.says("Hello")
    reply = await john.says("it's John Doe")
    assert reply.by == "rules" and "ZIP code" in reply.text and "Sorry" not in reply.text
    assert (await john.lead())["full_name"] == "John Doe"


async def test_no_answer_to_the_models_question_is_just_asked_on(
    openai: OpenAIEmulator, begin: Begin
) -> None:
    john = await begin(PROFILE)
    openai.steps.extend([Say("Is it in good shape?"), Say(fault=500)])
    await john.says("Hello")
    reply = await john.says("yes it is, very much so")
    assert reply.text.endswith("May I have your first and last name?")
    assert "Sorry" not in reply.text


async def test_asking_for_a_person_is_understood_in_an_outage(
    openai: OpenAIEmulator, begin: Begin
) -> None:
    john = await begin(PROFILE)
    openai.steps.extend([Say("Hi! Your name?"), Say(fault=500)])
    await john.says("Hello")
    reply = await john.says("I want to talk to a human")
    assert reply.escalate is not None and reply.ends is None and reply.text


# --- the second provider ---


class Claude:
    """Anthropic's endpoint, which says one thing."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def answer(self, request: Request) -> Response:
        self.asked.append((await request.json())["model"])
        return JSONResponse(
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": self.asked[-1],
                "content": [{"type": "text", "text": "Hi John! Your ZIP code?"}],
                "stop_reason": "end_turn",
                "stop_sequence": None,
                "usage": {"input_tokens": 900, "output_tokens": 100},
            }
        )


@pytest.mark.parametrize("hangs", [False, True])
@pytest.mark.parametrize("first", ["openai", "anthropic"])
async def test_the_second_provider_answers_when_the_first_fails(
    openai: OpenAIEmulator, begin: Begin, first: str, hangs: bool
) -> None:
    claude = Claude()
    async with serve(
        Starlette(routes=[Route("/v1/messages", claude.answer, methods=["POST"])])
    ) as port:
        john = await begin(
            PROFILE,
            anthropic_api_key="sk-ant",
            anthropic_base_url=f"http://127.0.0.1:{port}",
            llm_provider=first,
            text_model_seconds=2.0,
        )
        await john.load()
        openai.faults.rest_status, openai.faults.rest_hangs = 500, hangs
        reply = await john.says("My name is John Doe")
    assert (reply.by, reply.text) == ("model", "Hi John! Your ZIP code?")
    assert reply.usage["text"]["model"] == "claude-haiku-5-5"
    assert (len(claude.asked), len(openai.requests)) == (1, 1 if first == "openai" else 0)
