"""What a command works with: the settings, the database that is there, the tenant and the time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated

import typer
from pydantic import SecretStr
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import logs, tenants
from ivr.cli.database import existing
from ivr.cli.terminal import Clock, clock
from ivr.db import Database
from ivr.db.secret_key import hash_key
from ivr.db.tables import Tenant, utc_now
from ivr.errors import NotFound
from ivr.settings import Settings, load_settings

_chosen: ContextVar[str] = ContextVar("_chosen", default=tenants.DEFAULT)

Slug = Annotated[
    str,
    typer.Option(
        "--tenant", metavar="SLUG", envvar="IVR_TENANT", help="Whose leads, keys and so on."
    ),
]


def choose(*, tenant: Slug = tenants.DEFAULT) -> None:
    """Have the desk of this command be the one of another client."""
    _chosen.set(tenant)


@dataclass(frozen=True, slots=True)
class Desk:
    """Lent to one command; nothing at it starts jobs."""

    settings: Settings
    db: Database
    tenant: Tenant
    clock: Clock


@asynccontextmanager
async def open_desk() -> AsyncIterator[Desk]:
    """Lend the desk of the chosen client; raise `NotFound` rather than make anything."""
    settings = load_settings()
    quiet_logs(settings)
    async with existing(settings.database_url, hash_key=hash_key(settings)) as db:
        async with db.read() as session:
            tenant = await chosen(session)
        its_own = db.for_tenant(tenant.id)
        yield Desk(settings, its_own, tenant, clock(tenant.timezone, now=utc_now()))


async def chosen(session: AsyncSession) -> Tenant:
    """Return the client that `--tenant` names; raise `NotFound` when there is none of that name."""
    slug = _chosen.get()
    tenant = await tenants.by_slug(session, slug)
    if tenant is not None:
        return tenant
    if slug == tenants.DEFAULT:
        raise NotFound("no business in the database yet: the server's first start makes it")
    raise NotFound(f"--tenant: no client {slug}; `ivr tenants list` shows which there are")


def quiet_logs(settings: Settings, *, level: str = "WARNING") -> None:
    """Let only what is worse than `level` through, on stderr: stdout belongs to the answer."""
    logs.configure(settings.log_format, settings.log_pii, level=level, secrets=secrets_of(settings))


def secrets_of(settings: Settings) -> list[str]:
    """Return every secret, for the logs to hide."""
    values = (getattr(settings, name) for name in type(settings).model_fields)
    return [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
