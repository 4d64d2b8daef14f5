"""`ivr db`: brings tables up, and refuses what it cannot do in words."""

import json
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from ivr.cli.database import newest_revision, place
from ivr.db import Database
from ivr.jobs import Jobs
from tests.cli.conftest import Terminal


def test_upgrade_makes_the_tables_and_says_so(terminal: Terminal, tmp_path: Path) -> None:
    first = terminal.run_now("db", "upgrade")
    again = terminal.run_now("db", "upgrade")
    assert first.out == f"./nps_ivr.db went from nothing: revision {newest_revision()}\n"
    assert again.out == f"./nps_ivr.db is up to date: revision {newest_revision()}\n"
    assert (tmp_path / "nps_ivr.db").exists()


@pytest.mark.parametrize("words", [("db", "current"), ("db", "check"), ("explain", "CA1")])
def test_no_other_command_makes_a_database(
    terminal: Terminal, tmp_path: Path, words: tuple[str, ...]
) -> None:
    answer = terminal.run_now(*words)
    assert answer.code == 1
    assert answer.err.startswith("no database at ./nps_ivr.db: has the server run here?")
    assert list(tmp_path.iterdir()) == []


async def test_current_and_check_on_every_database(
    terminal: Terminal, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    current = json.loads((await terminal.run("db", "current", "--json")).out)
    assert current["revision"] == current["newest"] == newest_revision()
    check = await terminal.run("db", "check")
    assert check.code == 0, check.err
    assert "reachable, writable" in check.out


async def test_tables_of_a_newer_release_are_left_alone(
    terminal: Terminal, database_url: str, owner_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    await pretend(owner_url, "ffff")
    try:
        for words in (("db", "upgrade"), ("db", "check"), ("leads", "list")):
            answer = await terminal.run(*words)
            assert answer.code == 1
            assert "at revision ffff, which a newer release made" in answer.err
    finally:
        await pretend(owner_url, str(newest_revision()))


async def pretend(database_url: str, revision: str) -> None:
    """Have the tables say that they are at another revision."""
    db = Database(database_url)
    async with db.write() as session:
        connection = await session.connection()
        await connection.execute(
            text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision}
        )
    await db.close()


# With a role that owns the tables, and another one for the server


async def test_upgrade_as_the_owner_lets_the_server_start_at_once(
    terminal: Terminal,
    postgres_url: str,
    postgres_owner_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = str(make_url(postgres_url).username)
    owner = Database(postgres_owner_url)
    async with owner.engine.begin() as connection:
        await connection.execute(text(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {server}"))
        await connection.execute(text(f"REVOKE ALL ON SCHEMA dbos FROM {server}"))
    await owner.close()
    monkeypatch.setenv("DATABASE_URL", postgres_url)
    assert "permission denied" in (await terminal.run("db", "check")).err
    monkeypatch.setenv("DATABASE_OWNER_URL", postgres_owner_url)
    answer = await terminal.run("db", "upgrade")
    assert f"the server connects as {server}, which owns nothing there" in answer.out, answer.err
    assert "only-for-tests" not in answer.out
    monkeypatch.delenv("DATABASE_OWNER_URL")
    assert (await terminal.run("db", "check")).code == 0
    jobs = Jobs(postgres_url, executor_id="first")
    await jobs.open()
    await jobs.close()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("postgresql://owner@h/n", "expected another role"),
        ("postgresql://app@h/other", "expected the database that DATABASE_URL names"),
        ("sqlite:///./nps_ivr.db", "expected the database that DATABASE_URL names"),
    ],
    ids=["same role", "other database", "sqlite"],
)
def test_an_owner_that_is_no_other_role_of_the_same_database_is_refused(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, url: str, problem: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("DATABASE_OWNER_URL", "postgresql://owner:very-secret@h/n")
    answer = terminal.run_now("db", "upgrade")
    assert answer.code != 0
    assert f"DATABASE_OWNER_URL: {problem}" in answer.err
    assert "very-secret" not in answer.err


def test_a_database_without_tables_or_a_business_is_explained(terminal: Terminal) -> None:
    Path("nps_ivr.db").touch()
    empty = terminal.run_now("leads", "list")
    assert "is empty, this program needs" in empty.err
    assert "`ivr db upgrade`" in empty.err
    terminal.run_now("db", "upgrade")
    nobody = terminal.run_now("leads", "list")
    assert nobody.err == "no business in the database yet: the server's first start makes it\n"


def test_an_unreachable_database_is_named_without_its_password(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://ivr:very-secret@127.0.0.1:1/ivr")
    answer = terminal.run_now("leads", "list")
    assert answer.code == 1
    assert "cannot open the database at postgresql://ivr:***@127.0.0.1:1/ivr" in answer.err
    assert "very-secret" not in answer.err


def test_a_file_that_is_no_database_is_named(terminal: Terminal) -> None:
    Path("nps_ivr.db").write_text("this is not a database, and long enough to be looked at")
    answer = terminal.run_now("leads", "list")
    assert answer.code == 1
    assert answer.err == "cannot open the database at ./nps_ivr.db: file is not a database\n"


def test_place_hides_passwords() -> None:
    assert place("postgresql+asyncpg://u:p@h/n") == "postgresql://u:***@h/n"
