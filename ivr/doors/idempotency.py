"""`Idempotency-Key`: a request that is sent again changes nothing and gets the first one's answer.

The answer is written down in the transaction of the work itself, so that neither is there without
the other. Errors are not: their work was undone, and a repeat is a new attempt.
"""

import hashlib
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Header
from sqlalchemy import delete, func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.responses import JSONResponse, Response

from ivr.db import Database
from ivr.db.engine import despite_races, patiently
from ivr.db.tables import IdempotencyRecord, utc_now
from ivr.errors import Conflict, Unprocessable

KEPT = timedelta(hours=24)
REPLAYED = "Idempotency-Replayed"
COMMIT_SECONDS = 10.0  # while the database is away for a moment
_FORGOTTEN_AT_ONCE = 20  # old records, by each new one

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="A name of your own for this request: sent again, it does nothing twice.",
    ),
]


@dataclass(frozen=True, slots=True)
class Answered:
    """What a request is answered with; `body` is plain JSON."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


Work = Callable[[AsyncSession], Awaitable[Answered]]


@dataclass(frozen=True, slots=True)
class _Request:
    """One request under its sender's name for it; `sha256` is that of what is asked for."""

    tenant_id: uuid.UUID
    key: str
    sha256: str


async def once(
    db: Database,
    tenant_id: uuid.UUID,
    key: str | None,
    asked: Any,
    work: Work,
    *,
    clock: Callable[[], datetime] = utc_now,
) -> Response:
    """Do `work` in one write transaction and answer; with a key, only the first time.

    `asked` is plain JSON that makes the request this one: its path and its body. `work` may run
    again after a race: all that it did is undone then. Raises `Unprocessable`
    when the key was used for something else, `Conflict` while the first one is under way. On
    SQLite, where one writes at a time, a second one waits for the first and gets its answer.
    """
    request = _Request(tenant_id, key, _sha256_of(asked)) if key is not None else None

    async def attempt() -> Response:
        async with db.write() as session:
            if request is None:
                return _response(await work(session))
            return await _first_or_again(session, request, work, now=clock())

    # A commit whose answer was lost may have been made: without a name nobody could tell.
    seconds = 0 if request is None else COMMIT_SECONDS
    return await patiently(lambda: despite_races(attempt), seconds=seconds)


async def _first_or_again(
    session: AsyncSession, request: _Request, work: Work, *, now: datetime
) -> Response:
    await _demand_alone(session, request)
    record = await _record_of(session, request)
    if record is not None and record.created_at > now - KEPT:
        return _again(record, request)
    if record is not None:
        await session.delete(record)
        await session.flush()
    await _forget_old(session, now=now)
    answered = await work(session)
    session.add(
        IdempotencyRecord(
            tenant_id=request.tenant_id,
            key=request.key,
            request_sha256=request.sha256,
            status=answered.status,
            body=dict(answered.body),
            headers=dict(answered.headers),
            created_at=now,
        )
    )
    await session.flush()
    return _response(answered)


async def _demand_alone(session: AsyncSession, request: _Request) -> None:
    """Raise `Conflict` while another transaction works for the same key; it ends with its death."""
    if session.get_bind().dialect.name != "postgresql":
        return
    name = func.hashtextextended(f"idempotency:{request.tenant_id}:{request.key}", 0)
    if not (await session.exec(select(func.pg_try_advisory_xact_lock(name)))).one():
        raise Conflict("Idempotency-Key: the first request with it is under way; ask again")


async def _record_of(session: AsyncSession, request: _Request) -> IdempotencyRecord | None:
    query = select(IdempotencyRecord).where(
        IdempotencyRecord.tenant_id == request.tenant_id, IdempotencyRecord.key == request.key
    )
    return (await session.exec(query)).one_or_none()


async def _forget_old(session: AsyncSession, *, now: datetime) -> None:
    """Have the table not grow for ever; who else is at these rows does it as well."""
    record_id = col(IdempotencyRecord.id)
    old = (
        select(record_id)
        .where(col(IdempotencyRecord.created_at) <= now - KEPT)
        .order_by(col(IdempotencyRecord.created_at))
        .limit(_FORGOTTEN_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    await session.exec(
        delete(IdempotencyRecord)
        .where(record_id.in_(old))
        .execution_options(synchronize_session=False)
    )


def _again(record: IdempotencyRecord, request: _Request) -> Response:
    if record.request_sha256 != request.sha256:
        raise Unprocessable("Idempotency-Key: was used with another request")
    return JSONResponse(record.body, record.status, {**record.headers, REPLAYED: "true"})


def _response(answered: Answered) -> Response:
    return JSONResponse(dict(answered.body), answered.status, dict(answered.headers))


def _sha256_of(asked: Any) -> str:
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
