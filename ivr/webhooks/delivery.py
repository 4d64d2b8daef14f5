"""Delivers events to their endpoints: at least once each, or parked where an operator sees it.

The row is the lock: a claim moves `next_attempt_at` behind the end of the request, so that what a
dead process had in hand comes due again by itself. No order is promised: the data has a `seq`.
"""

import asyncio
import json
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import structlog
from sqlalchemy import and_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import addresses
from ivr.db import Database
from ivr.db.engine import is_ending, patiently, storable
from ivr.db.tables import DeliveryState, OutboxEvent, WebhookDelivery, WebhookEndpoint, utc_now
from ivr.errors import BadRequest
from ivr.sealing import Seal, Sealed
from ivr.targets.base import retry_after
from ivr.webhooks import endpoints, outbox, signing

MINUTE, HOUR = 60, 3600
DELAYS = tuple(
    timedelta(seconds=seconds)
    for seconds in (
        *(5, 5 * MINUTE, 30 * MINUTE),
        *(2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR),
    )
)
LONGEST_DELAY = timedelta(hours=24)
JITTER = 0.2  # of the delay, up or down: a receiver that comes back is not overrun
REQUEST_SECONDS = 15.0
LEASE = timedelta(seconds=REQUEST_SECONDS + 45)
SETTLE_SECONDS = 30
LOOK_SECONDS = 1.0
AT_ONCE = 32
AT_ONCE_EACH = 8  # to one endpoint: one that hangs must not hold up the others
CLOSE_SECONDS = 5.0
KEPT_BYTES = 500  # of an answer, to tell what went wrong
GONE = 410
_HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": "ivr",
    "Accept-Encoding": "identity",  # a small answer must not unfold into a large one
}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parcel:
    """A delivery that is ours to make, once."""

    delivery_id: int
    endpoint_id: uuid.UUID
    number: int
    url: str
    secrets: list[str]
    message_id: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What a receiver made of it; `problem` None: it has it."""

    problem: str | None = None
    status_code: int | None = None
    retry_after: float | None = None


class Deliveries:
    """Delivers for one process; `only_public` keeps requests out of our own network."""

    def __init__(
        self,
        db: Database,
        http: httpx.AsyncClient,
        *,
        only_public: bool,
        seal: Seal,
        clock: Callable[[], datetime] = utc_now,
        chance: Callable[[], float] = random.random,
        request_seconds: float = REQUEST_SECONDS,
    ) -> None:
        self._db = db
        self._http = http
        self._only_public = only_public
        self._seal = seal
        self._clock = clock
        self._chance = chance
        self._request_seconds = request_seconds

    @classmethod
    @asynccontextmanager
    async def open(
        cls, db: Database, *, only_public: bool, seal: Seal
    ) -> AsyncIterator["Deliveries"]:
        """Deliver while the block runs, over connections that nobody else needs."""
        limits = httpx.Limits(max_connections=2 * AT_ONCE, max_keepalive_connections=AT_ONCE)
        async with httpx.AsyncClient(limits=limits, timeout=REQUEST_SECONDS) as http:
            deliveries = cls(db, http, only_public=only_public, seal=seal)
            task = asyncio.create_task(run(deliveries), name="webhooks")
            try:
                yield deliveries
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def due(
        self, *, limit: int, besides: Collection[uuid.UUID] = ()
    ) -> Sequence[tuple[int | None, uuid.UUID]]:
        """Return deliveries to make now and their endpoints, the longest waiting first."""
        query = (
            select(WebhookDelivery.id, WebhookDelivery.endpoint_id)
            .where(_is_due(self._clock()), col(WebhookDelivery.endpoint_id).not_in(besides))
            .order_by(col(WebhookDelivery.next_attempt_at), col(WebhookDelivery.id))
            .limit(limit)
        )
        async with self._db.read() as session:
            return (await session.exec(query)).all()

    async def attempt(self, delivery_id: int) -> DeliveryState | None:
        """Make a delivery whose time has come; None when it is not due or somebody was first."""
        claimed = await self._claim(delivery_id)
        if not isinstance(claimed, _Parcel):
            return claimed
        answer = await self._post(claimed)
        return await patiently(lambda: self._settle(claimed, answer), seconds=SETTLE_SECONDS)

    async def _claim(self, delivery_id: int) -> _Parcel | DeliveryState | None:
        """Take a delivery in hand, or park it when there is nothing left to try."""
        now = self._clock()
        async with self._db.write() as session:
            taken = await session.exec(
                update(WebhookDelivery)
                .where(col(WebhookDelivery.id) == delivery_id, _is_due(now))
                .values(
                    state=DeliveryState.IN_FLIGHT,
                    attempts=col(WebhookDelivery.attempts) + 1,
                    next_attempt_at=now + LEASE,
                    updated_at=now,
                )
            )
            if taken.rowcount != 1:
                return None
            delivery, event, endpoint = await _whole(session, delivery_id)
            if endpoint.disabled_at is not None:
                return _park(delivery, "the endpoint is disabled", now=now)
            if delivery.attempts > len(DELAYS) + 1:
                return _park(delivery, "the process ended in every attempt", now=now)
            try:
                secrets = endpoints.valid_secrets(endpoint, self._seal, now=now)
            except Sealed as error:
                why = f"the secret cannot be read ({error}): make a new one and replay"
                return _park(delivery, why, now=now)
            return _pack(delivery, event, endpoint, secrets)

    async def _post(self, parcel: _Parcel) -> _Answer:
        """Send it; whatever goes wrong is an answer, too."""
        try:
            async with asyncio.timeout(self._request_seconds):
                return await self._exchange(parcel)
        except TimeoutError:
            return _Answer(problem=f"no answer in {self._request_seconds:g} s")
        except (BadRequest, OSError) as error:
            return _Answer(problem=str(error))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return _Answer(problem=f"{type(error).__name__}: {error}")
        except Exception as error:  # a bug of ours: parked in the end, never in the way of others
            log.exception("webhook not sent", delivery_id=parcel.delivery_id)
            return _Answer(problem=f"unexpected {type(error).__name__}")

    async def _exchange(self, parcel: _Parcel) -> _Answer:
        to = await addresses.destination(parcel.url, only_public=self._only_public)
        signed = signing.headers(
            parcel.secrets, message_id=parcel.message_id, body=parcel.body, now=self._clock()
        )
        headers = {**_HEADERS, **to.headers, **signed}
        async with self._http.stream(
            "POST",
            to.url,
            content=parcel.body,
            headers=headers,
            extensions=to.extensions,
            follow_redirects=False,
        ) as response:
            if response.is_success:
                return _Answer(status_code=response.status_code)
            return _Answer(
                problem=await _complaint(response),
                status_code=response.status_code,
                retry_after=retry_after(response, now=self._clock()),
            )

    async def _settle(self, parcel: _Parcel, answer: _Answer) -> DeliveryState | None:
        """Write what became of an attempt; None when a later one has decided meanwhile."""
        now = self._clock()
        async with self._db.write() as session:
            endpoint = None
            if answer.status_code == GONE:  # before its deliveries: who parks them does the same
                endpoint = await endpoints.lock(session, parcel.endpoint_id)
            delivery = await _take(session, parcel, delivered=answer.problem is None)
            if delivery is None:
                return None
            delivery.last_status_code, delivery.updated_at = answer.status_code, now
            delivery.last_error = answer.problem
            if answer.problem is None:
                delivery.state, delivery.next_attempt_at = DeliveryState.DELIVERED, None
                delivery.delivered_at = now
            elif endpoint is not None:
                _park(delivery, answer.problem, now=now)
                await endpoints.disable(session, endpoint, "the endpoint is gone (410)", now=now)
                log.warning("webhook endpoint disabled", endpoint_id=str(endpoint.id))
            else:
                self._put_off(delivery, answer, now=now)
            return DeliveryState(delivery.state)

    def _put_off(self, delivery: WebhookDelivery, answer: _Answer, *, now: datetime) -> None:
        """Have it tried later, or park it when it was tried often enough."""
        assert answer.problem is not None, "only what failed is put off"
        if delivery.attempts > len(DELAYS):
            _park(delivery, answer.problem, now=now)
            return
        delivery.state = DeliveryState.PENDING
        delivery.next_attempt_at = now + self.delay(delivery.attempts, answer.retry_after)

    def delay(self, attempts: int, asked_seconds: float | None) -> timedelta:
        """Return the wait after so many attempts: jittered, or as the receiver asked if longer."""
        planned = DELAYS[attempts - 1] * (1 - JITTER + 2 * JITTER * self._chance())
        asked = min(timedelta(seconds=asked_seconds or 0), LONGEST_DELAY)
        return max(planned, asked)


async def run(deliveries: Deliveries) -> None:
    """Deliver what is due, for ever; one that ends makes room for the next at once."""
    sending: dict[asyncio.Task[None], uuid.UUID] = {}
    try:
        while True:
            try:
                await _start_due(deliveries, sending)
            except Exception:
                if is_ending():
                    raise
                log.exception("webhooks missed a beat")
            if sending:
                await asyncio.wait(
                    sending, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
            else:
                await asyncio.sleep(LOOK_SECONDS)
    finally:
        await _let_end(sending)


async def _start_due(deliveries: Deliveries, sending: dict[asyncio.Task[None], uuid.UUID]) -> None:
    for task in [task for task in sending if task.done()]:
        del sending[task]
    room, load = AT_ONCE - len(sending), Counter(sending.values())
    if room <= 0:
        return
    busy = [endpoint for endpoint, count in load.items() if count >= AT_ONCE_EACH]
    for delivery_id, endpoint_id in await deliveries.due(limit=room, besides=busy):
        if delivery_id is not None and load[endpoint_id] < AT_ONCE_EACH:
            load[endpoint_id] += 1
            sending[asyncio.create_task(_attempt(deliveries, delivery_id))] = endpoint_id


async def _attempt(deliveries: Deliveries, delivery_id: int) -> None:
    try:
        await deliveries.attempt(delivery_id)
    except Exception:
        log.exception("webhook attempt failed", delivery_id=delivery_id)
        await asyncio.sleep(LOOK_SECONDS)  # it is due still, and would be taken up at once


async def _let_end(sending: Collection[asyncio.Task[None]]) -> None:
    """Give requests that have left a moment for their answer; the others are made again."""
    if sending:
        _, late = await asyncio.wait(sending, timeout=CLOSE_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def _is_due(now: datetime) -> Any:
    return and_(
        col(WebhookDelivery.state).in_(endpoints.WAITING),
        col(WebhookDelivery.next_attempt_at) <= now,
    )


async def _whole(
    session: AsyncSession, delivery_id: int
) -> tuple[WebhookDelivery, OutboxEvent, WebhookEndpoint]:
    query = (
        select(WebhookDelivery, OutboxEvent, WebhookEndpoint)
        .join(OutboxEvent, col(OutboxEvent.id) == col(WebhookDelivery.event_id))
        .join(WebhookEndpoint, col(WebhookEndpoint.id) == col(WebhookDelivery.endpoint_id))
        .where(WebhookDelivery.id == delivery_id)
    )
    return (await session.exec(query)).one()


async def _take(
    session: AsyncSession, parcel: _Parcel, *, delivered: bool
) -> WebhookDelivery | None:
    """Return the delivery, locked, if this attempt decides; that it arrived counts at any time."""
    query = select(WebhookDelivery).where(WebhookDelivery.id == parcel.delivery_id)
    if not delivered:
        query = query.where(
            WebhookDelivery.state == DeliveryState.IN_FLIGHT,
            WebhookDelivery.attempts == parcel.number,
        )
    return (await session.exec(query.with_for_update(key_share=True))).one_or_none()


def _park(delivery: WebhookDelivery, why: str, *, now: datetime) -> DeliveryState:
    delivery.state, delivery.next_attempt_at = DeliveryState.PARKED, None
    delivery.last_error, delivery.updated_at = why, now
    log.warning("webhook parked", delivery_id=delivery.id)
    return DeliveryState.PARKED


def _pack(
    delivery: WebhookDelivery, event: OutboxEvent, endpoint: WebhookEndpoint, secrets: list[str]
) -> _Parcel:
    """Return what is sent: with the same id, the same bytes in each attempt."""
    assert delivery.id is not None, "read from the database"
    created = outbox.rfc3339(event.created_at)
    document = {"type": event.type, "timestamp": created, "data": event.payload}
    return _Parcel(
        delivery_id=delivery.id,
        endpoint_id=endpoint.id,
        number=delivery.attempts,
        url=endpoint.url,
        secrets=secrets,
        message_id=str(event.id),
        body=json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(),
    )


async def _complaint(response: httpx.Response) -> str:
    """Return the status and the beginning of what was said with it; no more is read."""
    said = b""
    with suppress(httpx.HTTPError):
        async for piece in response.aiter_raw():
            said += piece
            if len(said) >= KEPT_BYTES:
                break
    words = " ".join(said[:KEPT_BYTES].decode(errors="replace").split())
    if response.is_redirect:
        words = "redirects are not followed"
    return storable(f"HTTP {response.status_code} {words}".strip())
