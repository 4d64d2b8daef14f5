"""Endpoints: added, found, disabled."""

import httpx
import pytest

from ivr.db import Database
from ivr.db.tables import DeliveryState, Tenant
from ivr.errors import BadRequest, Conflict, NotFound
from ivr.sealing import Seal, Sealed
from ivr.webhooks import endpoints, signing
from ivr.webhooks.delivery import Deliveries
from tests.leads.cast import Clock
from tests.webhooks.cast import NOW, SEAL, attempt_due, delivery_rows, emit, endpoint_of, tenant_of

URL = "https://crm.example/hook"


async def test_an_unknown_type_is_refused_and_the_known_ones_are_named(
    db: Database, tenant: Tenant
) -> None:
    with pytest.raises(BadRequest, match=r"lead\.stage_change'.*lead\.stage_changed"):
        await endpoint_of(db, tenant, URL, "lead.stage_change")


async def test_disabling_parks_what_waits_and_only_that(db: Database, tenant: Tenant) -> None:
    mine, other = await endpoint_of(db, tenant, URL), await endpoint_of(db, tenant, URL)
    await emit(db, tenant, 1, 2)
    async with db.write() as session:
        endpoint = await endpoints.find(session, tenant.id, str(mine.id)[:8])
        assert await endpoints.disable(session, endpoint, "removed", now=NOW) == 2
    states = {(row.endpoint_id, row.state, row.last_error) for row in await delivery_rows(db)}
    assert states == {
        (mine.id, DeliveryState.PARKED, "removed"),
        (other.id, DeliveryState.PENDING, None),
    }


async def test_nobody_finds_the_endpoint_of_another_business(db: Database, tenant: Tenant) -> None:
    mine = await endpoint_of(db, tenant, URL)
    other = await tenant_of(db, "other")
    async with db.write() as session:
        with pytest.raises(NotFound):
            await endpoints.find(session, other.id, str(mine.id))
        with pytest.raises(NotFound):
            await endpoints.find(session, tenant.id, "")
        assert (await endpoints.find(session, tenant.id, str(mine.id))).id == mine.id


async def test_a_disabled_endpoint_gets_no_new_secret(db: Database, tenant: Tenant) -> None:
    mine = await endpoint_of(db, tenant, URL)
    async with db.write() as session:
        endpoint = await endpoints.lock(session, mine.id)
        await endpoints.disable(session, endpoint, "removed", now=NOW)
        with pytest.raises(Conflict, match="disabled"):
            endpoints.rotate(endpoint, SEAL, now=NOW)


async def test_a_secret_lies_sealed(db: Database, tenant: Tenant) -> None:
    mine = await endpoint_of(db, tenant, URL)
    assert "whsec_" not in mine.secret
    (secret,) = endpoints.valid_secrets(mine, SEAL, now=NOW)
    assert secret.startswith("whsec_")
    with pytest.raises(Sealed):
        endpoints.valid_secrets(mine, Seal(b"another-key-of-more-than-32-characters"), now=NOW)


async def test_one_of_the_first_releases_goes_on_and_is_sealed_when_replaced(
    db: Database, tenant: Tenant
) -> None:
    mine = await endpoint_of(db, tenant, URL)
    old = signing.new_secret()
    async with db.write() as session:
        endpoint = await endpoints.lock(session, mine.id)
        endpoint.secret = old
        assert endpoints.valid_secrets(endpoint, SEAL, now=NOW) == [old]
        new = endpoints.rotate(endpoint, SEAL, now=NOW)
    assert endpoints.valid_secrets(endpoint, SEAL, now=NOW) == [new, old]
    assert old not in (endpoint.previous_secret or "")


async def test_what_cannot_be_signed_is_parked_and_says_why(db: Database, tenant: Tenant) -> None:
    await endpoint_of(db, tenant, URL)
    await emit(db, tenant)
    other = Seal(b"another-key-of-more-than-32-characters")
    async with httpx.AsyncClient() as http:
        deliveries = Deliveries(db, http, only_public=False, seal=other, clock=Clock())
        assert await attempt_due(deliveries) == [DeliveryState.PARKED]
    (row,) = await delivery_rows(db)
    assert row.last_error is not None and "the secret cannot be read" in row.last_error
