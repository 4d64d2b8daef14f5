"""Refuses a `response_format` that strict structured output refuses. No I/O.

Source: OpenAI's structured-outputs guide.
"""

import re
from collections.abc import Iterator
from typing import Any

from tools.emulators.openai.refusal import Refusal, missing_parameter, unknown_parameter

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FORMAT_KEYS = {"name", "schema", "strict", "description"}
_KEYWORDS = {
    *("type", "properties", "required", "additionalProperties", "items", "enum", "const"),
    *("anyOf", "$ref", "$defs", "definitions", "title", "description"),
}


def check(response_format: Any, messages: Any) -> dict[str, Any] | None:
    """Return the schema that the answer must follow, or None; raise Refusal."""
    match response_format:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            if "json" not in str(messages).lower():
                text = "'messages' must contain the word 'json' to use 'json_object'."
                raise Refusal(text, code=None, param="messages")
            return None
        case {"type": "json_schema", "json_schema": dict() as wanted}:
            return _check_wanted(wanted)
    raise Refusal("Invalid 'response_format'.", param="response_format")


def _check_wanted(wanted: dict[str, Any]) -> dict[str, Any]:
    path = "response_format.json_schema"
    for key in wanted:
        if key not in _FORMAT_KEYS:
            raise unknown_parameter(f"{path}.{key}")
    for key in ("name", "schema"):
        if key not in wanted:
            raise missing_parameter(f"{path}.{key}")
    if not _NAME.fullmatch(wanted["name"]):
        raise Refusal("Expected up to 64 of A-Z a-z 0-9 _ -.", param=f"{path}.name")
    schema: dict[str, Any] = wanted["schema"]
    if wanted.get("strict"):
        for problem in problems(schema):
            raise Refusal(
                f"Invalid schema for response_format '{wanted['name']}': {problem}",
                code=None,
                param="response_format",
            )
    return schema


def problems(schema: Any) -> Iterator[str]:
    """Yield what strict mode dislikes about `schema`, the path first."""
    if not isinstance(schema, dict) or schema.get("type") != "object":
        yield "schema must be a JSON Schema of 'type: \"object\"'"
    if isinstance(schema, dict) and "anyOf" in schema:
        yield "the root must not be 'anyOf'"
    yield from _problems(schema, "root")


def _problems(schema: Any, path: str) -> Iterator[str]:
    if not isinstance(schema, dict):
        yield f"{path}: not a schema object"
        return
    for key in schema:
        if key not in _KEYWORDS:
            yield f"{path}: '{key}' is not permitted"
    if "$ref" in schema and len(schema) > 1:
        yield f"{path}: '$ref' cannot have keywords {sorted(set(schema) - {'$ref'})}"
    if not {"type", "anyOf", "$ref", "enum", "const"} & set(schema):
        yield f"{path}: schema must have a 'type' key"
    if schema.get("type") == "object":
        yield from _object_problems(schema, path)
    if schema.get("type") == "array" and "items" not in schema:
        yield f"{path}: array schema is missing 'items'"
    yield from _inner_problems(schema, path)


def _object_problems(schema: dict[str, Any], path: str) -> Iterator[str]:
    if schema.get("additionalProperties") is not False:
        yield f"{path}: 'additionalProperties' is required to be supplied and to be false"
    missing = set(schema.get("properties", {})) - set(schema.get("required", []))
    if missing:
        yield f"{path}: 'required' must include every key in properties. Missing {sorted(missing)}"
    unknown = set(schema.get("required", [])) - set(schema.get("properties", {}))
    if unknown:
        yield f"{path}: 'required' names unknown keys {sorted(unknown)}"


def _inner_problems(schema: dict[str, Any], path: str) -> Iterator[str]:
    for group in ("properties", "$defs", "definitions"):
        for key, inner in schema.get(group, {}).items():
            yield from _problems(inner, f"{path}.{key}")
    for i, inner in enumerate(schema.get("anyOf", [])):
        yield from _problems(inner, f"{path}.anyOf.{i}")
    if "items" in schema:
        yield from _problems(schema["items"], f"{path}.items")
