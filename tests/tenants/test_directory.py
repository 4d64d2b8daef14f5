"""Whose call is it?"""

from datetime import timedelta

import pytest
import structlog

from ivr import tenants
from ivr.db import Database
from ivr.db.tables import PhoneNumber, Tenant
from ivr.tenants import clients
from tests.leads.cast import NOW, rows, settings_for


async def test_the_first_start_makes_one_tenant_and_the_second_keeps_it(db: Database) -> None:
    first = await tenants.ensure_default(db, settings_for(db.url), now=NOW)
    changed = settings_for(db.url, business_name="Boat Buyers")
    second = await tenants.ensure_default(db, changed, now=NOW)
    assert (second.id, second.name) == (first.id, "Boat Buyers")
    assert len(await rows(db, Tenant)) == 1


async def boats(db: Database, *numbers: str) -> Tenant:
    """Another client, with numbers of its own."""
    async with db.write() as session:
        draft = clients.Draft(slug="boats", name="Boats", profile="powersports", timezone="UTC")
        tenant = await clients.create(session, draft, by="test", now=NOW)
        await clients.set_numbers(session, tenant, numbers, now=NOW)
    return tenant


async def test_a_number_nobody_claimed_belongs_to_the_default_tenant(db: Database) -> None:
    default = await tenants.ensure_default(db, settings_for(db.url), now=NOW)
    other = await boats(db, "+18005550000", "+18005550001")
    async with db.read() as session:
        for number in ("+18005550000", "+18005550001"):
            assert (await tenants.by_called_number(session, number)).id == other.id
        for nobodys in ("+18005559999", "", None):
            assert (await tenants.by_called_number(session, nobodys)).id == default.id


async def test_the_number_in_the_settings_is_the_default_tenants_and_goes_with_it(
    db: Database,
) -> None:
    first = settings_for(db.url, twilio_phone_number="+18005550000")
    second = settings_for(db.url, twilio_phone_number="+18005550001")
    for settings, number in ((first, "+18005550000"), (first, "+18005550000")):
        default = await tenants.ensure_default(db, settings, now=NOW)
        assert default.phone_number == number
        assert [row.number for row in await rows(db, PhoneNumber)] == [number]
    assert (await tenants.ensure_default(db, second, now=NOW)).phone_number == "+18005550001"
    assert [row.number for row in await rows(db, PhoneNumber)] == ["+18005550001"]
    await boats(db, "+18005550000")


async def test_numbers_that_an_operator_gave_to_the_default_tenant_stay(db: Database) -> None:
    settings = settings_for(db.url, twilio_phone_number="+18005550000")
    default = await tenants.ensure_default(db, settings, now=NOW)
    async with db.write() as session:
        tenant = await clients.locked(session, default.id)
        await clients.set_numbers(session, tenant, ["+18005550001", "+18005550000"], now=NOW)
    again = await tenants.ensure_default(db, settings, now=NOW)
    assert again.phone_number == "+18005550000"
    assert {row.number for row in await rows(db, PhoneNumber)} == {"+18005550000", "+18005550001"}
    unset = await tenants.ensure_default(db, settings_for(db.url), now=NOW)
    assert unset.phone_number == "+18005550000", "without the setting the operator decides"


@pytest.mark.parametrize(
    ("given", "setting", "left"),
    [
        (["+18005550002"], "+18005550000", {"+18005550000", "+18005550002"}),
        (["+18005550002", "+18005550000"], "+18005550001", {"+18005550001", "+18005550002"}),
        (["+18005550002"], "+18005550001", {"+18005550001", "+18005550002"}),
    ],
    ids=["instead", "beside", "instead-and-then-another"],
)
async def test_a_start_takes_away_no_number_that_the_setting_did_not_name(
    db: Database, given: list[str], setting: str, left: set[str]
) -> None:
    """The operator gives numbers to `default`, and then it starts anew."""
    first = settings_for(db.url, twilio_phone_number="+18005550000")
    default = await tenants.ensure_default(db, first, now=NOW)
    async with db.write() as session:
        tenant = await clients.locked(session, default.id)
        await clients.set_numbers(session, tenant, given, now=NOW + timedelta(days=1))
    later = settings_for(db.url, twilio_phone_number=setting)
    for days in (2, 3):
        again = await tenants.ensure_default(db, later, now=NOW + timedelta(days=days))
        assert again.phone_number == setting
        assert {row.number for row in await rows(db, PhoneNumber)} == left


async def test_a_number_given_before_there_was_a_setting_stays(db: Database) -> None:
    default = await tenants.ensure_default(db, settings_for(db.url), now=NOW)
    async with db.write() as session:
        tenant = await clients.locked(session, default.id)
        await clients.set_numbers(session, tenant, ["+18005550002"], now=NOW + timedelta(days=1))
    for number in ("+18005550000", "+18005550001"):
        settings = settings_for(db.url, twilio_phone_number=number)
        await tenants.ensure_default(db, settings, now=NOW + timedelta(days=2))
        assert {row.number for row in await rows(db, PhoneNumber)} == {number, "+18005550002"}


async def test_the_setting_takes_no_number_from_another_client_and_says_so(db: Database) -> None:
    other = await boats(db, "+18005550000")
    settings = settings_for(db.url, twilio_phone_number="+18005550000")
    with structlog.testing.capture_logs() as lines:
        default = await tenants.ensure_default(db, settings, now=NOW)
    assert default.phone_number is None
    (line,) = [line for line in lines if line.get("id") == "twilio-number-taken"]
    assert "TWILIO_PHONE_NUMBER" in line["problem"] and line["log_level"] == "warning"
    async with db.read() as session:
        assert (await tenants.by_called_number(session, "+18005550000")).id == other.id
