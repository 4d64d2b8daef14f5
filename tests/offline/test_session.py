"""ivr/offline/session.py with literals: events in, events out; no socket, no recogniser."""

import base64
import json
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import pytest

from ivr.agent.cut_off import apology
from ivr.agent.instructions import voice_instructions
from ivr.leads.profile import load_profile
from ivr.offline.dialogue import Dialogue
from ivr.offline.session import Listen, Output, Send, Session, Speak
from tools.demo_audio import CLIPS

pytest.importorskip("webrtcvad")

POWERSPORTS = load_profile("powersports")
TODAY = date(2026, 11, 20)
SPEECH = (CLIPS / "full_name.ulaw").read_bytes()
SECOND = b"\xff" * 8000
EXACTLY = "Say exactly this, in the same language, and nothing else:\n"


class Talk:
    """One session, with words for what a test does to it."""

    def __init__(self, caller: str | None = None, known: Mapping[str, str] = {}) -> None:
        dialogue = Dialogue(POWERSPORTS, today=TODAY)
        self.session = Session(dialogue, identity="x", model="offline/powersports", expires_at=1)
        self.log: list[Output] = list(self.session.open())
        instructions = voice_instructions(
            POWERSPORTS, caller_number=caller, known=known, today=TODAY
        )
        transcription = {"audio": {"input": {"transcription": {"model": "gpt-transcribe"}}}}
        changes = {"type": "realtime", "instructions": instructions, **transcription}
        self.send("session.update", session=changes)

    def send(self, kind: str, **fields: Any) -> list[Output]:
        return self.keep(self.session.receive({"type": kind, **fields}))

    def keep(self, out: list[Output]) -> list[Output]:
        self.log += out
        return out

    def say(self, ulaw: bytes) -> list[Output]:
        audio = base64.b64encode(ulaw).decode()
        return self.send("input_audio_buffer.append", audio=audio)

    def answer(self, text: str) -> list[Output]:
        """Speak, and have it understood as `text`."""
        out = self.say(SECOND + SPEECH + SECOND)
        return out + self.keep(self.session.heard(only(out, Listen).item_id, text))

    def respond(self, **fields: Any) -> str:
        """Ask for a response and let it be spoken; returns the words."""
        return self.speak(self.send("response.create", **fields))

    def speak(self, out: list[Output]) -> str:
        speak = only(out, Speak)
        self.keep(self.session.voiced(speak.response_id, SECOND))
        while self.session.has_sound:
            self.keep(self.session.next_piece())
        return str(speak.text)

    def results(self, out: list[Output], output: str = '{"saved": true}') -> None:
        for event in sent(out, "response.output_item.done"):
            call_id = event["item"]["call_id"]
            item = {"type": "function_call_output", "call_id": call_id, "output": output}
            self.send("conversation.item.create", item=item)


def tell(talk: Talk, name: str, **output: Any) -> None:
    """Tell the session of a call that was made, and answered, before it was there."""
    made = {"type": "function_call", "call_id": "c1", "name": name, "arguments": "{}"}
    answered = {"type": "function_call_output", "call_id": "c1", "output": json.dumps(output)}
    for item in (made, answered):
        talk.send("conversation.item.create", item=item)


def only(out: Iterable[Output], kind: type[Any]) -> Any:
    found = [entry for entry in out if isinstance(entry, kind)]
    assert len(found) == 1, out
    return found[0]


def sent(out: Iterable[Output], kind: str) -> list[dict[str, Any]]:
    return [e.event for e in out if isinstance(e, Send) and e.event["type"] == kind]


def kinds(out: Iterable[Output]) -> list[str]:
    return [entry.event["type"] for entry in out if isinstance(entry, Send)]


def error(out: list[Output]) -> dict[str, Any]:
    (event,) = sent(out, "error")
    details: dict[str, Any] = event["error"]
    return details


@pytest.fixture
def talk() -> Talk:
    return Talk()


def test_the_first_response_greets_and_asks(talk: Talk) -> None:
    words = talk.respond()

    assert words.startswith(POWERSPORTS.greeting)
    assert words.endswith(POWERSPORTS.fields[0].ask)


def test_exact_words_are_said_and_the_first_question_follows(talk: Talk) -> None:
    words = talk.respond(response={"instructions": "Say exactly this, nothing else:\nWelcome!"})

    assert words == f"Welcome! {POWERSPORTS.fields[0].ask}"


def test_an_answer_is_saved_first_and_talked_about_after_the_result(talk: Talk) -> None:
    talk.respond()

    out = talk.answer("john doe")
    (call,) = sent(out, "response.function_call_arguments.done")
    assert call["name"] == "save_field"
    assert '"John Doe"' in call["arguments"]
    assert "response.done" in kinds(out)
    talk.results(out)

    assert talk.respond().endswith(POWERSPORTS.field("zip_code").ask)


def test_a_turn_has_the_events_of_the_service_in_its_order(talk: Talk) -> None:
    talk.respond()

    out = talk.answer("john doe")

    assert kinds(out)[:10] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "response.output_item.added",
        "conversation.item.added",
    ]


def test_what_was_not_understood_is_asked_again(talk: Talk) -> None:
    talk.respond()

    out = talk.answer("")

    assert sent(out, "conversation.item.input_audio_transcription.failed")
    assert POWERSPORTS.fields[0].ask in talk.speak(out)


def test_keyed_digits_answer_the_question(talk: Talk) -> None:
    talk.respond()
    talk.results(talk.answer("john doe"))
    talk.respond()
    content = [{"type": "input_text", "text": "The caller keyed in: 30093"}]
    item = {"type": "message", "role": "user", "content": content}
    talk.send("conversation.item.create", item=item)

    out = talk.send("response.create")

    calls = sent(out, "response.function_call_arguments.done")
    assert calls[0]["name"] == "save_field"
    assert '"30093"' in calls[0]["arguments"]


def test_the_callers_number_of_the_instructions_is_offered() -> None:
    talk = Talk(caller="+17705550123")
    talk.respond()
    talk.results(talk.answer("john doe"))
    talk.respond()
    talk.results(talk.answer("three zero zero nine three"))
    talk.respond()
    talk.results(talk.answer("yes"))

    assert "7 7 0, 5 5 5, 0 1 2 3" in talk.respond()


def test_barge_in_cancels_the_response_and_its_item_can_be_truncated(talk: Talk) -> None:
    speak = only(talk.send("response.create"), Speak)
    talk.keep(talk.session.voiced(speak.response_id, SECOND * 5))

    out = talk.say(SECOND + SPEECH[:6000])

    (done,) = sent(out, "response.done")
    assert done["response"]["status"] == "cancelled"
    assert done["response"]["status_details"]["reason"] == "turn_detected"
    (item,) = done["response"]["output"]
    assert item["status"] == "incomplete"
    assert not talk.session.has_sound
    cut = {"item_id": item["id"], "content_index": 0}
    too_long = talk.send("conversation.item.truncate", **cut, audio_end_ms=401)
    assert "already shorter" in error(too_long)["message"]
    assert kinds(talk.send("conversation.item.truncate", **cut, audio_end_ms=300)) == [
        "conversation.item.truncated"
    ]


def test_a_caller_who_only_took_a_breath_is_heard_as_one(talk: Talk) -> None:
    talk.respond()
    first = only(talk.say(SECOND + SPEECH + SECOND), Listen)

    out = talk.say(SPEECH + SECOND)
    second = only(out, Listen)

    assert sent(out, "response.done")[0]["response"]["status"] == "cancelled"
    assert second.ulaw.startswith(first.ulaw)
    assert not sent(talk.session.heard(first.item_id, "john"), "response.output_item.added")
    heard = talk.session.heard(second.item_id, "john doe")
    assert '"John Doe"' in sent(heard, "response.function_call_arguments.done")[0]["arguments"]


def test_a_goodbye_is_spoken_before_the_call_is_ended(talk: Talk) -> None:
    talk.respond()
    words = talk.speak(talk.answer("goodbye"))

    assert words == POWERSPORTS.closing
    order = [kind for kind in kinds(talk.log) if kind.endswith(("audio.done", "arguments.done"))]
    assert order[-2:] == ["response.output_audio.done", "response.function_call_arguments.done"]


def test_a_value_that_was_not_saved_is_told(talk: Talk) -> None:
    talk.respond()
    talk.results(talk.answer("john doe"), '{"saved": false, "problem": "the line is full"}')

    assert talk.respond().startswith("Sorry, the line is full.")


def test_a_resumed_call_says_sorry_and_goes_on() -> None:
    talk = Talk()
    content = [{"type": "output_text", "text": "What is your name?"}]
    item = {"type": "message", "role": "assistant", "content": content}
    talk.send("conversation.item.create", item=item)

    words = talk.respond()

    assert words.startswith("Sorry")
    assert POWERSPORTS.greeting not in words


def test_a_call_that_comes_back_goes_on_with_what_is_known() -> None:
    known = {"full_name": "John Doe"}
    talk = Talk(known=known)
    for role, kind, text in (
        ("assistant", "output_text", "May I have your first and last name?"),
        ("user", "input_text", "John Doe"),
    ):
        item = {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
        talk.send("conversation.item.create", item=item)

    words = talk.respond(response={"instructions": EXACTLY + apology(POWERSPORTS, known)})
    calls = talk.answer("three oh oh nine three")

    assert words == (
        "Sorry, we were cut off. You were giving me your ZIP code. What is your ZIP code?"
    )
    sent = [entry.event for entry in calls if isinstance(entry, Send)]
    (call,) = [event for event in sent if event["type"].endswith("arguments.done")]
    assert '"zip_code"' in call["arguments"] and "30093" in call["arguments"]


def test_a_session_that_takes_over_knows_what_the_one_before_saved() -> None:
    talk = Talk()
    tell(talk, "save_field", saved=True, field="full_name", value="John Doe", confirm=False)
    tell(talk, "save_field", saved=True, field="zip_code", value="30093", confirm=True)
    tell(talk, "confirm_field", field="zip_code", confirmed=True)
    tell(talk, "save_field", saved=False, field="phone", problem="no number")

    words = talk.respond()

    assert not sent(talk.log, "error")
    assert "John" not in words and "ZIP" not in words and "no number" not in words
    assert "phone" in words or "number" in words


def test_a_value_that_waits_for_a_yes_is_asked_for_again_after_a_take_over() -> None:
    talk = Talk(known={"full_name": "John Doe"})
    tell(talk, "save_field", saved=True, field="zip_code", value="30093", confirm=True)

    assert "ZIP" in talk.respond()


def test_a_commit_by_hand_is_transcribed_and_starts_no_response(talk: Talk) -> None:
    talk.respond()
    talk.say(SECOND + SPEECH[:6000])

    out = talk.send("input_audio_buffer.commit")

    assert kinds(out)[0] == "input_audio_buffer.committed"
    assert "response.created" not in kinds(out)


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({}, "invalid_event", "type"),
        ({"type": "conversation.list"}, "invalid_value", "type"),
        ({"type": "session.update"}, "invalid_type", "session"),
        ({"type": "session.update", "session": {}}, "missing_required_parameter", "session.type"),
        (
            {"type": "session.update", "session": {"type": "realtime", "temperature": 1}},
            "unknown_parameter",
            "session.temperature",
        ),
        ({"type": "input_audio_buffer.append", "audio": "?"}, "invalid_value", "audio"),
        ({"type": "input_audio_buffer.append", "audio": 7}, "invalid_value", "audio"),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
        ({"type": "response.cancel"}, "response_cancel_not_active", None),
        ({"type": "conversation.item.retrieve", "item_id": "no"}, "item_not_found", "item_id"),
        ({"type": "conversation.item.create"}, "missing_required_parameter", "item"),
        ({"type": "output_audio_buffer.clear"}, "invalid_value", "type"),
    ],
)
def test_nonsense_is_refused_by_name(
    talk: Talk, event: dict[str, Any], code: str, param: str | None
) -> None:
    details = error(talk.session.receive({"event_id": "mine", **event}))

    assert (details["code"], details["param"]) == (code, param)
    assert details["event_id"] == "mine"


def test_a_rate_on_mu_law_is_refused(talk: Talk) -> None:
    audio = {"input": {"format": {"type": "audio/pcmu", "rate": 8000}}}

    out = talk.send("session.update", session={"type": "realtime", "audio": audio})

    assert error(out)["param"] == "session.audio.input.format.rate"


def test_two_responses_at_once_are_refused(talk: Talk) -> None:
    talk.send("response.create")

    out = talk.send("response.create")

    assert error(out)["code"] == "conversation_already_has_active_response"


def test_a_broken_worker_fails_the_response_and_the_next_one_works(talk: Talk) -> None:
    talk.send("response.create")

    (done,) = sent(talk.session.broke("gone"), "response.done")

    assert done["response"]["status"] == "failed"
    assert talk.respond()
