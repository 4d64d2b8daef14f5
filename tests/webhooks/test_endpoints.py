"""Endpoints: added, found, disabled."""

import pytest

from ivr.db import Database
from ivr.db.tables import DeliveryState, Tenant
from ivr.errors import BadRequest, Conflict, NotFound
from ivr.webhooks import endpoints
from tests.webhooks.cast import NOW, delivery_rows, emit, endpoint_of, tenant_of

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
            endpoints.rotate(endpoint, now=NOW)
