"""`ivr db`, and how every other command opens the database: it must be there already."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import typer
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import make_url, text
from sqlalchemy.exc import SQLAlchemyError

from ivr import jobs
from ivr.cli.terminal import JsonFlag, add, commands, print_json
from ivr.db import Database
from ivr.db.engine import alembic_config, database_path
from ivr.errors import BadRequest, Conflict, NotFound, Unavailable
from ivr.settings import load_settings

# asyncpg's own errors reach us bare when the connection could not be made at all.
CANNOT_REACH = (OSError, SQLAlchemyError, asyncpg.PostgresError)


def place(url: str) -> str:
    """Return where a database lies, in words that hold no password."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return str(parsed.database)
    return parsed.set(drivername="postgresql").render_as_string(hide_password=True)


@asynccontextmanager
async def existing(
    url: str, *, hash_key: Callable[[], bytes] | None = None
) -> AsyncIterator[Database]:
    """Lend a database that is there and has our tables; no command makes one by mistake."""
    _demand_there(url)
    db = Database(url, hash_key=hash_key)
    try:
        await _demand_newest(db)
        yield db
    finally:
        await db.close()


def _demand_there(url: str) -> None:
    path = database_path(url)
    if path is not None and not path.exists():
        where = place(url)
        message = (
            f"no database at {where}: has the server run here? DATABASE_URL says where it lies"
        )
        raise NotFound(message)


async def _demand_newest(db: Database) -> None:
    found, newest = await revision(db), newest_revision()
    if found == newest:
        return
    if not is_known(found):
        raise Conflict(_too_new(db, found))
    state = f"at revision {found}" if found else "empty"
    message = (
        f"the database at {place(db.url)} is {state}, this program needs {newest}: `ivr db upgrade`"
    )
    raise Conflict(message)


def _too_new(db: Database, found: str | None) -> str:
    return (
        f"the database at {place(db.url)} is at revision {found}, which a newer release made:"
        " install that release here"
    )


async def revision(db: Database) -> str | None:
    """Return the revision of the tables, None without any; raise `Unavailable` if out of reach."""
    try:
        async with db.engine.connect() as connection:
            return await connection.run_sync(
                lambda plain: MigrationContext.configure(plain).get_current_revision()
            )
    except CANNOT_REACH as exc:
        raise Unavailable(f"cannot open the database at {place(db.url)}: {reason(exc)}") from exc


def reason(exc: BaseException) -> str:
    """Return the first line of what a driver complained about, without the statement around it."""
    inner = getattr(exc, "orig", None) or exc
    return (str(inner) or type(inner).__name__).splitlines()[0]


def newest_revision() -> str | None:
    """Return the revision that this program was written for."""
    return ScriptDirectory.from_config(alembic_config()).get_current_head()


def is_known(found: str | None) -> bool:
    """Say whether this program knows the revision, i.e. can upgrade from it."""
    scripts = ScriptDirectory.from_config(alembic_config()).walk_revisions()
    return found is None or found in {script.revision for script in scripts}


async def try_writing(db: Database) -> None:
    """Take the write lock and give it back; raise `Unavailable` when nothing can be written."""
    try:
        async with db.engine.connect() as connection:
            await connection.execution_options(immediate=True)
            await connection.execute(text("DELETE FROM tenants WHERE 1 = 0"))
            await connection.rollback()
    except CANNOT_REACH as exc:
        raise Unavailable(f"cannot write to {place(db.url)}: {reason(exc)}") from exc


def upgrade() -> None:
    """Bring the tables to what this program needs; makes a SQLite database that is not there.

    With DATABASE_OWNER_URL as that role, and the role of DATABASE_URL may use what it made.
    """
    settings = load_settings()
    if settings.database_owner_url is None:
        url, serving = settings.database_url, None
    else:
        url = settings.database_owner_url.get_secret_value()
        serving = _served(settings.database_url, url)
    before, after = asyncio.run(_upgrade(url, serving))
    change = "is up to date" if before == after else f"went from {before or 'nothing'}"
    typer.echo(f"{place(url)} {change}: revision {after}")
    if serving is not None:
        typer.echo(f"the server connects as {serving}, which owns nothing there")


def _served(url: str, owner_url: str) -> str:
    """Return the role that a server connects as, which must be another than the owner's."""
    server, owner = make_url(url), make_url(owner_url)
    if server.get_backend_name() != "postgresql" or server.database != owner.database:
        raise BadRequest("DATABASE_OWNER_URL: expected the database that DATABASE_URL names")
    if server.username in {None, owner.username}:
        raise BadRequest("DATABASE_OWNER_URL: expected another role than that of DATABASE_URL")
    return str(server.username)


async def _upgrade(url: str, serving: str | None) -> tuple[str | None, str | None]:
    db = Database(url)
    try:
        before = await revision(db)
        if not is_known(before):
            raise Conflict(_too_new(db, before))
        await db.upgrade(serving=serving)
        if serving is not None:
            await asyncio.to_thread(jobs.prepare, url, serving=serving)
        return before, await revision(db)
    except (CommandError, *CANNOT_REACH) as exc:
        raise Unavailable(f"cannot upgrade {place(url)}: {reason(exc)}") from exc
    finally:
        await db.close()


def current(*, as_json: JsonFlag = False) -> None:
    """Tell which revision the tables are at."""
    url = load_settings().database_url
    found, newest = asyncio.run(_current(url)), newest_revision()
    if as_json:
        print_json({"database": place(url), "revision": found, "newest": newest})
        return
    is_newest = "the newest" if found == newest else f"the newest is {newest}"
    typer.echo(f"{place(url)}: revision {found or 'none'} ({is_newest})")


async def _current(url: str) -> str | None:
    _demand_there(url)
    db = Database(url)
    try:
        return await revision(db)
    finally:
        await db.close()


def check() -> None:
    """Exit with 0 when the database can be reached and written to and has the newest tables."""
    url = load_settings().database_url
    asyncio.run(_check(url))
    typer.echo(f"{place(url)}: reachable, writable, at revision {newest_revision()}")


async def _check(url: str) -> None:
    async with existing(url) as db:
        await try_writing(db)


def folder_of(path: Path) -> Path:
    """Return the nearest folder above `path` that exists."""
    return next(parent for parent in path.absolute().parents if parent.exists())


app = commands("Look after the database's tables.")
for command in (upgrade, current, check):
    add(app, command)
