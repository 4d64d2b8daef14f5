"""`ivr tenants`, and `ivr --tenant` for all the others."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ivr import api_keys, tenants
from ivr.cli.leads import failed_app, succeeded_app
from ivr.db import Database
from ivr.db.engine import database_path
from ivr.db.tables import ApiKey, KeyKind, PhoneNumber, utc_now
from tests.cli.conftest import House, Terminal
from tests.leads.cast import rows

REALTY = (
    *("tenants", "add", "realty", "--name", "Test Realty", "--industry", "real_estate"),
    *("--timezone", "Asia/Riyadh", "--number", "+966112345678"),
)


async def found(db: Database, key: str, *, later: timedelta = timedelta()) -> ApiKey | None:
    async with db.read() as session:
        return await api_keys.find(session, key, now=utc_now() + later)


async def test_the_admin_key_is_printed_once_and_written_nowhere(
    house: House,
    terminal: Terminal,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level("DEBUG")
    made = await terminal.run("tenants", "bootstrap")
    key = made.out.strip()
    assert (made.code, key[:7]) == (0, "ivr_ak_") and made.out == f"{key}\n"
    assert key not in made.err and key not in caplog.text
    row = await found(house.db, key)
    assert row is not None and row.kind == KeyKind.ADMIN
    if path := database_path(house.db.url):
        for file in (path, Path(f"{path}-wal")):
            assert not file.exists() or key.split("_")[3].encode() not in file.read_bytes()
    again = await terminal.run("tenants", "bootstrap")
    assert again.code == 1 and again.out == ""
    assert row.hint in again.err and "--rotate" in again.err and key not in again.err


async def test_another_admin_key_ends_the_one_before_when_the_grace_is_over(
    house: House, terminal: Terminal
) -> None:
    words = ("tenants", "bootstrap", "--rotate")
    first = (await terminal.run("tenants", "bootstrap")).out.strip()
    second = (await terminal.run(*words)).out.strip()
    assert await found(house.db, first) is not None
    assert await found(house.db, first, later=timedelta(hours=24, seconds=1)) is None
    third = (await terminal.run(*words, "--grace-hours", "0")).out.strip()
    assert await found(house.db, first) is None and await found(house.db, second) is None
    assert await found(house.db, third) is not None


async def test_the_admin_key_can_be_made_before_the_first_start(
    terminal: Terminal, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    made = await terminal.run("tenants", "bootstrap")
    assert made.code == 0
    assert "default" in (await terminal.run("tenants", "list")).out


async def test_a_client_is_added_shown_paused_and_let_go_on(
    house: House, terminal: Terminal
) -> None:
    made = await terminal.run(*REALTY)
    key = made.out.strip()
    assert made.code == 0 and key.startswith("ivr_sk_") and "only time" in made.err
    listed = await terminal.run("tenants", "list")
    assert "realty" in listed.out and "+966112345678" in listed.out and "default" in listed.out
    document = json.loads((await terminal.run("tenants", "show", "realty", "--json")).out)
    assert (document["profile"], document["timezone"]) == ("real_estate", "Asia/Riyadh")
    assert "secrets" not in document
    for step, status in (("pause", "paused"), ("pause", "paused"), ("activate", "active")):
        answer = await terminal.run("tenants", step, "realty")
        assert answer.code == 0 and status in answer.out
        shown = json.loads((await terminal.run("tenants", "show", "realty", "--json")).out)
        assert shown["status"] == status
    assert "Test Realty" in (await terminal.run("tenants", "show", "realty")).out
    assert key not in listed.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "a b", "--name", "A", "--industry", "real_estate"), "slug"),
        (("add", "default", "--name", "A", "--industry", "real_estate"), "slug"),
        (("add", "a", "--name", " ", "--industry", "real_estate"), "--name"),
        (("add", "a", "--name", "A"), "industry"),
        (("add", "a", "--name", "A", "--profile", "/etc/x.toml"), "profile"),
        (("add", "a", "--name", "A", "--profile", "courses", "--timezone", "Mars"), "timezone"),
        (("add", "a", "--name", "A", "--profile", "courses", "--number", "12"), "phone_numbers"),
        (("show", "nobody"), "nobody"),
        (("pause", "nobody"), "nobody"),
        (("rotate-key", "nobody"), "nobody"),
        (("number", "remove", "default", "+18005550000"), "+18005550000"),
    ],
    ids=" ".join,
)
async def test_what_cannot_be_done_is_said(
    house: House, terminal: Terminal, words: tuple[str, ...], said: str
) -> None:
    answer = await terminal.run("tenants", *words)
    assert answer.code == 1 and said in answer.err and answer.out == ""
    listed = json.loads((await terminal.run("tenants", "list", "--json")).out)
    assert [one["slug"] for one in listed] == ["default"]


async def test_a_client_gets_another_key(house: House, terminal: Terminal) -> None:
    old = (await terminal.run(*REALTY)).out.strip()
    new = (await terminal.run("tenants", "rotate-key", "realty")).out.strip()
    assert await found(house.db, old) is not None and await found(house.db, new) is not None
    newest = (await terminal.run("tenants", "rotate-key", "realty", "--grace-hours", "0")).out
    assert await found(house.db, old) is None and await found(house.db, new) is None
    assert await found(house.db, newest.strip()) is not None


async def test_numbers_are_added_and_taken_and_no_client_takes_anothers(
    house: House, terminal: Terminal
) -> None:
    await terminal.run(*REALTY)
    number = ("tenants", "number")
    assert (await terminal.run(*number, "add", "realty", "+18005550000")).code == 0
    taken = await terminal.run(*number, "add", "default", "+18005550000")
    assert taken.code == 1 and "another client" in taken.err and "realty" not in taken.err
    assert (await terminal.run(*number, "remove", "realty", "+966112345678")).code == 0
    shown = json.loads((await terminal.run("tenants", "show", "realty", "--json")).out)
    assert shown["phone_numbers"] == ["+18005550000"]
    assert [row.number for row in await rows(house.db, PhoneNumber)] == ["+18005550000"]


async def test_every_command_can_be_that_of_another_client(
    house: House, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.lead("CA1")
    await terminal.run(*REALTY)
    for words in (("leads", "succeeded", "--json"), ("keys", "list", "--json")):
        own = json.loads((await terminal.run(*words)).out)
        theirs = json.loads((await terminal.run("--tenant", "realty", *words)).out)
        assert own != theirs
    assert json.loads((await terminal.run("leads", "succeeded", "--json")).out)
    assert not json.loads(
        (await terminal.run("--tenant", "realty", "leads", "succeeded", "--json")).out
    )
    await terminal.run("--tenant", "realty", "keys", "add", "theirs")
    async with house.db.read() as session:
        realty = await tenants.by_slug(session, "realty")
    names = {row.name: row.tenant_id for row in await rows(house.db, ApiKey)}
    assert realty is not None and names == {"first key": realty.id, "theirs": realty.id}
    for group in ("stages", "escalations", "review", "webhooks", "tasks"):
        words = (group, "stats") if group == "stages" else (group, "list")
        assert (await terminal.run("--tenant", "realty", *words)).code == 0, group
        nobody = await terminal.run("--tenant", "nobody", *words)
        assert nobody.code == 1 and "no client nobody" in nobody.err
    monkeypatch.setenv("IVR_TENANT", "realty")
    assert not json.loads((await terminal.run("leads", "succeeded", "--json")).out)


def test_the_owners_two_tools_take_a_client_as_well(house: House, terminal: Terminal) -> None:
    terminal.run_now(*REALTY)
    for app, words in ((failed_app, ["list", "--json"]), (succeeded_app, ["--json"])):
        for given, code in (([], 0), (["--tenant", "realty"], 0), (["--tenant", "nobody"], 1)):
            assert CliRunner().invoke(app, [*given, *words]).exit_code == code
