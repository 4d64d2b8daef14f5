"""What a command works with: the settings, the database that is there, the tenant and the time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import SecretStr

from ivr import logs, tenants
from ivr.cli.database import existing, place
from ivr.cli.terminal import Clock, clock
from ivr.db import Database
from ivr.db.tables import Tenant, utc_now
from ivr.errors import NotFound
from ivr.settings import Settings, load_settings


@dataclass(frozen=True, slots=True)
class Desk:
    """Lent to one command; nothing at it starts jobs."""

    settings: Settings
    db: Database
    tenant: Tenant
    clock: Clock


@asynccontextmanager
async def open_desk() -> AsyncIterator[Desk]:
    """Lend a desk; raise `NotFound` rather than make a database, a table or a tenant."""
    settings = load_settings()
    quiet_logs(settings)
    async with existing(settings.database_url) as db:
        async with db.read() as session:
            tenant = await tenants.by_slug(session, tenants.DEFAULT)
        if tenant is None:
            raise NotFound(f"no business in {place(db.url)} yet: the server's first start makes it")
        yield Desk(settings, db, tenant, clock(tenant.timezone, now=utc_now()))


def quiet_logs(settings: Settings, *, level: str = "WARNING") -> None:
    """Let only what is worse than `level` through, on stderr: stdout belongs to the answer."""
    logs.configure(settings.log_format, settings.log_pii, level=level, secrets=secrets_of(settings))


def secrets_of(settings: Settings) -> list[str]:
    """Return every secret, for the logs to hide."""
    values = (getattr(settings, name) for name in type(settings).model_fields)
    return [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
