"""`ivr webhooks`."""

import json

import pytest

from ivr.db.tables import DeliveryState, WebhookDelivery, WebhookEndpoint, utc_now
from ivr.webhooks import outbox
from tests.cli.conftest import House, Terminal
from tests.leads.cast import rows

URL = "http://localhost:9000/hook"


async def added(terminal: Terminal, *words: str) -> str:
    """Add an endpoint and return the beginning of its id."""
    answer = await terminal.run("webhooks", "add", URL, *words, "--json")
    return str(json.loads(answer.out)["id"])[:8]


async def happened(house: House, *, parked: bool = False) -> int:
    """Have something happen; return its delivery's id."""
    async with house.db.write() as session:
        await outbox.emit(
            session,
            house.tenant.id,
            "lead.stage_changed",
            lead_id=None,
            data={"seq": 1},
            now=utc_now(),
        )
    row = (await rows(house.db, WebhookDelivery))[-1]
    if parked:
        async with house.db.write() as session:
            found = await session.get_one(WebhookDelivery, row.id)
            found.state, found.attempts = DeliveryState.PARKED, 10
            found.next_attempt_at, found.last_error = None, "HTTP 500 oops"
    return int(row.id)


async def state(house: House) -> str:
    (row,) = await rows(house.db, WebhookDelivery)
    return str(row.state)


async def test_the_secret_is_printed_once(house: House, terminal: Terminal) -> None:
    made = await terminal.run("webhooks", "add", URL, "--types", "lead.stage_changed")
    secret = made.out.strip()
    assert made.code == 0 and secret.startswith("whsec_") and "not shown again" in made.err
    listed = await terminal.run("webhooks", "list")
    assert URL in listed.out and "lead.stage_changed" in listed.out and "in use" in listed.out
    for answer in (listed, await terminal.run("webhooks", "list", "--json")):
        assert secret not in answer.out + answer.err


async def test_in_production_a_plain_or_private_address_is_refused(
    house: House, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "ENVIRONMENT": "production",
        "SECRET_KEY": "x" * 40,
        "TWILIO_AUTH_TOKEN": "token",
        "PUBLIC_BASE_URL": "https://ivr.example",
    }.items():
        monkeypatch.setenv(name, value)
    for url in (URL, "https://localhost/hook", "https://10.0.0.1/"):
        answer = await terminal.run("webhooks", "add", url)
        assert answer.code == 1 and "url" in answer.err
    assert await rows(house.db, WebhookEndpoint) == []
    assert (await terminal.run("webhooks", "add", "https://crm.example/hook")).code == 0


async def test_an_unknown_type_is_refused(house: House, terminal: Terminal) -> None:
    answer = await terminal.run("webhooks", "add", URL, "--types", "lead.moved")
    assert answer.code == 1 and "lead.stage_changed" in answer.err


async def test_what_is_removed_is_told_nothing_more(house: House, terminal: Terminal) -> None:
    endpoint = await added(terminal)
    await happened(house)
    removed = await terminal.run("webhooks", "remove", endpoint)
    assert "1 waiting deliveries parked" in removed.out
    assert "nobody is told" in (await terminal.run("webhooks", "list")).out
    assert "disabled" in (await terminal.run("webhooks", "list", "--all")).out
    assert await state(house) == DeliveryState.PARKED


async def test_a_parked_delivery_is_shown_and_replayed(house: House, terminal: Terminal) -> None:
    await added(terminal)
    assert "nothing is parked" in (await terminal.run("webhooks", "parked")).out
    number = await happened(house, parked=True)
    shown = await terminal.run("webhooks", "parked")
    for words in (str(number), "lead.stage_changed", URL, "HTTP 500 oops"):
        assert words in shown.out
    assert json.loads((await terminal.run("webhooks", "parked", "--json")).out)[0]["id"] == number
    again = await terminal.run("webhooks", "replay", str(number))
    assert (again.code, again.out) == (0, "1 delivery will be made again\n")
    assert await state(house) == DeliveryState.PENDING
    refused = await terminal.run("webhooks", "replay", str(number))
    assert refused.code == 1 and "on its way" in refused.err


async def test_everything_since_a_time_is_replayed(house: House, terminal: Terminal) -> None:
    await added(terminal)
    await happened(house, parked=True)
    only = await terminal.run("webhooks", "replay", "--since", "24h", "--parked")
    assert only.out == "1 delivery will be made again\n"
    nothing = await terminal.run("webhooks", "replay", "--since", "1h")
    assert nothing.out == "0 deliveries will be made again\n"


@pytest.mark.parametrize("words", [(), ("1", "--since", "24h"), ("--since", "yesterday")])
async def test_replay_wants_one_thing(
    house: House, terminal: Terminal, words: tuple[str, ...]
) -> None:
    answer = await terminal.run("webhooks", "replay", *words)
    assert answer.code == 1 and "since" in answer.err


async def test_a_new_secret_replaces_the_old_one(house: House, terminal: Terminal) -> None:
    endpoint = await added(terminal)
    (before,) = await rows(house.db, WebhookEndpoint)
    rotated = await terminal.run("webhooks", "rotate", endpoint)
    (after,) = await rows(house.db, WebhookEndpoint)
    new = rotated.out.strip()
    assert new.startswith("whsec_") and new not in after.secret, "what is kept is sealed"
    assert after.secret != before.secret == after.previous_secret
