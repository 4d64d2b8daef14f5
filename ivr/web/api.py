"""The JSON interface as one FastAPI application, mounted last in the web process."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

import ivr
from ivr.doors import problems
from ivr.errors import IvrError


def create_api(routers: Sequence[APIRouter]) -> FastAPI:
    """Return the application; what lives as long as the process comes from the outer lifespan."""
    api = FastAPI(
        title="ivr",
        version=ivr.__version__,
        summary="Leads from calls and messages.",
        docs_url=None,  # its page loads scripts from elsewhere; /openapi.json is ours
        redoc_url=None,
        exception_handlers={
            IvrError: problems.explain,
            HTTPException: problems.explain_http,
            RequestValidationError: _explain_invalid,
        },
    )
    for router in routers:
        api.include_router(router)
    return api


async def _explain_invalid(_: Request[Any], exc: Exception) -> Response:
    """Name each field that is wrong, and what was expected; never repeat what was sent."""
    assert isinstance(exc, RequestValidationError), "registered for no other"
    errors = [{"field": _field(error["loc"]), "problem": error["msg"]} for error in exc.errors()]
    detail = "; ".join(f"{error['field']}: {error['problem']}" for error in errors)
    return problems.problem(422, detail, errors=errors)


def _field(where: Sequence[int | str]) -> str:
    """Return "message" for ("body", "message"), "body" where the whole of it is wrong."""
    names = [str(part) for part in where if part not in {"body", "query", "path", "header"}]
    return ".".join(names) or str(where[0])
