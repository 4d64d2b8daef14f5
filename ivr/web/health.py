"""Whether the process lives, whether its database answers, and whether it takes calls."""

import asyncio
from typing import Literal

import structlog
from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from ivr.db import Database
from ivr.live_calls import LiveCalls

MOST_SECONDS = 2  # for the database's answer

log = structlog.get_logger(__name__)

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """Whether the database answers."""

    status: Literal["healthy", "unhealthy"]
    database: Literal["connected", "disconnected"]


class Admission(BaseModel):
    """Why the next call would be refused, how many were taken, and refused for which reasons."""

    refuses: str | None
    admitted: int
    refused: dict[str, int]


class Readiness(BaseModel):
    """Whether calls and messages may come; `voice` is the model that answers calls, or "none"."""

    status: Literal["ready", "draining", "not_ready"]
    database: Literal["connected", "disconnected"]
    voice: str
    live_calls: int
    admission: Admission


class Life(BaseModel):
    """That somebody answers."""

    status: Literal["alive"] = "alive"


@router.head("/health", include_in_schema=False)
@router.get("/health", response_model=Health, responses={503: {"model": Health}})
async def health(request: Request) -> Response:
    """Tell whether the database answers."""
    connected = await _is_connected(request.state["db"])
    body = Health(
        status="healthy" if connected else "unhealthy",
        database="connected" if connected else "disconnected",
    )
    return _answer(body, is_well=connected)


@router.head("/health/ready", include_in_schema=False)
@router.get("/health/ready", response_model=Readiness, responses={503: {"model": Readiness}})
async def ready(request: Request) -> Response:
    """Tell whether the process can take calls: it is not leaving, and its database answers.

    A process that turns callers away is ready all the same: it makes leads of them.
    """
    calls, voice = request.state["live"], request.state["voice"]
    connected = await _is_connected(request.state["db"])
    status: Literal["ready", "draining", "not_ready"] = "ready" if connected else "not_ready"
    body = Readiness(
        status="draining" if calls.is_draining else status,
        database="connected" if connected else "disconnected",
        voice="none" if voice is None else voice.model,
        live_calls=len(calls),
        admission=_admission(calls),
    )
    return _answer(body, is_well=body.status == "ready")


@router.head("/health/live", include_in_schema=False)
@router.get("/health/live")
async def live() -> Life:
    """Tell that the process runs."""
    return Life()


def _admission(calls: LiveCalls) -> Admission:
    admission = calls.admission
    refused = {str(why): count for why, count in admission.refused.items()}
    return Admission(refuses=calls.refusal, admitted=admission.admitted, refused=refused)


async def _is_connected(db: Database) -> bool:
    try:
        async with asyncio.timeout(MOST_SECONDS):
            await db.ping()
    except Exception as exc:  # whatever is wrong with the database, the answer is the same
        log.warning("the database does not answer", problem=type(exc).__name__)
        return False
    return True


def _answer(body: BaseModel, *, is_well: bool) -> Response:
    return JSONResponse(
        body.model_dump(),
        status_code=200 if is_well else 503,
        headers={"Cache-Control": "no-store"},
    )
