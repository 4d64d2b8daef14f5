"""`ivr keys`."""

import json

import pytest

from ivr import api_keys
from ivr.db.tables import ApiKey, utc_now
from tests.cli.conftest import House, Terminal
from tests.leads.cast import rows


async def test_a_key_is_printed_once_and_opens_the_door(house: House, terminal: Terminal) -> None:
    made = await terminal.run("keys", "add", "website")
    key = made.out.strip()
    assert made.code == 0 and key.startswith("ivr_sk_") and "only time" in made.err
    async with house.db.read() as session:
        found = await api_keys.find(session, key, now=utc_now())
    assert found is not None and (found.name, found.tenant_id) == ("website", house.tenant.id)
    for words in (("keys", "list"), ("keys", "list", "--json")):
        answer = await terminal.run(*words)
        assert "website" in answer.out and key not in answer.out + answer.err


async def test_a_publishable_key_belongs_to_one_origin(house: House, terminal: Terminal) -> None:
    words = ("keys", "add", "widget", "--publishable", "--origin", "https://Shop.example:443/")
    made = json.loads((await terminal.run(*words, "--json")).out)
    assert made["key"].startswith("ivr_pk_") and made["origin"] == "https://shop.example"
    assert "https://shop.example" in (await terminal.run("keys", "list")).out


@pytest.mark.parametrize(
    "words",
    [
        ("--publishable",),
        ("--origin", "https://shop.example"),
        ("--publishable", "--origin", "shop.example"),
        ("--publishable", "--origin", "https://shop.example/page"),
        ("--publishable", "--origin", "https://[::1"),
    ],
)
async def test_an_origin_that_no_browser_sends_is_refused(
    house: House, terminal: Terminal, words: tuple[str, ...]
) -> None:
    answer = await terminal.run("keys", "add", "widget", *words)
    assert answer.code == 1 and "origin" in answer.err
    assert await rows(house.db, ApiKey) == []


async def test_a_key_is_revoked_by_all_of_it_and_none_by_nothing(
    house: House, terminal: Terminal
) -> None:
    """Who finds a key in the wrong place has the whole of it at hand."""
    key = (await terminal.run("keys", "add", "website")).out.strip()
    nothing = await terminal.run("keys", "revoke", "")
    assert nothing.code == 1
    async with house.db.read() as session:
        assert await api_keys.find(session, key, now=utc_now()) is not None
    unknown = await terminal.run("keys", "revoke", f"{key}x")
    assert unknown.code == 1 and key not in unknown.out + unknown.err
    assert (await terminal.run("keys", "revoke", key)).code == 0
    async with house.db.read() as session:
        assert await api_keys.find(session, key, now=utc_now()) is None


async def test_a_revoked_key_opens_nothing_and_leaves_the_list(
    house: House, terminal: Terminal
) -> None:
    key = (await terminal.run("keys", "add", "website")).out.strip()
    revoked = await terminal.run("keys", "revoke", key[:12])
    assert (revoked.code, "revoked" in revoked.out) == (0, True)
    async with house.db.read() as session:
        assert await api_keys.find(session, key, now=utc_now()) is None
    assert "there are no keys" in (await terminal.run("keys", "list")).out
    assert "revoked" in (await terminal.run("keys", "list", "--all")).out
    unknown = await terminal.run("keys", "revoke", "ivr_sk_nobody")
    assert unknown.code == 1 and "no key" in unknown.err


async def test_the_first_start_makes_no_key(house: House, terminal: Terminal) -> None:
    assert json.loads((await terminal.run("keys", "list", "--all", "--json")).out) == []
