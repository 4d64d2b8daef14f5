"""What the emulated model does next, with literals: no socket, no clock."""

import json

import pytest

from tools.emulators.openai import OpenAIEmulator
from tools.emulators.openai.script import CallFunction, Script, Speak
from tools.scenarios import Call, Expect, Scenario, Turn

SAVE = Call("save_field", {"name": "zip_code", "value": "99501"})
END = Call("end_call", {"reason": "complete"})


def script(*turns: Turn) -> Script:
    scenario = Scenario("s", "t", "p", "+17705550123", "+18005551212", turns, Expect({}), {})
    return Script(scenario, "Okay.")


def output(**result: object) -> dict[str, object]:
    return {"type": "function_call_output", "call_id": "c", "output": json.dumps(result)}


def made(call: Call) -> CallFunction:
    return CallFunction(call.name, json.dumps(dict(call.arguments)))


def test_calls_come_first_and_the_words_after_their_outputs():
    model = script(Turn(assistant="Got it.", calls=(SAVE,)))

    assert model.next_acts([]) == [made(SAVE)]
    model.item_created(output(saved=True))
    assert model.next_acts([]) == [Speak("Got it.")]
    assert model.finished


@pytest.mark.parametrize(
    ("result", "words"),
    [({"saved": False}, "We do not serve Alaska."), ({"saved": True}, "Got it.")],
)
def test_a_refused_value_may_have_words_of_its_own(result, words):
    model = script(Turn(assistant="Got it.", calls=(SAVE,), on_problem="We do not serve Alaska."))
    model.next_acts([])
    model.item_created(output(**result))

    assert model.next_acts([]) == [Speak(words)]


def test_a_refused_value_without_such_words_does_not_break_the_scenario():
    model = script(Turn(assistant="Got it.", calls=(SAVE,)))
    model.next_acts([])
    model.item_created(output(saved=False))

    assert model.next_acts([]) == [Speak("Got it.")]


def test_nothing_goes_on_while_an_output_is_missing():
    model = script(Turn(assistant="Got it.", calls=(SAVE,)))
    model.next_acts([])

    assert model.next_acts(["call_1"]) == [Speak("One moment.")]
    model.item_created(output(saved=True))
    assert model.next_acts([]) == [Speak("Got it.")]


def test_end_call_follows_the_goodbye_wherever_the_scenario_lists_it():
    model = script(Turn(assistant="Goodbye!", calls=(END,)))

    assert model.next_acts([]) == [Speak("Goodbye!"), made(END)]


def test_calls_without_words_lead_straight_to_the_next_turn():
    model = script(Turn(calls=(SAVE,)), Turn(assistant="Goodbye!"))
    model.next_acts([])
    model.item_created(output(saved=True))

    assert model.next_acts([]) == [Speak("Goodbye!")]


def test_after_the_last_turn_a_response_is_empty():
    model = script(Turn(assistant="Goodbye!", then_calls=(END,)))
    model.next_acts([])
    model.item_created(output(ended=True))

    assert model.next_acts([]) == []


def test_a_call_that_was_cut_is_made_again():
    model = script(Turn(assistant="Goodbye!", then_calls=(END,)))
    acts = model.next_acts([])
    model.interrupted(acts)

    assert model.next_acts([]) == [made(END)]


def test_the_caller_is_heard_once_per_turn():
    model = script(Turn(assistant="Name?", caller="John Doe"), Turn(assistant="Goodbye!"))
    model.next_acts([])

    assert [model.heard(), model.heard()] == ["John Doe", ""]
    assert model.next_acts([]) == [Speak("Goodbye!")]


def test_without_a_scenario_everything_gets_the_default_reply():
    assert Script(None, "Okay.").next_acts([]) == [Speak("Okay.")]
    assert Script(None, None).next_acts([]) == []


# Taking over from another session


def replayed(role: str, text: str) -> dict[str, object]:
    return {"type": "message", "role": role, "content": [{"type": "text", "text": text}]}


def told_of(call: Call) -> dict[str, object]:
    arguments = json.dumps(dict(call.arguments))
    return {"type": "function_call", "call_id": "c", "name": call.name, "arguments": arguments}


QUESTION = Turn(assistant="What is your ZIP code?", caller="99501")
LAST = Turn(assistant="Got it. Goodbye!", calls=(SAVE,), then_calls=(END,))


def test_a_call_that_was_replayed_is_not_made_again():
    model = script(QUESTION, LAST)
    for item in (
        replayed("assistant", "What is your ZIP code?"),
        replayed("user", "99501"),
        told_of(SAVE),
        output(saved=True),
    ):
        model.item_created(item)

    assert model.next_acts([]) == [Speak("Got it. Goodbye!"), made(END)]


def test_a_turn_that_broke_off_is_followed_by_its_rest():
    model = script(QUESTION, LAST)
    for item in (replayed("assistant", "What is your ZIP code?"), replayed("user", "99501")):
        model.item_created(item)
    model.item_created(replayed("assistant", "Got it."))

    assert model.next_acts([]) == [Speak("Goodbye!"), made(END)]
    assert model.next_acts([]) == []


def test_the_rest_is_not_said_any_more_when_the_caller_has_spoken():
    model = script(QUESTION, LAST)
    model.item_created(replayed("assistant", "What is"))

    assert model.heard() == "99501"
    assert model.next_acts([]) == [made(SAVE)]


def test_each_caller_says_their_own_number_where_that_is_wanted():
    turns = (Turn(assistant="Your number?", caller="770 555 0123"), Turn(assistant="Bye."))
    scenario = Scenario("s", "t", "p", "+17705550123", "+18005551212", turns, Expect({}), {})
    said = []
    for own_numbers in (True, False):
        told = OpenAIEmulator(scenario, own_numbers=own_numbers).told
        model = Script(scenario, "Okay.", told=told)
        model.meet("The caller's number: (+16785559876).")
        model.next_acts([])
        said.append(model.heard())

    assert said == ["678 555 9876", "770 555 0123"]
