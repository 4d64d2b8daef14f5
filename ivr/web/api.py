"""The JSON interface as one FastAPI application, mounted last in the web process."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

import ivr
from ivr.doors import problems
from ivr.errors import IvrError
from ivr.web import openapi

# What pydantic calls it; a body without a Content-Type, as curl sends one, is bytes to FastAPI.
_NO_OBJECT = frozenset({"model_attributes_type", "model_type", "dict_type"})


def create_api(routers: Sequence[APIRouter]) -> FastAPI:
    """Return the application; what lives as long as the process comes from the outer lifespan."""
    api = FastAPI(
        title="ivr",
        version=ivr.__version__,
        summary="Leads from calls and messages.",
        docs_url=None,  # its page loads scripts from elsewhere; ours is docs_page
        redoc_url=None,
        generate_unique_id_function=openapi.operation_id,
        exception_handlers={
            IvrError: problems.explain,
            HTTPException: problems.explain_http,
            RequestValidationError: _explain_invalid,
            Exception: problems.explain_bug,
        },
    )
    for router in routers:
        api.include_router(router)
    api.openapi = openapi.documented(api, routers)  # type: ignore[method-assign]  # FastAPI's own way
    return api


async def _explain_invalid(_: Request[Any], exc: Exception) -> Response:
    """Name each field that is wrong, and what was expected; never repeat what was sent."""
    assert isinstance(exc, RequestValidationError), "registered for no other"
    errors = [_named(error) for error in exc.errors()]
    detail = "; ".join(f"{error['field']}: {error['problem']}" for error in errors)
    return problems.problem(422, detail, errors=errors)


def _named(error: Mapping[str, Any]) -> dict[str, str]:
    """Return which field it is and what is wrong; of the whole body in words of our own."""
    if error["type"] == "json_invalid":
        return {"field": "body", "problem": f"expected JSON: {error['ctx']['error']}"}
    if error["loc"] == ("body",) and error["type"] in _NO_OBJECT:
        problem = "expected a JSON object, with Content-Type: application/json"
        return {"field": "body", "problem": problem}
    return {"field": _field(error["loc"]), "problem": error["msg"]}


def _field(where: Sequence[int | str]) -> str:
    """Return "message" for ("body", "message"), "body" where the whole of it is wrong."""
    names = [str(part) for part in where if part not in {"body", "query", "path", "header"}]
    return ".".join(names) or str(where[0])
