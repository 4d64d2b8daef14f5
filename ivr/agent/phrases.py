"""The fixed sentences of the assistant, by language and by whether they are said or written.

What a profile says itself (greeting, questions, closing) stands in the profile.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import phonenumbers

from ivr.agent.acts import Expectation
from ivr.agent.phrases_ar import ARABIC, WRITTEN_ARABIC
from ivr.leads.fields import Field, spoken, vocabulary
from ivr.leads.profile.shape import PHONES

Medium = Literal["voice", "text"]
_Phrases = Mapping[str, str | tuple[str, ...]]

_ENGLISH: _Phrases = {
    "thanks": ("Thank you.", "Got it.", "Okay."),
    "hello_again": "Hello {name}, good to hear from you again.",
    "not_heard": "Sorry, I did not hear you.",
    "still_not_heard": "I still cannot hear you.",
    "machine": "I am an AI assistant.",
    "transfer": "I will put you through. One moment, please.",
    "call_back": "I will ask a person to call you back.",
    "closed": "Nobody is there right now. We open {when}, and a colleague will call you back.",
    "ask_a_person": "A colleague will answer that when they get in touch.",
    "say_whole": "Please say the whole {label}.",
    "refused": "Sorry, {reason}.",
    "sorry": "Sorry about that.",
    "go_on": "Let us go on.",
    "is_right": "I have {value} as your {label}. Is that right?",
    "did_you_mean": "Did you mean {value}?",
    "more": "{question}",
    "this_number": "Is this number, {number}, the best one to reach you?",
    "yes_or_no": "Please say yes or no, or press 1 for yes and 2 for no.",
    "keypad": "You can also key it in on your keypad.",
    "goodbye": "All right. Goodbye!",
    "welcome": "You are welcome.",
    # who is on the line again, or whom nobody can talk to
    "cut_off": "Sorry, we were cut off.",
    "giving_your": "You were giving me your {label}.",
    "giving_the": "You were giving me the {label}.",
    "nobody_free": "Sorry, nobody is free right now. Someone will call you back.",
    "rest": "I'll take the rest of your details.",
    "nobody_there": "Sorry, nobody can take your call right now. We will call you back. Goodbye.",
    "busy": "Sorry, all our lines are busy. We will call you back.",
    "called_back": "Thank you. We will call you back as soon as we can. Goodbye.",
    # who picks up for a caller
    "call_for_you": "A call for you",
    "wants_a_person": "The caller asked for a person.",
    "press_to_take": "Press {key} to take the call.",
    # who writes, and whom we write to
    "to_person": "I will hand you over to a person from our team. They will reply to you here.",
    "later": "Thank you. We have your message, and a person will get back to you.",
    "asked_by_message": "Thank you. We have sent you a text message with a question.",
    "opted_out": (
        "{name}: you will get no more messages from us. Write START to hear from us again."
    ),
    "missed": "Sorry we missed your call to {name}. What can we help you with?",
    "message_came": "Thank you for your message to {name}.",
}
_WRITTEN: _Phrases = {  # what is put otherwise where people write
    "not_heard": "Sorry, I did not understand that.",
    "still_not_heard": "Sorry, I still do not understand.",
    "transfer": "I will hand you over to a colleague. One moment, please.",
    "call_back": "I will ask a colleague to get in touch with you.",
    "closed": "Our team is not there right now. We open {when}, and a colleague will get in touch.",
    "say_whole": "Please write the whole {label}.",
    "yes_or_no": "Please answer yes or no.",
    "keypad": "",
}
_BY_LANGUAGE: Mapping[str, Mapping[Medium, _Phrases]] = {
    "en": {"voice": _ENGLISH, "text": {**_ENGLISH, **_WRITTEN}},
    "ar": {"voice": ARABIC, "text": {**ARABIC, **WRITTEN_ARABIC}},
}
LANGUAGES = tuple(_BY_LANGUAGE)


@dataclass(frozen=True, slots=True)
class Phrases:
    """The sentences of one conversation; a language that we have no words in gets English."""

    language: str
    medium: Medium

    def say(self, phrase: str, /, *, turn: int = 0, **values: str) -> str:
        """Return a sentence with its values; `turn` chooses among several ways to say it."""
        ways = _BY_LANGUAGE.get(self.language, _BY_LANGUAGE["en"])[self.medium][phrase]
        text = ways if isinstance(ways, str) else ways[turn % len(ways)]
        return text.format(**values)

    def refused(self, reason: str) -> str:
        """Return why an answer cannot be taken; the field types give their reasons as heard."""
        if self.medium == "text":
            reason = re.sub(r"\b\d(?:,? \d)+\b", lambda read: _joined(read[0]), reason)
            reason = re.sub(r"\bI heard\b", "I read", reason)
            reason = re.sub(r"\bI did not catch\b", "I did not get", reason)
        return self.say("refused", reason=reason)

    def doubt(self, question: str, suggestion: str) -> str:
        """Return the question whether `suggestion` was meant."""
        if self.medium == "voice" and self.language == "en":
            return question
        return self.say("did_you_mean", value=suggestion)

    def more(self, question: str) -> str:
        """Return the question that completes a value."""
        return self.say("more", question=question)

    def value(self, field: Field, value: str) -> str:
        """Return a canonical value as it is told: digits one by one where it is heard."""
        if self.medium == "voice":
            return spoken(field, value)
        if field.type not in PHONES:
            return value
        # Among Arabic words the number must be kept in its order.
        number = _written_number(value)
        return f"\u2066{number}\u2069" if self.language == "ar" else number

    def this_number(self, field: Field, number: str) -> str:
        """Return the question whether the number somebody comes from is the one to use."""
        told = self.value(field, number)
        if self.medium == "voice":
            return field.ask_caller.replace("{number}", told)
        return self.say("this_number", number=told)

    def hint(self, expects: Expectation) -> str:
        """Return what makes the answer easier to give: the profile's help, the keypad."""
        if expects.kind == "yes_no":
            return self.say("yes_or_no")
        if expects.field is None:
            return ""
        has_keys = vocabulary(expects.field).kind in ("digits", "year")
        return f"{expects.field.help} {self.say('keypad') if has_keys else ''}".strip()


def _written_number(number: str) -> str:
    """Return an E.164 number in the international format."""
    parsed = phonenumbers.parse(number)
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def _joined(digits: str) -> str:
    """Return digits that are read one by one as they are written: "9 9 5 0 1" is "99501"."""
    return re.sub(r"[ ,]", "", digits)
