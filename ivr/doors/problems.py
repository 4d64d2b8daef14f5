"""How an error is answered: RFC 9457 problem details, by one handler for both applications."""

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ivr.doors.security_headers import HEADERS
from ivr.errors import (
    Conflict,
    Gone,
    IvrError,
    NotFound,
    TooMany,
    Unauthorized,
    Unavailable,
    Unprocessable,
)

MEDIA_TYPE = "application/problem+json"

# They are about rows and values, and name them: a note of staff's, a name that was asked for.
_QUOTING = (NotFound, Conflict, Gone, Unprocessable)

log = structlog.get_logger(__name__)


async def explain(request: Request[Any], exc: Exception) -> Response:
    """Answer an error raised on purpose with its status and its words."""
    assert isinstance(exc, IvrError), "registered for no other"
    route = getattr(request.scope.get("route"), "path", None)
    # Under `answer` words stand in the log with LOG_PII only.
    words = {"problem": _for_the_log(exc), "answer": str(exc)}
    log.warning("request refused", status=exc.status, route=route, **words)
    return refusal(exc)


def refusal(exc: IvrError, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer that an error is, for who stands before every route."""
    return problem(exc.status, str(exc), headers={**_headers(exc), **(headers or {})}, **exc.more)


def _for_the_log(error: IvrError) -> str:
    """Return what is wrong, but no words that may repeat what somebody wrote."""
    if errors := error.more.get("errors"):
        return f"refused: {', '.join(one['field'] for one in errors)}"
    return type(error).__name__ if isinstance(error, _QUOTING) else str(error)


def _headers(error: IvrError) -> dict[str, str]:
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, (Unavailable, TooMany)) and error.retry_after:
        return {"Retry-After": str(math.ceil(error.retry_after))}
    return {}


async def explain_bug(_: Request[Any], exc: Exception) -> Response:
    """Answer what nobody foresaw; the server writes it to the log."""
    # Sent past all middleware when it is the outer application that broke.
    return problem(500, "something is broken here, and is written in our log", headers=HEADERS)


async def explain_http(_: Request[Any], exc: Exception) -> Response:
    """Answer what the framework refused: no such route, another method."""
    assert isinstance(exc, HTTPException), "registered for no other"
    return problem(exc.status_code, str(exc.detail), headers=dict(exc.headers or {}))


def problem(
    status: int, detail: str, *, headers: dict[str, str] | None = None, **more: Any
) -> Response:
    """Return problem details; `more` are members of our own, such as `errors`."""
    body = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return JSONResponse(body, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def problems_of(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a route says in the OpenAPI document of the problems that are its own."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }
