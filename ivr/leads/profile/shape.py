"""The shape of a profile: what one line of business wants to know, in its own words.

Reading one from TOML is `profile_reader`'s work, finding one `profile`'s.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from ivr.errors import ProfileError
from ivr.leads.fields import Field

PHONES = ("us_phone", "phone")  # the field types that hold a phone number


@dataclass(frozen=True, slots=True)
class Escalation:
    """When a person takes over, besides when the contact asks for one."""

    keywords: tuple[str, ...] = ()
    high_value: int | None = None  # whole units
    currency: str | None = None  # of `high_value`; None is the one in which the profile asks
    most_exchanges: int = 20
    min_confidence: float = 0.6
    staff_phone: str | None = None  # E.164; told of an escalation by SMS
    due_minutes: float | None = None  # None is the setting's


@dataclass(frozen=True, slots=True)
class Closed:
    """Nobody is there today any more, or yet; `opens`: when they are, local, None if never."""

    today: date
    opens: datetime | None


@dataclass(frozen=True, slots=True)
class Demo:
    """What is sent to a lead that is to see the product."""

    text: str
    url: str


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of a profile in another language; what is missing there stays as it is."""

    greeting: str = ""
    text_greeting: str = ""
    closing: str = ""
    goodbye_phrases: tuple[str, ...] = ()
    # by the field's key: its `ask`, `label` and `help`
    fields: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Profile:
    """One line of business: its words, its fields in order, its stages, its target."""

    key: str
    name: str
    language: str
    greeting: str
    closing: str
    persona: str
    rules: tuple[str, ...]
    goodbye_phrases: tuple[str, ...]
    fields: tuple[Field, ...]
    stages: tuple[str, ...]
    minimum: tuple[str, ...]
    policy: str
    target: str
    target_fields: Mapping[str, str]
    transfer_number: str | None
    transfer_screening: bool = True  # who picks up presses a key first, as no machine does
    text_greeting: str = ""  # where nobody calls; the greeting when it is empty
    won_stages: tuple[str, ...] = ()
    lost_stages: tuple[str, ...] = ()
    reopen_lost: bool = True  # a new message of a lost lead opens it again
    lost_after_days: int | None = None  # of silence; None is the setting's, 0 is never
    nurture_after_hours: int | None = None  # the same
    follow_up: bool = False  # may write to a caller whose call broke off
    tools: tuple[str, ...] = ()  # of `profile_reader.EXTRA_TOOLS`
    escalation: Escalation = Escalation()
    demo: Demo | None = None
    texts: Mapping[str, Wording] = dataclasses.field(default_factory=dict)  # by language: "ar"
    closed: Closed | None = None  # outside business hours

    def field(self, key: str) -> Field:
        """Return the field `key`; ProfileError names the known ones."""
        for item in self.fields:
            if item.key == key:
                return item
        known = ", ".join(item.key for item in self.fields)
        raise ProfileError(f"profile {self.key} has no field {key!r}; it has {known}")

    @property
    def required(self) -> tuple[Field, ...]:
        """The fields without which a lead is not complete, in the order of asking."""
        return tuple(item for item in self.fields if item.required)

    @property
    def told(self) -> tuple[Field, ...]:
        """The fields that a contact can tell: all but the flags, which tools and staff set."""
        return tuple(item for item in self.fields if item.type != "flag")

    @property
    def phone_field(self) -> Field | None:
        """The field that a caller's number answers, None where nobody asks for one."""
        return next((item for item in self.fields if item.type in PHONES), None)

    @property
    def currency(self) -> str:
        """The currency (ISO 4217) in which it asks for money."""
        asked = (item for item in self.fields if item.type == "money")
        return next((str(item.options.get("currency", "USD")) for item in asked), "USD")

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages it has words in, as ISO 639 codes, its own first."""
        return (self.language.partition("-")[0].casefold(), *self.texts)

    def language_for(self, language: str | None) -> str:
        """Return the language to turn to somebody in: theirs where it has words in it."""
        return language if language in self.languages else self.languages[0]

    def in_language(self, language: str) -> "Profile":
        """Return this profile with its words in `language`, as it is where it has none."""
        wording = self.texts.get(language)
        if wording is None:
            return self
        return replace(
            self,
            language=language,
            greeting=wording.greeting or self.greeting,
            text_greeting=wording.text_greeting or wording.greeting or self.text_greeting,
            closing=wording.closing or self.closing,
            goodbye_phrases=(*wording.goodbye_phrases, *self.goodbye_phrases),
            fields=tuple(_worded(item, wording.fields.get(item.key, {})) for item in self.fields),
        )


def _worded(item: Field, words: Mapping[str, str]) -> Field:
    return replace(
        item,
        ask=words.get("ask", item.ask),
        label=words.get("label", item.label),
        help=words.get("help", item.help),
    )
