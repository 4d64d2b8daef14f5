"""Keys of clients: their form, their end, and that nothing kept of them opens anything (S2.31)."""

import hashlib
import secrets
import string
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, select
from sqlmodel import SQLModel

from ivr import api_keys
from ivr.api_keys import Scope
from ivr.db import Database
from ivr.db.engine import database_path
from ivr.db.tables import ApiKey, KeyKind, Tenant
from ivr.errors import BadRequest
from ivr.redaction import redact_text
from tests.leads.cast import NOW, rows
from tests.leads.courses import centre

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
# Written down, for the keys that are out there have to be read for ever.
WELL_FORMED = "ivr_sk_8cFw2kQa_0aZ90aZ90aZ90aZ90aZ90aZ90aZ90aZ90aZ90aZ9b1c_0Qg5za"


async def made(db: Database, tenant: Tenant, **given: Any) -> str:
    """A new key."""
    asked = {"kind": KeyKind.SECRET, "name": "test", "now": NOW, **given}
    async with db.write() as session:
        _, key = api_keys.make(session, tenant.id, **asked)
    return key


async def found(db: Database, key: str, *, later: timedelta = timedelta()) -> ApiKey | None:
    async with db.read() as session:
        return await api_keys.find(session, key, now=NOW + later)


@contextmanager
def statements(db: Database) -> Iterator[list[str]]:
    """What the database is asked meanwhile."""
    asked: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    event.listen(db.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(db.engine.sync_engine, "before_cursor_execute", note)


@pytest.mark.parametrize(
    ("kind", "beginning", "origin"),
    [
        (KeyKind.SECRET, "ivr_sk_", None),
        (KeyKind.PUBLISHABLE, "ivr_pk_", "https://shop.example"),
        (KeyKind.ADMIN, "ivr_ak_", None),
    ],
)
async def test_a_key_tells_its_kind_its_id_and_hides_32_bytes(
    sqlite_db: Database, kind: KeyKind, beginning: str, origin: str | None
) -> None:
    key = await made(sqlite_db, await centre(sqlite_db), kind=kind, origin=origin)
    body = key.removeprefix(beginning)
    key_id, secret, checksum = body.split("_")
    assert key.startswith(beginning) and set(body) <= {*string.ascii_letters, *string.digits, "_"}
    assert (len(key_id), len(secret), len(checksum)) == (8, 43, 6)
    assert 62**43 >= 2**256, "43 characters hold 32 bytes"
    row = await found(sqlite_db, key)
    assert row is not None and row.hint == f"{beginning}{key_id}"


@given(st.integers(min_value=7, max_value=65), st.sampled_from(string.ascii_letters))
def test_one_wrong_character_is_seen_without_the_database(place: int, other: str) -> None:
    assert api_keys.is_well_formed(WELL_FORMED)
    mistyped = WELL_FORMED[:place] + other + WELL_FORMED[place + 1 :]
    assert mistyped == WELL_FORMED or not api_keys.is_well_formed(mistyped)


def test_a_key_in_running_text_is_hidden_and_its_hint_is_not() -> None:
    told = redact_text(f"refused {WELL_FORMED}, which is ivr_sk_8cFw2kQa")
    assert told == "refused ***, which is ivr_sk_8cFw2kQa"


async def test_a_mistyped_key_costs_no_query(sqlite_db: Database) -> None:
    key = await made(sqlite_db, await centre(sqlite_db))
    wrong = key[:-1] + ("a" if key[-1] != "a" else "b")
    swapped = key[:20] + key[21] + key[20] + key[22:]
    with statements(sqlite_db) as asked:
        for given_key in (wrong, swapped, key[:-1], key + "a", "ivr_sk_", "", "Bearer", "é" * 66):
            if given_key != key:
                assert await found(sqlite_db, given_key) is None
    assert asked == []
    with statements(sqlite_db) as asked:
        assert await found(sqlite_db, key) is not None
    assert sum("api_keys" in one for one in asked) == 1


async def test_a_key_of_the_first_form_stays_good(db: Database) -> None:
    tenant = await centre(db)
    old = f"ivr_sk_{secrets.token_urlsafe(32)}"
    row = ApiKey(
        tenant_id=tenant.id,
        kind=KeyKind.SECRET,
        name="website",
        hint=old[:12],
        sha256=hashlib.sha256(old.encode()).hexdigest(),
        created_at=NOW,
    )
    async with db.write() as session:
        session.add(row)
    kept = await found(db, old)
    assert kept is not None and kept.id == row.id and api_keys.is_unlimited(kept)
    assert await found(db, f"ivr_sk_{secrets.token_urlsafe(32)}") is None


async def test_a_key_ends_when_it_was_told_to(db: Database) -> None:
    key = await made(db, await centre(db), expires_at=NOW + DAY)
    assert await found(db, key, later=DAY - SECOND) is not None
    assert await found(db, key, later=DAY) is None


async def test_a_key_has_the_scopes_it_was_given_and_one_without_has_all(db: Database) -> None:
    tenant = await centre(db)
    some = await found(db, await made(db, tenant, scopes=[Scope.LEADS_READ, Scope.INTAKE]))
    everything = await found(db, await made(db, tenant))
    assert some is not None and everything is not None
    assert {scope for scope in Scope if api_keys.opens(some, scope)} == {"leads:read", "intake"}
    assert all(api_keys.opens(everything, scope) for scope in Scope)


@pytest.mark.parametrize(
    "given_parts",
    [
        {"scopes": []},
        {"scopes": [Scope.INTAKE], "kind": KeyKind.ADMIN},
        {"expires_at": NOW},
        {"origin": "https://shop.example"},
        {"kind": KeyKind.PUBLISHABLE},
    ],
    ids=["no-scope", "admin-with-scope", "over-already", "secret-with-origin", "no-origin"],
)
async def test_a_key_that_cannot_be_is_not_made(
    sqlite_db: Database, given_parts: dict[str, Any]
) -> None:
    with pytest.raises(BadRequest):
        await made(sqlite_db, await centre(sqlite_db), **given_parts)
    assert await rows(sqlite_db, ApiKey) == []


async def test_after_a_rotation_the_old_keys_work_for_the_grace_and_no_longer(
    db: Database,
) -> None:
    tenant = await centre(db)
    old, ending = await made(db, tenant), await made(db, tenant, expires_at=NOW + SECOND)
    page = await made(db, tenant, kind=KeyKind.PUBLISHABLE, origin="https://shop.example")
    async with db.write() as session:
        _, new = await api_keys.rotate(
            session, tenant.id, kind=KeyKind.SECRET, name="rotated", now=NOW
        )
    assert await found(db, old, later=DAY - SECOND) is not None
    assert await found(db, old, later=DAY) is None
    assert await found(db, ending, later=SECOND) is None, "a rotation prolongs nothing"
    for key in (new, page):
        assert await found(db, key, later=365 * DAY) is not None


async def test_a_rotation_without_grace_ends_the_old_keys_at_once_and_of_one_tenant_only(
    db: Database,
) -> None:
    tenant = await centre(db)
    async with db.write() as session:
        other = Tenant(slug="o", name="O", profile="courses", timezone="UTC", created_at=NOW)
        session.add(other)
    old, foreign = await made(db, tenant), await made(db, other)
    async with db.write() as session:
        _, new = await api_keys.rotate(
            session, tenant.id, kind=KeyKind.SECRET, name="n", now=NOW, grace=timedelta()
        )
    assert await found(db, old) is None
    assert await found(db, new) is not None and await found(db, foreign) is not None


async def test_a_dump_of_the_database_has_no_key(db: Database) -> None:
    tenant = await centre(db)
    keys = [
        await made(db, tenant),
        await made(db, tenant, kind=KeyKind.ADMIN),
        await made(db, tenant, kind=KeyKind.PUBLISHABLE, origin="https://shop.example"),
    ]
    dump = await _dump(db)
    for key in keys:
        row = await found(db, key)
        assert row is not None and row.sha256 in dump, "it is the dump of this database"
        _, _, _, secret, checksum = key.split("_")
        assert key not in dump and secret not in dump and f"_{checksum}" not in dump


async def _dump(db: Database) -> str:
    """Every row of every table, and for SQLite every byte of its files."""
    parts = []
    async with db.read() as session:
        connection = await session.connection()
        for table in SQLModel.metadata.sorted_tables:
            parts += [repr(row) for row in await connection.execute(select(table))]
    if path := database_path(db.url):
        files = [path, *(Path(f"{path}{end}") for end in ("-wal", "-shm"))]
        parts += [file.read_bytes().decode("latin-1") for file in files if file.exists()]
    return "\n".join(parts)
