"""Reads a profile from a TOML document and complains in its name: file, key and reason."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ivr.errors import ProfileError
from ivr.leads.field_types import TYPES
from ivr.leads.field_types.amounts import CURRENCIES
from ivr.leads.fields import Field
from ivr.leads.profile import qualification_fields
from ivr.leads.profile.shape import PHONES, Demo, Escalation, Profile, Wording
from ivr.phone_numbers import E164

POLICIES = ("strict", "best_effort")
PII_CLASSES = ("none", "name", "phone", "email", "location", "free_text")
EXTRA_TOOLS = ("append_lead_to_rag_sheets",)  # what a profile may add to the assistant's tools
# Dates that far ahead or back are still dates.
MOST_SILENCE, MOST_DUE_MINUTES = 500_000, 5_000_000
KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LANGUAGE = re.compile(r"[a-z]{2,3}")

_TEXTS = ("key", "name", "language", "greeting", "closing", "persona", "policy")
_LISTS = ("rules", "goodbye_phrases", "stages", "minimum", "tools")
_OTHERS = ("transfer_number", "target", "fields", "text_greeting")
_COUNTS = ("lost_after_days", "nurture_after_hours")
_FLAGS = ("follow_up", "reopen_lost", "transfer_screening")
_CLOSING = ("won_stages", "lost_stages")
_TABLES = ("escalation", "demo", "texts")
_PROFILE_KEYS = {*_TEXTS, *_LISTS, *_CLOSING, *_OTHERS, *_COUNTS, *_FLAGS, *_TABLES}
_FIELD_TYPES: Mapping[str, type] = {
    "key": str,
    "type": str,
    "label": str,
    "ask": str,
    "asked": bool,
    "required": bool,
    "confirm": bool,
    "pii": str,
    "stage": str,
    "choices": list,
    "options": dict,
    "help": str,
    "ask_caller": str,
}
_ESCALATION_TYPES: Mapping[str, type] = {
    "keywords": list,
    "high_value": int,
    "currency": str,
    "most_exchanges": int,
    "min_confidence": float,
    "staff_phone": str,
    "due_minutes": float,
}
_WORDING = ("greeting", "text_greeting", "closing", "goodbye_phrases", "fields")
_FIELD_WORDS = ("ask", "label", "help")
_WORD_FOR = {
    str: "text",
    bool: "true or false",
    list: "a list",
    dict: "a table",
    int: "a whole number",
    float: "a number",
}


@dataclass(frozen=True, slots=True)
class Reader:
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
            transfer_number=self._number(table, "transfer_number"),
            transfer_screening=self._flag(table, "transfer_screening", default=True),
            text_greeting=self._optional(table, "text_greeting"),
            won_stages=self._closing(table, "won_stages", "ENROLLED"),
            lost_stages=self._closing(table, "lost_stages", "LOST"),
            reopen_lost=self._flag(table, "reopen_lost", default=True),
            lost_after_days=self._count(table, "lost_after_days"),
            nurture_after_hours=self._count(table, "nurture_after_hours"),
            follow_up=self._flag(table, "follow_up"),
            tools=lists["tools"],
            escalation=self._escalation(table),
            demo=self._demo(table),
            texts=self._wordings(table),
        )
        self.check(profile)
        return profile

    def _fields(self, table: Mapping[str, Any]) -> tuple[Field, ...]:
        entries = table.get("fields")
        if not isinstance(entries, list) or not entries:
            raise self._error("fields", "at least one [[fields]] is needed")
        return tuple(self._field(entry, number) for number, entry in enumerate(entries, start=1))

    def _field(self, entry: object, number: int) -> Field:
        if not isinstance(entry, dict):
            raise self._error(f"fields[{number}]", "must be a table, written as [[fields]]")
        where = f"fields.{entry.get('key', entry.get('use', number))}"
        entry = self._filled_in(entry, where)
        self._known(entry, set(_FIELD_TYPES), where=f"{where}.")
        for key, value in entry.items():
            self._typed(f"{where}.{key}", value, _FIELD_TYPES[key])
        asked = entry.get("asked", entry.get("type") != "flag")
        for key in ("key", "type", "label", *(["ask"] if asked else [])):
            if not entry.get(key, "").strip():
                raise self._error(f"{where}.{key}", "is missing or empty")
        usual = {"ask": "", "required": asked, "asked": asked}
        choices = self._texts(entry, "choices", where=f"{where}.")
        return self._checked_field(Field(**{**usual, **entry, "choices": choices}), where)

    def _filled_in(self, entry: Mapping[str, Any], where: str) -> Mapping[str, Any]:
        """Return an entry with what the shared field has that it uses."""
        if "use" not in entry:
            return entry
        self._typed(f"{where}.use", entry["use"], str)
        self._names(f"{where}.use", [entry["use"]], qualification_fields.KEYS, what="field")
        return qualification_fields.filled_in(entry)

    def _checked_field(self, field: Field, where: str) -> Field:
        if not KEY.fullmatch(field.key):
            raise self._error(f"{where}.key", "must be lower case letters, digits and _")
        if field.type not in TYPES:
            raise self._error(f"{where}.type", f"unknown type {field.type!r}; {_one_of(TYPES)}")
        if field.pii not in PII_CLASSES:
            raise self._error(f"{where}.pii", f"unknown {field.pii!r}; {_one_of(PII_CLASSES)}")
        if (field.type == "choice") != bool(field.choices):
            raise self._error(f"{where}.choices", "belong to type choice, which needs them")
        if field.type == "flag" and field.asked:
            raise self._error(f"{where}.asked", "a flag is never asked for")
        if field.required and not field.asked:
            raise self._error(f"{where}.required", "what nobody asks for cannot be required")
        if field.ask_caller and field.type not in PHONES:
            raise self._error(
                f"{where}.ask_caller", f"belongs to types {' and '.join(PHONES)} only"
            )
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

    def _number(self, table: Mapping[str, Any], key: str, *, where: str = "") -> str | None:
        number = table.get(key, "")
        self._typed(f"{where}{key}", number, str)
        if number and not E164.fullmatch(number):
            raise self._error(f"{where}{key}", "must be like +17705550100, or left out")
        return number or None

    def _escalation(self, table: Mapping[str, Any]) -> Escalation:
        entry = self._table(table, "escalation", set(_ESCALATION_TYPES))
        for key, value in entry.items():
            self._typed(f"escalation.{key}", value, _ESCALATION_TYPES[key])
        keywords = self._texts(entry, "keywords", where="escalation.")
        phone = self._number(entry, "staff_phone", where="escalation.")
        rule = Escalation(**{**entry, "keywords": keywords, "staff_phone": phone})
        if not 0 <= rule.min_confidence <= 1:
            raise self._error("escalation.min_confidence", "must be from 0 to 1")
        for key in ("most_exchanges", "high_value"):
            if (least := getattr(rule, key)) is not None and least < 1:
                raise self._error(f"escalation.{key}", "must be at least 1")
        if rule.due_minutes is not None and not 0 < rule.due_minutes <= MOST_DUE_MINUTES:
            raise self._error(
                "escalation.due_minutes", f"must be above 0, up to {MOST_DUE_MINUTES}"
            )
        if rule.currency is not None and rule.currency not in CURRENCIES:
            raise self._error("escalation.currency", f"unknown; {_one_of(CURRENCIES)}")
        return rule

    def _demo(self, table: Mapping[str, Any]) -> Demo | None:
        entry = self._table(table, "demo", {"text", "url"})
        if not entry:
            return None
        demo = Demo(*(self._text(entry, key, where="demo.") for key in ("text", "url")))
        if not demo.url.startswith(("https://", "http://")):
            raise self._error("demo.url", "must begin with https://")
        return demo

    def _wordings(self, table: Mapping[str, Any]) -> dict[str, Wording]:
        entries = self._table(table, "texts", None)
        for language in entries:
            if not _LANGUAGE.fullmatch(language):
                raise self._error(f"texts.{language}", "must be a language code such as ar")
        used = dict(map(qualification_fields.used_by, table["fields"]))
        return {language: self._wording(entries, language, used) for language in entries}

    def _wording(
        self, entries: Mapping[str, Any], language: str, used: Mapping[str, str | None]
    ) -> Wording:
        """Read words in a language; `used`: the shared field, if any, of each field in order."""
        where = f"texts.{language}."
        entry = self._table(entries, language, set(_WORDING), where="texts.")
        fields = self._table(entry, "fields", None, where=where)
        for key in fields:
            words = self._table(fields, key, set(_FIELD_WORDS), where=f"{where}fields.")
            for name in words:
                self._text(words, name, where=f"{where}fields.{key}.")
        shared = {key: qualification_fields.words(it, language) for key, it in used.items() if it}
        own = {
            key: {**shared.get(key, {}), **fields.get(key, {})}
            for key in {**used, **fields}
            if key in fields or shared.get(key)
        }
        return Wording(
            greeting=self._optional(entry, "greeting", where=where),
            text_greeting=self._optional(entry, "text_greeting", where=where),
            closing=self._optional(entry, "closing", where=where),
            goodbye_phrases=self._texts(entry, "goodbye_phrases", where=where),
            fields=own,
        )

    def check(self, profile: Profile) -> None:
        """Raise ProfileError for what cannot work together."""
        keys = [field.key for field in profile.fields]
        self._unique("fields", keys)
        self._unique("stages", profile.stages)
        self._names("minimum", profile.minimum, keys, what="field")
        for field in profile.fields:
            if field.stage:
                self._names(f"fields.{field.key}.stage", [field.stage], profile.stages)
        for word, key in profile.target_fields.items():
            self._names(f"target.fields.{word}", [key], keys, what="field")
        for language, wording in profile.texts.items():
            self._names(f"texts.{language}.fields", list(wording.fields), keys, what="field")
        self._names("won_stages", profile.won_stages, profile.stages)
        self._names("lost_stages", profile.lost_stages, profile.stages)
        if both := set(profile.won_stages) & set(profile.lost_stages):
            raise self._error("lost_stages", f"{both.pop()!r} is in won_stages too")
        self._names("tools", profile.tools, EXTRA_TOOLS, what="tool")
        if profile.policy not in POLICIES:
            raise self._error("policy", f"unknown {profile.policy!r}; {_one_of(POLICIES)}")
        self._check_goodbye(profile)
        for language in profile.texts:
            self._check_goodbye(profile.in_language(language), where=f"texts.{language}.")

    def _check_goodbye(self, profile: Profile, *, where: str = "") -> None:
        """The closing must be recognised as the goodbye, and nothing said before it."""
        phrases = [phrase.casefold() for phrase in profile.goodbye_phrases]
        if not any(phrase in profile.closing.casefold() for phrase in phrases):
            raise self._error(
                f"{where}closing", "must contain one of goodbye_phrases, or no call ends"
            )
        before = {"greeting": profile.greeting, "text_greeting": profile.text_greeting}
        before |= {f"fields.{field.key}.ask": field.ask for field in profile.fields}
        for key, text in before.items():
            if any(phrase in text.casefold() for phrase in phrases):
                raise self._error(
                    f"{where}{key}", "contains a goodbye phrase, which would end the call"
                )

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

    def _optional(self, table: Mapping[str, Any], key: str, *, where: str = "") -> str:
        return self._text(table, key, where=where) if key in table else ""

    def _flag(self, table: Mapping[str, Any], key: str, *, default: bool = False) -> bool:
        value = table.get(key, default)
        self._typed(key, value, bool)
        return bool(value)

    def _count(self, table: Mapping[str, Any], key: str) -> int | None:
        value = table.get(key)
        if value is None:
            return None
        self._typed(key, value, int)
        if not 0 <= value <= MOST_SILENCE:
            raise self._error(key, f"must be 0 (never) or more, up to {MOST_SILENCE}")
        return int(value)

    def _closing(self, table: Mapping[str, Any], key: str, usual: str) -> tuple[str, ...]:
        """Return the stages that close a lead: as listed, else the usual one if there is such."""
        if key in table:
            return self._texts(table, key)
        return (usual,) if usual in self._texts(table, "stages") else ()

    def _table(
        self, table: Mapping[str, Any], key: str, allowed: set[str] | None, *, where: str = ""
    ) -> Mapping[str, Any]:
        """Return the table `key`, empty if it is not there; `allowed` None takes any keys."""
        entry = table.get(key, {})
        self._typed(f"{where}{key}", entry, dict)
        if allowed is not None:
            self._known(entry, allowed, where=f"{where}{key}.")
        return dict(entry)

    def _texts(self, table: Mapping[str, Any], key: str, *, where: str = "") -> tuple[str, ...]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
            raise self._error(f"{where}{key}", "must be a list of texts")
        return tuple(text.strip() for text in value)

    def _typed(self, key: str, value: object, kind: type) -> None:
        if isinstance(value, int) and not isinstance(value, bool) and kind is float:
            return
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise self._error(key, f"must be {_WORD_FOR[kind]}")

    def _error(self, key: str, reason: str) -> ProfileError:
        return ProfileError(f"{self.source}: {key}: {reason}")


def _one_of(names: Iterable[str]) -> str:
    known = ", ".join(names)
    return f"known are {known}" if known else "there are none"
