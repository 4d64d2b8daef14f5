"""Builds an answer that follows a JSON schema from a lead, as an obedient model would. No I/O.

Understands a lead as `{key: value}`, as `{key: {"value": ..., "quote": ...}}` and as a list of
`{"name": key, ...}`; whatever the lead does not know becomes null where the schema allows it.
"""

from collections.abc import Mapping
from typing import Any

_QUOTES = {"quote", "evidence", "heard_as", "said"}
_NAMES = ("name", "key", "field")
_EMPTY: dict[str, Any] = {"string": "", "integer": 0, "number": 0, "boolean": False, "array": []}


def fill(schema: Mapping[str, Any], lead: Mapping[str, Any]) -> Any:
    """Return an instance of `schema` that holds what `lead` knows."""
    return _Filler(schema, lead).value(schema, None)


class _Filler:
    def __init__(self, root: Mapping[str, Any], lead: Mapping[str, Any]) -> None:
        self._root = root
        self._lead = lead

    def value(self, schema: Mapping[str, Any], known: Any) -> Any:
        """Return a value for `schema`; `known` is what the lead says here, None for nothing."""
        schema = self._resolved(schema)
        kinds = self._kinds(schema)
        if isinstance(known, Mapping | list):
            return known
        if "anyOf" in schema:
            return self._any(schema["anyOf"], known)
        if "object" in kinds and (known is not None or "null" not in kinds):
            return {
                key: self._member(key, inner, known) for key, inner in schema["properties"].items()
            }
        if "array" in kinds:
            return self._entries(schema["items"])
        return self._scalar(schema, kinds, known)

    def _member(self, key: str, schema: Mapping[str, Any], known: Any) -> Any:
        if key in self._lead:
            return self.value(schema, self._lead[key])
        if key == "value" or key in _QUOTES:
            return self.value(schema, known)
        return self.value(schema, None)

    def _any(self, variants: list[Mapping[str, Any]], known: Any) -> Any:
        real = [self._resolved(v) for v in variants if "null" not in self._kinds(self._resolved(v))]
        if known is None and len(real) < len(variants):
            return None
        return self.value(real[0], known)

    def _entries(self, schema: Mapping[str, Any]) -> list[Any]:
        """Return one entry per known field when the items are named after fields; else nothing."""
        properties = self._resolved(schema).get("properties", {})
        name = next((key for key in _NAMES if key in properties), None)
        if name is None:
            return []
        known = {key: value for key, value in self._lead.items() if value is not None}
        return [
            {
                key: field if key == name else self._member(key, inner, value)
                for key, inner in properties.items()
            }
            for field, value in known.items()
        ]

    def _scalar(self, schema: Mapping[str, Any], kinds: list[str], known: Any) -> Any:
        if known is None:
            return None if "null" in kinds else schema.get("enum", [_EMPTY.get(kinds[0])])[0]
        if "integer" in kinds and str(known).lstrip("-").isdecimal():
            return int(known)
        if "number" in kinds:
            return float(known)
        return str(known) if "string" in kinds else known

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in schema:
            found: Any = self._root
            for part in schema["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            schema = found
        return schema

    def _kinds(self, schema: Mapping[str, Any]) -> list[str]:
        kind = schema.get("type", [])
        return [kind] if isinstance(kind, str) else list(kind)
