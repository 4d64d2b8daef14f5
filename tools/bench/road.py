"""How many finished calls a second become leads at the buyer, with no call in the way."""

import asyncio
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from sqlalchemy import make_url

from ivr import tenants
from ivr.conversations import Said, write_turn
from ivr.db import Database
from ivr.db.secret_key import hash_key
from ivr.db.tables import Channel, Role, Source, Tenant, utc_now
from ivr.leads import intake, values
from ivr.leads.profile import Profile, load_profile
from ivr.settings import Settings

from . import script
from .loop import clock
from .run import environment
from .served import OURS, served, wait_until_ready
from .world import World

DEFAULT_POSTGRES = "postgresql://postgres@127.0.0.1:5432/test"
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Rate:
    """So many leads were delivered; `per_second` counts from the first transcript that is read."""

    database: str
    leads: int
    delivered: int
    doubled: int
    per_second: float
    cpu_ms_per_lead: float


def lead_rates(count: int) -> list[Rate]:
    """Measure on SQLite, and on PostgreSQL where one can be reached."""
    with TemporaryDirectory(prefix="bench-") as folder:
        rates = [_measure("sqlite", f"sqlite:///{folder}/leads.db", count)]
    with postgres() as url:
        if url is not None:
            rates.append(_measure("postgresql", url, count))
    return rates


def _measure(name: str, url: str, count: int) -> Rate:
    world = World(slow=False)
    delivered = world.figures.delivered
    try:
        asyncio.run(_prepare(url, count))
        settings = {**environment(world), "DATABASE_URL": url}
        with TemporaryDirectory(prefix="bench-") as folder:
            with served(OURS, settings, Path(folder)) as server:
                wait_until_ready(server)
                world.loop.run_until(clock() + PATIENCE_S, lambda: world.transcripts_read > 0)
                began, cpu_s = clock(), server.cpu_s
                world.loop.run_until(clock() + PATIENCE_S, lambda: len(delivered) >= count)
                seconds, cpu_s = clock() - began, server.cpu_s - cpu_s
    finally:
        world.loop.close()
    done = max(1, len(delivered))
    rate = len(delivered) / seconds
    return Rate(name, count, len(delivered), world.figures.doubled, rate, cpu_s * 1000 / done)


async def _prepare(url: str, count: int) -> None:
    """Write finished calls down with the functions that write real ones."""
    settings = Settings(_env_file=None, database_url=url)
    db = Database(settings.database_url, hash_key=hash_key(settings))
    try:
        await db.upgrade()
        tenant = await tenants.ensure_default(db, settings, now=utc_now())
        profile = load_profile(tenant.profile)
        for number in range(count):
            await _finished_call(db, tenant, profile, number)
    finally:
        await db.close()


async def _finished_call(db: Database, tenant: Tenant, profile: Profile, number: int) -> None:
    now = utc_now()
    caller = f"+1770{2_000_000 + number:07}"
    enquiry = intake.Enquiry(
        channel=Channel.VOICE,
        session_key=f"CA{number:032x}",
        caller=caller,
        called="+18005551212",
        finish_after=now,
        now=now,
    )
    conversation = await intake.begin(db, tenant, profile, enquiry)
    async with db.write() as session:
        for turn, (name, value, answer, question) in enumerate(script.FIELDS):
            for side, (role, text) in enumerate(
                ((Role.CALLER, answer), (Role.ASSISTANT, question))
            ):
                said = Said(f"item_{turn}_{side}", turn * 2 + side, role, text, now)
                await write_turn(session, conversation, said)
            await values.add(
                session,
                conversation,
                name=name,
                value=value or caller,
                raw=value or caller,
                source=Source.TOOL,
                now=now,
            )


@contextmanager
def postgres() -> Iterator[str | None]:
    """Yield the address of an empty database, None when no server answers."""
    address = make_url(os.environ.get("TEST_POSTGRES_URL", DEFAULT_POSTGRES))
    name = f"bench_{uuid.uuid4().hex}"
    plain = address.render_as_string(hide_password=False)
    try:
        with psycopg.connect(plain, autocommit=True, connect_timeout=3) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
    except psycopg.OperationalError:
        yield None
        return
    try:
        yield address.set(database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
