"""Whose request it is, and what is noted of the key."""

from datetime import timedelta

from sqlmodel import col, update

from ivr import api_keys
from ivr.db import Database
from ivr.db.tables import ApiKey, utc_now
from tests.leads.cast import until
from tests.leads.courses import centre
from tests.web.house import Interface, interface

WEEK = timedelta(days=7)


async def _used(house: Interface) -> ApiKey:
    async with house.db.read() as session:
        (row,) = await api_keys.of_tenant(session, house.tenant.id)
        return row


async def test_an_operator_sees_when_a_key_was_last_used(db: Database) -> None:
    async with interface(db, await centre(db)) as house:
        assert (await _used(house)).last_used_at is None
        began = utc_now()
        await house.get("/leads/stats")

        async def is_noted() -> bool:
            return (await _used(house)).last_used_at is not None

        await until(is_noted)
        first = (await _used(house)).last_used_at
        assert first is not None and first >= began
        async with db.write() as session:
            await session.exec(
                update(ApiKey)
                .where(col(ApiKey.tenant_id) == house.tenant.id)
                .values(last_used_at=began - WEEK)
            )
        await house.get("/leads/stats")

        async def is_noted_again() -> bool:
            noted = (await _used(house)).last_used_at
            return noted is not None and noted >= began

        await until(is_noted_again)


async def test_the_hour_of_a_key_in_use_is_written_once(db: Database) -> None:
    async with interface(db, await centre(db)) as house:
        key = await _used(house)
        now = utc_now()
        for later in (timedelta(0), timedelta(minutes=59), timedelta(minutes=61)):
            async with db.write() as session:
                await api_keys.note_use(session, key.id, now=now + later)
        assert (await _used(house)).last_used_at == now + timedelta(minutes=61)
        async with db.write() as session:
            await api_keys.note_use(session, key.id, now=now + timedelta(minutes=62))
        assert (await _used(house)).last_used_at == now + timedelta(minutes=61)
