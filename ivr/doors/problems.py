"""How an error is answered: RFC 9457 problem details, by one handler for both applications."""

import math
from http import HTTPStatus
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ivr.errors import IvrError, Unauthorized, Unavailable

MEDIA_TYPE = "application/problem+json"

log = structlog.get_logger(__name__)


async def explain(_: Request[Any], exc: Exception) -> Response:
    """Answer an error raised on purpose with its status and its words."""
    assert isinstance(exc, IvrError), "registered for no other"
    log.warning("request refused", status=exc.status, problem=str(exc))
    return problem(exc.status, str(exc), headers=_headers(exc))


def _headers(error: IvrError) -> dict[str, str] | None:
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, Unavailable) and error.retry_after:
        return {"Retry-After": str(math.ceil(error.retry_after))}
    return None


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
