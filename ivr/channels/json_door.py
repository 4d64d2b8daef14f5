"""What the JSON doors share: names of events, the conversation with the desk, the answer.

A body is refused with problem details whatever is wrong with it; no door answers 5xx for it.
"""

import asyncio
import uuid
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Header
from pydantic import BaseModel, Field
from starlette.requests import Request

from ivr.channels.desk import Desk
from ivr.channels.inbound import Answer, Inbound
from ivr.db.engine import patiently
from ivr.db.tables import Tenant
from ivr.errors import Unavailable

# A browser, or a proxy on the way, waits little longer than half a minute.
ANSWER_SECONDS = 25.0
RETRY_AFTER_SECONDS = 5
COMMIT_SECONDS = 10.0  # while the database is away for a moment


class Said(BaseModel):
    """What a door answers; on live chat with a publishable key without what is known."""

    response: str
    conversation_id: str
    session_id: str
    turn_count: int
    stage: str | None
    lead_data: dict[str, str | bool | None]
    timestamp: datetime
    context_used: list[str] = []
    with_person: bool = Field(description="a person has the conversation, the assistant is silent")


def _desk(request: Request) -> Desk:
    desk: Desk = request.state["desk"]
    return desk


def _event_id(
    idempotency_key: Annotated[str | None, Header(alias="Idempotency-Key", max_length=255)] = None,
) -> str | None:
    return idempotency_key or None


TheDesk = Annotated[Desk, Depends(_desk)]
EventId = Annotated[str | None, Depends(_event_id)]


def event_id(*given: str | None) -> str:
    """Return the sender's own name for the event, or a new one: then a repeat is another event."""
    return next(filter(None, given), None) or str(uuid.uuid4())


async def converse(desk: Desk, tenant: Tenant, inbound: Inbound) -> Answer:
    """Commit what came in and return its answer; raise `Unavailable` when that takes too long.

    The work goes on then, and the same request gets its answer.
    """
    received = await patiently(lambda: desk.receive(tenant, inbound), seconds=COMMIT_SECONDS)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await desk.answer(received)
    except TimeoutError:
        raise Unavailable(
            "the answer takes longer than usual: ask again with the same Idempotency-Key",
            retry_after=RETRY_AFTER_SECONDS,
        ) from None


def said(answer: Answer, *, is_public: bool = False) -> Said:
    """Return an answer in the words of the wire.

    `is_public`: asked with a publishable key. It lies open, and a session id may be guessed: nobody
    reads there what we know.
    """
    whole = Said(**answer.dump())
    return whole.model_copy(update={"stage": None, "lead_data": {}}) if is_public else whole
