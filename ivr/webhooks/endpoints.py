"""Where a tenant wants to be told of events: added, listed, given a new secret, disabled."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import addresses
from ivr.db.tables import DeliveryState, Tenant, WebhookDelivery, WebhookEndpoint
from ivr.errors import BadRequest, Conflict, NotFound
from ivr.sealing import Seal
from ivr.webhooks import signing
from ivr.webhooks.event_types import EventType

# So long a replaced secret still signs: time to bring the new one to every receiver.
OVERLAP = timedelta(hours=24)
WAITING = (DeliveryState.PENDING, DeliveryState.IN_FLIGHT)


async def add(
    session: AsyncSession,
    tenant_id: uuid.UUID,
    url: str,
    *,
    types: Sequence[str] = (),
    only_public: bool,
    seal: Seal,
    now: datetime,
) -> tuple[WebhookEndpoint, str]:
    """Add an endpoint; return it with its secret, which nobody can show again.

    Raises `BadRequest` for a url or a type that cannot be.

    It is told of everything that is committed after it. Who writes for the tenant right now may
    have looked for endpoints already: such a transaction holds the tenant's row by a foreign key,
    and the lock waits for its end.
    """
    secret = signing.new_secret()
    endpoint = WebhookEndpoint(
        tenant_id=tenant_id,
        url=addresses.checked(url, only_public=only_public),
        secret=seal.close(secret),
        types={"only": _known(types)} if types else {},
        created_at=now,
    )
    await session.exec(select(Tenant).where(Tenant.id == tenant_id).with_for_update())
    session.add(endpoint)
    return endpoint, secret


async def of_tenant(session: AsyncSession, tenant_id: uuid.UUID) -> Sequence[WebhookEndpoint]:
    """Return all endpoints, also disabled ones, oldest first."""
    query = select(WebhookEndpoint).where(WebhookEndpoint.tenant_id == tenant_id)
    return (await session.exec(query.order_by(col(WebhookEndpoint.created_at)))).all()


async def find(session: AsyncSession, tenant_id: uuid.UUID, beginning: str) -> WebhookEndpoint:
    """Return the endpoint whose id begins so, locked; raise `NotFound` or `BadRequest`."""
    found = [
        endpoint.id
        for endpoint in await of_tenant(session, tenant_id)
        if beginning and str(endpoint.id).startswith(beginning.casefold())
    ]
    if not found:
        raise NotFound(f"no endpoint {beginning}; `ivr webhooks list` shows all")
    if len(found) > 1:
        raise BadRequest(f"several endpoints begin with {beginning}: give more of the id")
    return await lock(session, found[0])


async def lock(session: AsyncSession, endpoint_id: uuid.UUID) -> WebhookEndpoint:
    """Return an endpoint that nobody else changes until the transaction is over."""
    query = select(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id)
    query = query.with_for_update(key_share=True)
    return (await session.exec(query.execution_options(populate_existing=True))).one()


async def disable(
    session: AsyncSession, endpoint: WebhookEndpoint, why: str, *, now: datetime
) -> int:
    """Have a locked endpoint told of nothing more; park what waits for it, and return how many."""
    endpoint.disabled_at = endpoint.disabled_at or now
    session.add(endpoint)
    waiting = update(WebhookDelivery).where(
        col(WebhookDelivery.endpoint_id) == endpoint.id, col(WebhookDelivery.state).in_(WAITING)
    )
    parked = await session.exec(
        waiting.values(
            state=DeliveryState.PARKED, next_attempt_at=None, last_error=why, updated_at=now
        )
    )
    return parked.rowcount


def rotate(endpoint: WebhookEndpoint, seal: Seal, *, now: datetime) -> str:
    """Give a locked endpoint a new secret and return it; the old one signs too for `OVERLAP`."""
    if endpoint.disabled_at is not None:
        raise Conflict("the endpoint is disabled")
    former, secret = endpoint.secret, signing.new_secret()
    endpoint.previous_secret = seal.close(former) if signing.is_secret(former) else former
    endpoint.secret, endpoint.rotated_at = seal.close(secret), now
    return secret


def valid_secrets(endpoint: WebhookEndpoint, seal: Seal, *, now: datetime) -> list[str]:
    """Return the secrets to sign with, the newest first; raise `Sealed` when they cannot be read.

    The first releases did not seal them.
    """
    kept = [endpoint.secret]
    if endpoint.previous_secret and endpoint.rotated_at and now < endpoint.rotated_at + OVERLAP:
        kept.append(endpoint.previous_secret)
    return [one if signing.is_secret(one) else seal.open(one) for one in kept]


def _known(types: Sequence[str]) -> list[str]:
    for name in types:
        if name not in list(EventType):
            raise BadRequest(f"types: no {name!r}; known are {', '.join(EventType)}")
    return sorted(set(types))
