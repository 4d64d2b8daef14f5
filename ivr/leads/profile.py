"""A profile: what one line of business wants to know, in its own words, read from TOML.

Everything that a conversation needs comes from here; checking answers is `fields`' work.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ivr.errors import ProfileError
from ivr.leads.field_types import TYPES
from ivr.leads.fields import Field

__all__ = ["Field", "Profile", "load_profile", "parse_profile", "shipped_profiles"]

POLICIES = ("strict", "best_effort")
PII_CLASSES = ("none", "name", "phone", "email", "location", "free_text")
_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")

_TEXTS = ("key", "name", "language", "greeting", "closing", "persona", "policy")
_LISTS = ("rules", "goodbye_phrases", "stages", "minimum")
_PROFILE_KEYS = {*_TEXTS, *_LISTS, "transfer_number", "target", "fields"}
_FIELD_TYPES: Mapping[str, type] = {
    "key": str,
    "type": str,
    "label": str,
    "ask": str,
    "required": bool,
    "confirm": bool,
    "pii": str,
    "stage": str,
    "choices": list,
    "options": dict,
    "help": str,
    "ask_caller": str,
}
_WORD_FOR = {str: "text", bool: "true or false", list: "a list", dict: "a table", int: "a number"}


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

    def field(self, key: str) -> Field:
        """Return the field `key`; ProfileError names the known ones."""
        for field in self.fields:
            if field.key == key:
                return field
        known = ", ".join(field.key for field in self.fields)
        raise ProfileError(f"profile {self.key} has no field {key!r}; it has {known}")

    @property
    def required(self) -> tuple[Field, ...]:
        """The fields without which a lead is not complete, in the order of asking."""
        return tuple(field for field in self.fields if field.required)

    @property
    def phone_field(self) -> Field | None:
        """The field that a caller's number answers, None where nobody asks for one."""
        return next((field for field in self.fields if field.type == "us_phone"), None)


def shipped_profiles() -> tuple[str, ...]:
    """Return the keys of the profiles that come with the package."""
    folder = files("ivr.leads") / "profiles"
    names = [entry.name for entry in folder.iterdir() if entry.name.endswith(".toml")]
    return tuple(sorted(name.removesuffix(".toml") for name in names))


def load_profile(key_or_path: str | Path) -> Profile:
    """Return a shipped profile by key, or any profile by path; ProfileError says what is wrong."""
    if isinstance(key_or_path, str) and key_or_path in shipped_profiles():
        name = f"{key_or_path}.toml"
        text = (files("ivr.leads") / "profiles" / name).read_text(encoding="utf-8")
        return parse_profile(text, source=name)
    path = Path(key_or_path)
    if path.suffix != ".toml":
        known = ", ".join(shipped_profiles())
        raise ProfileError(f"no profile {str(key_or_path)!r}; shipped are {known}, or give a path")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ProfileError(f"{path}: cannot be read: {exc}") from exc
    return parse_profile(text, source=str(path))


def parse_profile(text: str, *, source: str) -> Profile:
    """Return the profile in TOML `text`; ProfileError names `source`, the key and the reason."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ProfileError(f"{source}: not valid TOML: {exc}") from exc
    return _Reader(source).profile(table)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Turns one TOML document into a profile and complains in its name."""

    source: str

    def profile(self, table: Mapping[str, Any]) -> Profile:
        self._known(table, _PROFILE_KEYS, where="")
        texts = {key: self._text(table, key) for key in _TEXTS}
        lists = {key: self._texts(table, key) for key in _LISTS}
        target, mapping = self._target(table)
        profile = Profile(
            key=texts["key"],
            name=texts["name"],
            language=texts["language"],
            greeting=texts["greeting"],
            closing=texts["closing"],
            persona=texts["persona"],
            policy=texts["policy"],
            rules=lists["rules"],
            goodbye_phrases=lists["goodbye_phrases"],
            stages=lists["stages"],
            minimum=lists["minimum"],
            fields=self._fields(table),
            target=target,
            target_fields=mapping,
            transfer_number=self._transfer(table),
        )
        self._check(profile)
        return profile

    def _fields(self, table: Mapping[str, Any]) -> tuple[Field, ...]:
        entries = table.get("fields")
        if not isinstance(entries, list) or not entries:
            raise self._error("fields", "at least one [[fields]] is needed")
        return tuple(self._field(entry, number) for number, entry in enumerate(entries, start=1))

    def _field(self, entry: object, number: int) -> Field:
        if not isinstance(entry, dict):
            raise self._error(f"fields[{number}]", "must be a table, written as [[fields]]")
        where = f"fields.{entry.get('key', number)}"
        self._known(entry, set(_FIELD_TYPES), where=f"{where}.")
        for key in ("key", "type", "label", "ask"):
            if not isinstance(entry.get(key), str) or not entry[key].strip():
                raise self._error(f"{where}.{key}", "is missing or empty")
        for key, value in entry.items():
            self._typed(f"{where}.{key}", value, _FIELD_TYPES[key])
        return self._checked_field(
            Field(**{**entry, "choices": self._texts(entry, "choices", where=f"{where}.")}), where
        )

    def _checked_field(self, field: Field, where: str) -> Field:
        if not _KEY.fullmatch(field.key):
            raise self._error(f"{where}.key", "must be lower case letters, digits and _")
        if field.type not in TYPES:
            raise self._error(f"{where}.type", f"unknown type {field.type!r}; {_one_of(TYPES)}")
        if field.pii not in PII_CLASSES:
            raise self._error(f"{where}.pii", f"unknown {field.pii!r}; {_one_of(PII_CLASSES)}")
        if (field.type == "choice") != bool(field.choices):
            raise self._error(f"{where}.choices", "belong to type choice, which needs them")
        if field.ask_caller and field.type != "us_phone":
            raise self._error(f"{where}.ask_caller", "belongs to type us_phone only")
        if field.ask_caller and "{number}" not in field.ask_caller:
            raise self._error(f"{where}.ask_caller", "must contain {number}")
        self._check_options(field, where)
        return field

    def _check_options(self, field: Field, where: str) -> None:
        allowed = TYPES[field.type].options
        for key, value in field.options.items():
            if key not in allowed:
                reason = f"unknown option of type {field.type}; {_one_of(allowed)}"
                raise self._error(f"{where}.options.{key}", reason)
            self._typed(f"{where}.options.{key}", value, allowed[key])
            if isinstance(value, list):
                self._texts(field.options, key, where=f"{where}.options.")
        if problem := TYPES[field.type].problem(field):
            raise self._error(f"{where}.options", problem)

    def _target(self, table: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
        target = table.get("target")
        if not isinstance(target, dict):
            raise self._error("target", "a [target] table with `name` and `fields` is needed")
        self._known(target, {"name", "fields"}, where="target.")
        mapping = target.get("fields", {})
        self._typed("target.fields", mapping, dict)
        for word, key in mapping.items():
            self._typed(f"target.fields.{word}", key, str)
        return self._text(target, "name", where="target."), mapping

    def _transfer(self, table: Mapping[str, Any]) -> str | None:
        number = table.get("transfer_number", "")
        self._typed("transfer_number", number, str)
        if number and not re.fullmatch(r"\+[1-9]\d{6,14}", number):
            raise self._error("transfer_number", "must be like +17705550100, or left out")
        return number or None

    def _check(self, profile: Profile) -> None:
        """Refuse what cannot work together."""
        keys = [field.key for field in profile.fields]
        self._unique("fields", keys)
        self._unique("stages", profile.stages)
        self._names("minimum", profile.minimum, keys, what="field")
        for field in profile.fields:
            if field.stage:
                self._names(f"fields.{field.key}.stage", [field.stage], profile.stages)
        for word, key in profile.target_fields.items():
            self._names(f"target.fields.{word}", [key], keys, what="field")
        if profile.policy not in POLICIES:
            raise self._error("policy", f"unknown {profile.policy!r}; {_one_of(POLICIES)}")
        self._check_goodbye(profile)

    def _check_goodbye(self, profile: Profile) -> None:
        """The closing must be recognised as the goodbye, and nothing said before it."""
        phrases = [phrase.casefold() for phrase in profile.goodbye_phrases]
        if not any(phrase in profile.closing.casefold() for phrase in phrases):
            raise self._error("closing", "must contain one of goodbye_phrases, or no call ends")
        before = {"greeting": profile.greeting}
        before |= {f"fields.{field.key}.ask": field.ask for field in profile.fields}
        for key, text in before.items():
            if any(phrase in text.casefold() for phrase in phrases):
                raise self._error(key, "contains a goodbye phrase, which would end the call")

    def _unique(self, key: str, names: list[str] | tuple[str, ...]) -> None:
        for name in names:
            if names.count(name) > 1:
                raise self._error(key, f"{name!r} stands there twice")

    def _names(
        self,
        key: str,
        names: list[str] | tuple[str, ...],
        known: list[str] | tuple[str, ...],
        *,
        what: str = "stage",
    ) -> None:
        for name in names:
            if name not in known:
                raise self._error(key, f"unknown {what} {name!r}; {_one_of(known)}")

    def _known(self, table: Mapping[str, Any], allowed: set[str], *, where: str) -> None:
        for key in table:
            if key not in allowed:
                raise self._error(f"{where}{key}", f"unknown key; {_one_of(sorted(allowed))}")

    def _text(self, table: Mapping[str, Any], key: str, *, where: str = "") -> str:
        value = table.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self._error(f"{where}{key}", "is missing or empty; text is needed")
        return value.strip()

    def _texts(self, table: Mapping[str, Any], key: str, *, where: str = "") -> tuple[str, ...]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
            raise self._error(f"{where}{key}", "must be a list of texts")
        return tuple(text.strip() for text in value)

    def _typed(self, key: str, value: object, kind: type) -> None:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self._error(key, f"must be {_WORD_FOR[kind]}")

    def _error(self, key: str, reason: str) -> ProfileError:
        return ProfileError(f"{self.source}: {key}: {reason}")


def _one_of(names: Any) -> str:
    return f"known are {', '.join(names)}" if names else "there are none"
