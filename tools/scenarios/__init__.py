"""Conversations as data: reads `*.toml` into a `Scenario`, or names the file, key and reason.

One turn is the assistant's response followed by the caller's answer. The OpenAI emulator performs
the assistant's side, the Twilio emulator the caller's. This file knows neither of them and no
profile; it only reads.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent

_TOP = {"title", "profile", "caller", "called", "turns", "expect", "extraction"}
_TURN = {"calls", "assistant", "then_calls", "caller", "on_problem"}
_CALL = {"name", "arguments"}


class ScenarioError(ValueError):
    """A scenario cannot be read; the text names the file, the key and the reason."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function call of the assistant."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """The assistant makes `calls`, speaks, makes `then_calls`; the caller answers ("" at the end).

    `on_problem` is spoken instead of `assistant` when one of the `calls` was answered with
    `"saved": false`.
    """

    assistant: str = ""
    caller: str = ""
    calls: tuple[Call, ...] = ()
    then_calls: tuple[Call, ...] = ()
    on_problem: str = ""


@dataclass(frozen=True, slots=True)
class Expect:
    """What must come out of the conversation: `lead` maps field keys to canonical values."""

    lead: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One conversation: `caller` and `called` in E.164, `extraction` by the emulated text model."""

    name: str
    title: str
    profile: str
    caller: str
    called: str
    turns: tuple[Turn, ...]
    expect: Expect
    extraction: Mapping[str, Any]


def names() -> list[str]:
    """Return the names of the scenarios that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str | Path) -> Scenario:
    """Return the scenario called `name`, of `names()` or a file's path; raise ScenarioError."""
    path = Path(name)
    if path.suffix != ".toml":
        path = FOLDER / f"{name}.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        known = ", ".join(names()) or "none"
        raise ScenarioError(f"no scenario {str(name)!r}; there are: {known}") from None
    return parse(text, source=path.name)


def parse(text: str, *, source: str) -> Scenario:
    """Return the scenario in `text`; raise ScenarioError, which names `source`."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ScenarioError(f"{source}: not TOML: {exc}") from None
    return Reader(source).scenario(raw)


class Reader:
    """Turns parsed TOML into a Scenario; every complaint starts with the source and the key."""

    def __init__(self, source: str) -> None:
        self._source = source

    def scenario(self, raw: dict[str, Any]) -> Scenario:
        self._known(raw, _TOP, "")
        expect = self._table(raw.get("expect", {}), "expect")
        self._known(expect, {"lead"}, "expect")
        lead = self._table(expect.get("lead", {}), "expect.lead")
        for key in lead:
            self._text(lead, key, "expect.lead")
        return Scenario(
            name=self._source.removesuffix(".toml"),
            title=self._text(raw, "title", ""),
            profile=self._text(raw, "profile", ""),
            caller=self._phone(raw, "caller"),
            called=self._phone(raw, "called"),
            turns=self._turns(raw.get("turns")),
            expect=Expect(lead=lead),
            extraction=self._table(raw.get("extraction", lead), "extraction"),
        )

    def _turns(self, raw: Any) -> tuple[Turn, ...]:
        if not isinstance(raw, list) or not raw:
            raise self._error("turns", "at least one [[turns]] table is needed")
        turns = tuple(self._turn(item, f"turns[{i}]") for i, item in enumerate(raw))
        for i, turn in enumerate(turns[:-1]):
            if not turn.caller:
                raise self._error(f"turns[{i}].caller", "only the last turn has no answer")
        if turns[-1].caller:
            raise self._error(f"turns[{len(turns) - 1}].caller", "nobody answers the last turn")
        return turns

    def _turn(self, raw: Any, where: str) -> Turn:
        table = self._table(raw, where)
        self._known(table, _TURN, where)
        turn = Turn(
            assistant=self._text(table, "assistant", where, default=""),
            caller=self._text(table, "caller", where, default=""),
            calls=self._calls(table, "calls", where),
            then_calls=self._calls(table, "then_calls", where),
            on_problem=self._text(table, "on_problem", where, default=""),
        )
        if not (turn.assistant or turn.calls or turn.then_calls):
            raise self._error(where, "the assistant neither speaks nor calls a function")
        return turn

    def _calls(self, table: dict[str, Any], key: str, where: str) -> tuple[Call, ...]:
        raw = table.get(key, [])
        if not isinstance(raw, list):
            raise self._error(f"{where}.{key}", "must be an array of {name, arguments}")
        return tuple(self._call(item, f"{where}.{key}[{i}]") for i, item in enumerate(raw))

    def _call(self, raw: Any, where: str) -> Call:
        table = self._table(raw, where)
        self._known(table, _CALL, where)
        arguments = self._table(table.get("arguments", {}), f"{where}.arguments")
        return Call(self._text(table, "name", where), arguments)

    def _phone(self, table: dict[str, Any], key: str) -> str:
        number = self._text(table, key, "")
        if not (number.startswith("+") and number[1:].isdecimal() and 8 <= len(number) <= 16):
            raise self._error(key, f"{number!r} is not a number like +17705550123")
        return number

    def _text(
        self, table: dict[str, Any], key: str, where: str, *, default: str | None = None
    ) -> str:
        value = table.get(key, default)
        path = f"{where}.{key}" if where else key
        if value is None:
            raise self._error(path, "is missing")
        if not isinstance(value, str):
            raise self._error(path, f"must be text, not {type(value).__name__}")
        if not value.strip() and key in table:
            raise self._error(path, "is empty; leave it out instead")
        return value

    def _table(self, value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._error(where, f"must be a table, not {type(value).__name__}")
        return value

    def _known(self, table: dict[str, Any], allowed: set[str], where: str) -> None:
        for key in table:
            if key not in allowed:
                path = f"{where}.{key}" if where else key
                raise self._error(path, f"is not known; known here: {', '.join(sorted(allowed))}")

    def _error(self, key: str, reason: str) -> ScenarioError:
        return ScenarioError(f"{self._source}: {key}: {reason}")
