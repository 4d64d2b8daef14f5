"""The OpenAPI document: what FastAPI finds out by itself, made to say all that our doors answer."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from ivr.doors.key_first import asks_for_a_key
from ivr.doors.problems import problems_of

_VERBS = frozenset({"get", "post", "put", "patch", "delete"})
_FASTAPI_S_OWN = ("HTTPValidationError", "ValidationError")  # our 422 is a problem document
_PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "What went wrong (RFC 9457): the fields that are wrong are in `errors`.",
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "problem": {"type": "string"}},
                "required": ["field", "problem"],
            },
        },
    },
    "required": ["title", "status", "detail"],
    "additionalProperties": True,
}
_SCHEMES = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "The same key."},
}
# What an operation answers because it takes that parameter.
_BY_PARAMETER = {
    "cursor": (400,),
    "idempotency-key": (409, 422),
    "if-match": (400, 412),
    "if-none-match": (400,),
}


def operation_id(route: APIRoute) -> str:
    """Return a name that stays when paths change: clients are generated from it."""
    return f"{route.tags[0]}_{route.name}".strip("_") if route.tags else route.name


def documented(api: FastAPI, routers: Sequence[APIRouter]) -> Callable[[], dict[str, Any]]:
    """Return what makes the document, once."""
    of_fastapi = api.openapi
    locked = {operation_id(route) for route in _routes(routers) if asks_for_a_key(route)}

    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            _complete(of_fastapi(), locked)
        assert api.openapi_schema is not None, "FastAPI keeps it"
        return api.openapi_schema

    return document


def _routes(routers: Sequence[APIRouter]) -> Iterator[APIRoute]:
    for router in routers:
        yield from (route for route in router.routes if isinstance(route, APIRoute))


def _complete(document: dict[str, Any], locked: Collection[str]) -> None:
    components = document.setdefault("components", {})
    components["securitySchemes"] = _SCHEMES
    schemas = components.setdefault("schemas", {})
    for name in _FASTAPI_S_OWN:
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM
    for path, operation in _operations(document):
        _summarise(operation)
        if operation["operationId"] in locked:
            operation["security"] = [{name: []} for name in _SCHEMES]
        _add_problems(path, operation)


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        yield from ((path, operation) for verb, operation in item.items() if verb in _VERBS)


def _summarise(operation: dict[str, Any]) -> None:
    """Begin with the first sentence of the docstring; FastAPI has only the function's name."""
    first = operation.get("description", "").partition("\n")[0]
    if first:
        operation["summary"] = first.rstrip(".")


def _add_problems(path: str, operation: dict[str, Any]) -> None:
    names = [parameter["name"].lower() for parameter in operation.get("parameters", [])]
    statuses = {status for name in names for status in _BY_PARAMETER.get(name, ())}
    if "security" in operation:
        statuses |= {401, 403, 503}
    if "{" in path:
        statuses.add(404)
    if names or "requestBody" in operation:
        statuses |= {414, 422}
    if "requestBody" in operation:
        statuses |= {400, 413}  # 400: not even text
    if not path.startswith("/health"):
        statuses.add(429)
    responses = operation["responses"]
    responses.update({str(status): it for status, it in problems_of(*sorted(statuses)).items()})
    operation["responses"] = dict(sorted(responses.items()))
