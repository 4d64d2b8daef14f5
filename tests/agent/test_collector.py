"""The rules collector in conversations of a few lines: what is heard, what is done."""

import json
from datetime import date
from importlib.resources import files

import pytest

from ivr.agent.acts import Confirm, Deny, End, Save, Say
from ivr.agent.collector import Collector
from ivr.leads.profile import load_profile, parse_profile

TODAY = date(2026, 11, 20)
PROFILE = load_profile("powersports")
CALLER = "+17705550123"


def started(profile=PROFILE, **given) -> Collector:
    collector = Collector(profile, today=TODAY, **given)
    collector.open()
    return collector


def asking(key: str, profile=PROFILE, **given) -> Collector:
    """Return a collector that asks for `key`: all before it is known."""
    keys = [field.key for field in profile.fields]
    known = {name: "x" for name in keys[: keys.index(key)]}
    return started(profile, known=known, **given)


def said(acts) -> str:
    return " ".join(act.text for act in acts if isinstance(act, Say))


def saved(acts) -> dict[str, str]:
    return {act.name: act.value for act in acts if isinstance(act, Save)}


def edited(old: str, new: str):
    text = (files("ivr.leads") / "profiles" / "powersports.toml").read_text(encoding="utf-8")
    assert old in text
    return parse_profile(text.replace(old, new), source="edited copy")


def test_a_whole_conversation_gives_every_field_and_ends_with_the_closing():
    collector = Collector(PROFILE, today=TODAY)
    first = collector.open()
    assert first == [Say(f"{PROFILE.greeting} {PROFILE.field('full_name').ask}")]
    answers = ["John Doe", "30093", "yes", "770 555 0123", "yes", "2020", "Yamaha", "MT-07"]
    acts = [act for answer in answers for act in collector.hear(answer)]
    assert saved(acts) == {
        "full_name": "John Doe",
        "zip_code": "30093",
        "phone": CALLER,
        "vehicle_year": "2020",
        "vehicle_make": "Yamaha",
        "vehicle_model": "MT-07",
    }
    assert [act.name for act in acts if isinstance(act, Confirm)] == ["zip_code", "phone"]
    assert acts[-2:] == [Say(PROFILE.closing), End("complete")]
    assert collector.expects.kind == "done"
    assert collector.hear("hello?") == []


def test_questions_come_in_the_profiles_order_and_words():
    collector = started()
    for answer, question in [
        ("John Doe", "What is your ZIP code?"),
        ("30093", "I have 3 0 0 9 3 as your ZIP code. Is that right?"),
        ("yes", "What is the best phone number to reach you?"),
    ]:
        assert said(collector.hear(answer)).endswith(question)


def test_what_is_known_is_not_asked():
    collector = Collector(PROFILE, today=TODAY, known={"full_name": "John Doe", "colour": "red"})
    assert collector.open(greet=False) == [Say("What is your ZIP code?")]


def test_a_refused_answer_is_asked_again_with_the_reason():
    collector = asking("zip_code")
    acts = collector.hear("99501")
    assert said(acts) == (
        "Sorry, the ZIP code 9 9 5 0 1 is in Alaska, which we do not serve. What is your ZIP code?"
    )
    assert saved(acts) == {}


def test_an_answer_in_two_pieces_is_put_together():
    collector = asking("phone")
    collector.hear("seven seven zero")
    assert saved(collector.hear("five five five oh one two three")) == {"phone": CALLER}


def test_a_first_name_is_kept_and_completed():
    collector = started()
    assert collector.hear("John") == [
        Save("full_name", "John", "John"),
        Say("And your last name?"),
    ]
    assert saved(collector.hear("Doe")) == {"full_name": "John Doe"}


@pytest.mark.parametrize(
    "text", ["yes, Doe", "it's Doe", "D O E", "John Doe", "my last name is Doe"]
)
def test_a_last_name_is_found_in_what_was_said(text):
    collector = started()
    collector.hear("John")
    assert saved(collector.hear(text)) == {"full_name": "John Doe"}


def test_a_caller_may_keep_the_last_name():
    collector = started()
    collector.hear("John")
    acts = collector.hear("no, I'd rather not")
    assert saved(acts) == {}
    assert said(acts).endswith("What is your ZIP code?")


def test_no_to_a_read_back_forgets_the_value_and_asks_again():
    collector = asking("zip_code")
    collector.hear("30093")
    assert collector.expects.kind == "yes_no"
    assert collector.hear("no") == [
        Deny("zip_code"),
        Say("Sorry about that. What is your ZIP code?"),
    ]
    assert "zip_code" not in collector.dump()["values"]


@pytest.mark.parametrize(
    "reply", ["no, it's 30094", "no 3 0 0 9 4", "30094", "three oh oh nine four"]
)
def test_a_correction_of_a_read_back_is_taken_at_once(reply):
    collector = asking("zip_code")
    collector.hear("30093")
    acts = collector.hear(reply)
    assert saved(acts) == {"zip_code": "30094"}
    assert said(acts).endswith("I have 3 0 0 9 4 as your ZIP code. Is that right?")
    assert Confirm("zip_code") in collector.hear("yes")


def test_the_last_of_many_corrections_is_kept():
    collector = asking("zip_code")
    collector.hear("30093")
    acts = [act for code in "4567" for act in collector.hear(f"no, 3009{code}")]
    assert collector.dump()["values"]["zip_code"] == "30097"
    assert said(acts).endswith("What is the best phone number to reach you?")


def test_saying_the_same_value_again_confirms_it():
    collector = asking("zip_code")
    collector.hear("30093")
    assert Confirm("zip_code") in collector.hear("30093")


def test_a_doubtful_answer_is_asked_back_and_a_yes_takes_the_suggestion():
    collector = asking("vehicle_make")
    assert collector.hear("Yamaka") == [Say("Did you mean Yamaha?")]
    acts = collector.hear("yes")
    assert acts[0] == Save("vehicle_make", "Yamaha", "Yamaka", insisted=True)


def test_who_insists_on_a_doubtful_answer_is_believed():
    collector = asking("vehicle_make")
    collector.hear("Yamaka")
    assert said(collector.hear("no")).endswith("What make is it?")
    assert saved(collector.hear("no, Yamaka")) == {"vehicle_make": "Yamaka"}


def test_an_unknown_zip_is_asked_back_once_and_not_read_back_again():
    collector = asking("zip_code")
    assert said(collector.hear("30000")).endswith("Is that right?")
    acts = collector.hear("yes")
    assert acts[:2] == [Save("zip_code", "30000", "30000", insisted=True), Confirm("zip_code")]


def test_a_no_with_another_value_to_a_doubt_is_that_value():
    collector = asking("vehicle_make")
    collector.hear("Yamaka")
    assert saved(collector.hear("no, a Honda")) == {"vehicle_make": "Honda"}


@pytest.mark.parametrize(
    ("key", "text", "values"),
    [
        (
            "vehicle_year",
            "yeah it's a 2020 Yamaha",
            {"vehicle_year": "2020", "vehicle_make": "Yamaha"},
        ),
        (
            "vehicle_year",
            "a 2020 Yamaha MT-07",
            {"vehicle_year": "2020", "vehicle_make": "Yamaha", "vehicle_model": "MT-07"},
        ),
        ("full_name", "John Doe, 30093", {"full_name": "John Doe", "zip_code": "30093"}),
        (
            "full_name",
            "my name is John Doe and my phone is 770 555 0123",
            {"full_name": "John Doe", "phone": CALLER},
        ),
        (
            "zip_code",
            "30093, and it's a 2020 Honda",
            {"zip_code": "30093", "vehicle_year": "2020", "vehicle_make": "Honda"},
        ),
        ("vehicle_make", "it's from 2020", {"vehicle_year": "2020"}),
    ],
)
def test_several_answers_in_one_sentence_are_all_taken(key, text, values):
    known = {} if key == "full_name" else {"full_name": "John Doe"}
    order = [field.key for field in PROFILE.fields]
    keys = order[1 : order.index(key)] if key != "vehicle_make" else ["zip_code", "phone"]
    collector = started(known=known | {name: "x" for name in keys})
    assert saved(collector.hear(text)) == values


def test_a_bare_number_is_for_the_question_asked():
    collector = asking("phone")
    acts = collector.hear("twenty twenty")
    assert saved(acts) == {}
    assert "a phone number has ten" in said(acts)


def test_an_earlier_answer_is_corrected_in_passing():
    collector = started(known={"full_name": "John Doe", "zip_code": "30093", "phone": CALLER})
    acts = collector.hear("actually my zip is 30094")
    assert saved(acts) == {"zip_code": "30094"}
    assert said(acts).endswith("I have 3 0 0 9 4 as your ZIP code. Is that right?")
    assert said(collector.hear("yes")).endswith("What year is the vehicle?")


def test_a_slip_within_an_answer_is_heard():
    collector = asking("zip_code")
    assert saved(collector.hear("30093, no wait, 30094")) == {"zip_code": "30094"}


@pytest.mark.parametrize("text", ["can you repeat that?", "what?", "sorry?", "say that again"])
def test_the_question_is_repeated_on_request(text):
    collector = asking("zip_code")
    assert collector.hear(text) == [Say("What is your ZIP code?")]
    assert collector.dump()["attempts"] == {}


def test_whether_it_is_a_machine_is_answered_truly():
    collector = asking("zip_code")
    assert said(collector.hear("Am I talking to a real person?")) == (
        "I am an AI assistant. What is your ZIP code?"
    )


@pytest.mark.parametrize(
    "text", ["agent", "representative please", "can I speak to a person", "I want a real person"]
)
def test_who_wants_a_person_is_put_through_or_called_back(text):
    with_number = edited('key = "powersports"', 'key = "p"\ntransfer_number = "+17705550100"')
    acts = asking("zip_code", with_number).hear(text)
    assert acts[-1] == End("transfer")
    acts = asking("zip_code").hear(text)
    assert said(acts) == "I will ask a person to call you back. What is your ZIP code?"


def test_a_goodbye_of_the_caller_ends_with_the_closing():
    collector = asking("zip_code")
    assert collector.hear("okay bye") == [Say(PROFILE.closing), End("caller_goodbye")]


def test_a_goodbye_with_a_yes_confirms_first():
    collector = asking("zip_code")
    collector.hear("30093")
    assert collector.hear("yes, goodbye") == [
        Confirm("zip_code"),
        Say(PROFILE.closing),
        End("caller_goodbye"),
    ]


def test_silence_is_bridged_twice_and_then_the_field_is_left_out():
    collector = asking("zip_code")
    assert said(collector.hear("")) == "Sorry, I did not hear you. What is your ZIP code?"
    second = said(collector.hear(""))
    assert "five digit code" in second
    assert "key it in on your keypad" in second
    assert said(collector.hear("")) == "Let us go on. What is the best phone number to reach you?"


def test_a_strict_profile_ends_where_a_field_stays_unanswered():
    strict = edited('policy = "best_effort"', 'policy = "strict"')
    collector = asking("zip_code", strict)
    collector.hear("")
    collector.hear("")
    assert collector.hear("") == [Say(strict.closing), End("incomplete")]


def test_lasting_silence_ends_the_call():
    collector = started()
    acts = [act for _ in range(5) for act in collector.hear("")]
    assert acts[-1] == End("silence")


def test_a_field_is_left_out_after_four_unusable_answers():
    collector = asking("zip_code")
    for _ in range(3):
        assert said(collector.hear("Norcross")).endswith("What is your ZIP code?")
    assert said(collector.hear("Norcross")).startswith("Let us go on.")


def test_what_was_left_out_makes_the_end_incomplete():
    collector = asking("vehicle_model")
    collector.hear("I don't know")
    assert collector.hear("no idea") == [
        Say(f"Let us go on. {PROFILE.closing}"),
        End("incomplete"),
    ]


def test_what_was_left_out_may_still_be_volunteered():
    collector = asking("zip_code")
    for _ in range(3):
        collector.hear("")
    assert saved(collector.hear("my zip is 30093")) == {"zip_code": "30093"}


def test_the_number_they_call_from_is_offered():
    collector = asking("phone", caller_number=CALLER)
    assert collector.expects.kind == "yes_no"
    assert collector.dump()["question"] == (
        "Is the number you are calling from, 7 7 0, 5 5 5, 0 1 2 3, the best one to reach you?"
    )
    acts = collector.hear("yes it is")
    assert acts[:2] == [Save("phone", CALLER, "yes it is"), Confirm("phone")]


def test_what_comes_with_a_yes_is_taken_too():
    collector = asking("phone", caller_number=CALLER)
    assert saved(collector.hear("yes, and it's a 2020 Yamaha")) == {
        "phone": CALLER,
        "vehicle_year": "2020",
        "vehicle_make": "Yamaha",
    }


def test_another_number_than_the_one_they_call_from_is_asked_for_or_taken_at_once():
    collector = asking("phone", caller_number=CALLER)
    assert said(collector.hear("no")) == "What is the best phone number to reach you?"
    collector = asking("phone", caller_number=CALLER)
    acts = collector.hear("no, use 770 555 0199")
    assert saved(acts) == {"phone": "+17705550199"}
    assert said(acts).endswith("Is that right?")


def test_a_caller_number_that_the_field_refuses_is_not_offered():
    collector = asking("phone", caller_number="+442079460958")
    assert collector.expects.kind == "answer"


def test_keyed_digits_need_no_confirmation():
    collector = asking("zip_code")
    assert collector.hear("30093#", keyed=True)[:2] == [
        Save("zip_code", "30093", "30093"),
        Confirm("zip_code"),
    ]


def test_keys_one_and_two_are_yes_and_no():
    collector = asking("zip_code")
    collector.hear("30093")
    assert Confirm("zip_code") in collector.hear("1", keyed=True)
    collector = asking("zip_code")
    collector.hear("30093")
    assert Deny("zip_code") in collector.hear("2", keyed=True)


def test_a_new_value_may_be_keyed_in_at_a_read_back():
    collector = asking("zip_code")
    collector.hear("30093")
    acts = collector.hear("30094#", keyed=True)
    assert acts[:2] == [Save("zip_code", "30094", "30094"), Confirm("zip_code")]


def test_keys_say_nothing_where_words_are_needed():
    collector = asking("vehicle_make")
    acts = collector.hear("123#", keyed=True)
    assert saved(acts) == {}
    assert said(acts).endswith("What make is it?")


def test_expects_names_the_field_and_the_kind_of_answer():
    collector = asking("zip_code")
    assert collector.expects.field == PROFILE.field("zip_code")
    assert collector.expects.kind == "answer"


def test_who_only_ever_asks_back_is_ended():
    collector = started()
    acts = []
    for _ in range(100):
        acts += collector.hear("what?")
    assert [act for act in acts if isinstance(act, End)] == [End("incomplete")]


def test_a_dump_survives_a_profile_that_lost_the_field_asked():
    state = json.loads(json.dumps(asking("zip_code").dump()))
    state |= {"asking": "gone", "values": {"gone": "x", "full_name": "John Doe"}}
    again = Collector.load(PROFILE, state, today=TODAY)
    assert again.hear("30093") == [Say("What is your ZIP code?")]
