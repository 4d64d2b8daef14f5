"""Whose call is it?"""

from ivr import tenants
from ivr.db import Database
from ivr.db.tables import Tenant
from tests.leads.cast import NOW, rows, settings_for


async def test_the_first_start_makes_one_tenant_and_the_second_keeps_it(db: Database) -> None:
    first = await tenants.ensure_default(db, settings_for(db.url), now=NOW)
    changed = settings_for(db.url, business_name="Boat Buyers")
    second = await tenants.ensure_default(db, changed, now=NOW)
    assert (second.id, second.name) == (first.id, "Boat Buyers")
    assert len(await rows(db, Tenant)) == 1


async def test_a_number_nobody_claimed_belongs_to_the_default_tenant(db: Database) -> None:
    default = await tenants.ensure_default(db, settings_for(db.url), now=NOW)
    async with db.write() as session:
        other = Tenant(
            slug="boats",
            name="Boats",
            profile="powersports",
            timezone="UTC",
            phone_number="+18005550000",
            created_at=NOW,
        )
        session.add(other)
    async with db.read() as session:
        assert (await tenants.by_called_number(session, "+18005550000")).id == other.id
        assert (await tenants.by_called_number(session, "+18005559999")).id == default.id
        assert (await tenants.by_called_number(session, None)).id == default.id
