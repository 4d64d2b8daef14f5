"""Written conversations as data: reads `*.toml` into a `Talk`, or names the file, key and reason.

One turn is what a person does at a door (a message, a form, a call that nobody takes) and what a
model makes of it; without a model the rules answer, and what must come out is the same. This file
knows no door, no emulator and no profile; it only reads.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.scenarios import Call, Reader, ScenarioError

FOLDER = Path(__file__).parent
DOORS = ("sms", "whatsapp", "chat", "live_chat", "web_form", "missed_call")
OUTCOMES = ("succeeded", "open")

_TOP = {"title", "profile", "door", "phone", "turns", "expect"}
_DONE = {"door", "says", "form", "media"}
_MADE_OF_IT = {"saves", "calls", "assistant", "then_calls"}
_CHECKED = {"answer", "contains", "language", "stage"}
_EXPECT = {"lead", "stage", "outcome", "conversations", "escalation", "opted_out"}
_ANSWERS = ("reply", "text", "both", "none")


@dataclass(frozen=True, slots=True)
class Turn:
    """What a person does at a door, what a model makes of it, and what the reply must be like.

    The model makes `calls` (those of `saves` are calls of `save_field`), then says `assistant` and
    makes `then_calls`; it is not asked where it says nothing. `contains`, `language` and `stage`
    hold whoever replies. `answer`: "reply" at the same door, "text" by SMS only, "both", "none".
    """

    door: str
    says: str = ""
    form: Mapping[str, Any] = field(default_factory=dict)
    media: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    assistant: str = ""
    then_calls: tuple[Call, ...] = ()
    contains: tuple[str, ...] = ()
    language: str = ""
    stage: str = ""
    answer: str = "reply"


@dataclass(frozen=True, slots=True)
class Expect:
    """What must come out, always of one contact and one lead."""

    lead: Mapping[str, str]
    stage: str = ""
    outcome: str = "succeeded"
    conversations: int = 1
    escalation: str = ""
    opted_out: bool = False


@dataclass(frozen=True, slots=True)
class Talk:
    """One person who writes; `phone` in E.164, also where only a form or a chat tells it."""

    name: str
    title: str
    profile: str
    phone: str
    turns: tuple[Turn, ...]
    expect: Expect


def names() -> list[str]:
    """Return the names of the talks that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Talk:
    """Return the talk called `name`, of `names()`; raise ScenarioError."""
    path = FOLDER / f"{name}.toml"
    try:
        return parse(path.read_text(encoding="utf-8"), source=path.name)
    except FileNotFoundError:
        raise ScenarioError(f"no talk {name!r}; there are: {', '.join(names())}") from None


def parse(text: str, *, source: str) -> Talk:
    """Return the talk in `text`; raise ScenarioError, which names `source`."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ScenarioError(f"{source}: not TOML: {exc}") from None
    return _TalkReader(source).talk(raw)


class _TalkReader(Reader):
    """Turns parsed TOML into a Talk; every complaint starts with the source and the key."""

    def talk(self, raw: dict[str, Any]) -> Talk:
        self._known(raw, _TOP, "")
        door = self._one_of(raw, "door", "", DOORS)
        turns = raw.get("turns")
        if not isinstance(turns, list) or not turns:
            raise self._error("turns", "at least one [[turns]] table is needed")
        return Talk(
            name=self._source.removesuffix(".toml"),
            title=self._text(raw, "title", ""),
            profile=self._text(raw, "profile", ""),
            phone=self._phone(raw, "phone"),
            turns=tuple(self._turn_of(it, door, f"turns[{i}]") for i, it in enumerate(turns)),
            expect=self._expect(self._table(raw.get("expect", {}), "expect")),
        )

    def _turn_of(self, raw: Any, door: str, where: str) -> Turn:
        table = self._table(raw, where)
        self._known(table, _DONE | _MADE_OF_IT | _CHECKED, where)
        return Turn(
            door=self._one_of(table, "door", where, DOORS, default=door),
            says=self._text(table, "says", where, default=""),
            form=self._table(table.get("form", {}), f"{where}.form"),
            media=self._texts(table, "media", where),
            calls=(*self._saves(table, where), *self._calls(table, "calls", where)),
            assistant=self._text(table, "assistant", where, default=""),
            then_calls=self._calls(table, "then_calls", where),
            contains=self._texts(table, "contains", where),
            language=self._text(table, "language", where, default=""),
            stage=self._text(table, "stage", where, default=""),
            answer=self._one_of(table, "answer", where, _ANSWERS, default="reply"),
        )

    def _saves(self, table: dict[str, Any], where: str) -> tuple[Call, ...]:
        saves = self._table(table.get("saves", {}), f"{where}.saves")
        return tuple(
            Call("save_field", {"name": name, "value": value, "heard_as": value})
            for name, value in saves.items()
        )

    def _expect(self, table: dict[str, Any]) -> Expect:
        self._known(table, _EXPECT, "expect")
        lead = self._table(table.get("lead", {}), "expect.lead")
        for key in lead:
            self._text(lead, key, "expect.lead")
        return Expect(
            lead=lead,
            stage=self._text(table, "stage", "expect", default=""),
            outcome=self._one_of(table, "outcome", "expect", OUTCOMES, default="succeeded"),
            conversations=int(table.get("conversations", 1)),
            escalation=self._text(table, "escalation", "expect", default=""),
            opted_out=table.get("opted_out") is True,
        )

    def _one_of(
        self,
        table: dict[str, Any],
        key: str,
        where: str,
        allowed: tuple[str, ...],
        *,
        default: str | None = None,
    ) -> str:
        word = self._text(table, key, where, default=default)
        if word not in allowed:
            path = f"{where}.{key}" if where else key
            raise self._error(path, f"{word!r} is none of: {', '.join(allowed)}")
        return word

    def _list(self, table: dict[str, Any], key: str, where: str) -> list[Any]:
        raw = table.get(key, [])
        if not isinstance(raw, list):
            raise self._error(f"{where}.{key}", "must be an array")
        return raw

    def _texts(self, table: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
        found = self._list(table, key, where)
        if not all(isinstance(item, str) and item for item in found):
            raise self._error(f"{where}.{key}", "must be an array of texts")
        return tuple(found)
