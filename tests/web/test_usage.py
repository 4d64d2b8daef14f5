"""`GET /api/v1/clients/{id}/usage`: its contract, its months, and who reads it (S2.37, S2.49)."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from ivr import api_keys
from ivr.api_keys import Scope
from ivr.costs.usage import Kind, Used
from ivr.db import Database
from ivr.db.tables import Conversation, KeyKind, Tenant
from ivr.web import usage
from tests.costs.cast import tenant_of, tokens, use
from tests.leads.cast import NOW, call
from tests.web.house import Interface, interface

KEYS = {
    *("client_id", "month", "timezone", "starts_at", "ends_at", "budget"),
    *("tokens", "cost_usd", "cost_micros", "unpriced"),
    *("calls", "minutes", "messages_in", "messages_out", "segments"),
    *("by_kind", "by_purpose", "by_model", "by_day"),
}


@pytest.fixture
async def conversation(db: Database) -> Conversation:
    """A call of tenant `default`."""
    return await call(db)


@pytest.fixture
async def house(db: Database, conversation: Conversation) -> AsyncIterator[Interface]:
    tenant = await tenant_of(db, conversation)
    async with interface(db, tenant, usage.router) as it:
        yield it


def path(client: Any) -> str:
    return f"/api/v1/clients/{client}/usage"


def minutes(many: int, key: str) -> Used:
    """A phone call of so many minutes."""
    return Used(
        kind=Kind.TELEPHONY,
        purpose="call",
        provider="twilio",
        model="voice-in-us-local",
        quantities={"minutes": many, "seconds": many * 60 - 5},
        key=key,
    )


async def test_a_month_has_its_sums_its_budget_and_what_they_are_made_of(
    house: Interface, conversation: Conversation
) -> None:
    await tenant_of(
        house.db, conversation, monthly_token_budget=2_000_000, monthly_budget_cents=1_000
    )
    await use(house.db, conversation, tokens(1_000_000), tokens(600_000, model="gpt-99"))
    await use(house.db, conversation, minutes(3, "call:1"), minutes(1, "call:2"))
    shown = await house.get(path(house.tenant.id), month="2026-11")
    assert shown.keys() == KEYS
    assert (shown["month"], shown["timezone"]) == ("2026-11", "America/New_York")
    assert shown["starts_at"] == "2026-11-01T04:00:00Z"
    assert shown["ends_at"] == "2026-12-01T05:00:00Z"
    assert (shown["tokens"], shown["cost_usd"], shown["cost_micros"]) == (
        1_600_000,
        "0.134000",
        134_000,
    )
    assert shown["unpriced"] == 1, "the row without a known price is not in the money"
    assert (shown["calls"], shown["minutes"]) == (2, 4)
    assert shown["budget"] == {
        "tokens": 2_000_000,
        "cents": 1_000,
        "used_percent": 80.0,
        "state": "warning",
    }
    assert [(it["kind"], it["cost_micros"]) for it in shown["by_kind"]] == [
        ("telephony", 34_000),
        ("text", 100_000),
    ]
    assert [(it["provider"], it["model"], it["unpriced"]) for it in shown["by_model"]] == [
        ("openai", "gpt-6-luna", 0),
        ("openai", "gpt-99", 1),
        ("twilio", "voice-in-us-local", 0),
    ]
    assert [(it["purpose"], it["tokens"]) for it in shown["by_purpose"]] == [
        ("call", 0),
        ("reply", 1_600_000),
    ]
    assert [(it["day"], it["cost_usd"]) for it in shown["by_day"]] == [("2026-11-20", "0.134000")]


async def test_a_month_without_anything_is_all_zeros(house: Interface) -> None:
    shown = await house.get(path(house.tenant.id), month="2026-02")
    assert (shown["tokens"], shown["cost_usd"], shown["calls"]) == (0, "0.000000", 0)
    assert shown["by_kind"] == shown["by_day"] == []
    assert shown["budget"]["used_percent"] is None and shown["budget"]["state"] == "unlimited"


@pytest.mark.parametrize(
    ("zone", "moment", "month", "day"),
    [
        ("America/New_York", datetime(2026, 11, 1, 3, 59, 59, tzinfo=UTC), "2026-10", "2026-10-31"),
        ("America/New_York", datetime(2026, 11, 1, 4, tzinfo=UTC), "2026-11", "2026-11-01"),
        ("America/New_York", datetime(2026, 11, 2, 4, 59, tzinfo=UTC), "2026-11", "2026-11-01"),
        ("America/New_York", datetime(2026, 12, 1, 4, 59, 59, tzinfo=UTC), "2026-11", "2026-11-30"),
        ("Asia/Riyadh", datetime(2026, 10, 31, 20, 59, 59, tzinfo=UTC), "2026-10", "2026-10-31"),
        ("Asia/Riyadh", datetime(2026, 10, 31, 21, tzinfo=UTC), "2026-11", "2026-11-01"),
    ],
    ids=str,
)
async def test_a_use_is_of_the_month_and_day_that_it_was_where_the_client_is(
    house: Interface, conversation: Conversation, zone: str, moment: datetime, month: str, day: str
) -> None:
    await tenant_of(house.db, conversation, timezone=zone)
    await use(house.db, conversation, tokens(7), at=moment)
    for name in ("2026-10", "2026-11", "2026-12"):
        shown = await house.get(path(house.tenant.id), month=name)
        assert shown["tokens"] == (7 if name == month else 0), name
        assert [it["day"] for it in shown["by_day"]] == ([day] if name == month else [])


@pytest.mark.parametrize("month", ["2026-13", "2026-1", "november", "2026-11-01", "२०२६-११"])
async def test_another_spelling_of_a_month_is_refused(house: Interface, month: str) -> None:
    answer = await house.get(path(house.tenant.id), status=422, month=month)
    assert "month" in answer["detail"]


async def test_without_a_month_it_is_the_present_one(
    house: Interface, conversation: Conversation
) -> None:
    await use(house.db, conversation, tokens(7), at=datetime.now(UTC))
    assert (await house.get(path(house.tenant.id)))["tokens"] == 7


async def test_a_client_sees_its_own_and_the_admin_all(
    house: Interface, conversation: Conversation
) -> None:
    await use(house.db, conversation, tokens(7))
    async with house.db.write() as session:
        other = Tenant(
            slug="other", name="Other", profile="courses", timezone="UTC", created_at=NOW
        )
        session.add(other)
        await session.flush()
        _, admin = api_keys.make(
            session, house.tenant.id, kind=KeyKind.ADMIN, name="admin", now=NOW
        )
        _, theirs = api_keys.make(session, other.id, kind=KeyKind.SECRET, name="o", now=NOW)
        _, narrow = api_keys.make(
            session,
            house.tenant.id,
            kind=KeyKind.SECRET,
            name="n",
            now=NOW,
            scopes=[Scope.LEADS_READ],
        )
    nobody = uuid.uuid4()
    for key, client, status in (
        (admin, house.tenant.id, 200),
        (admin, other.id, 200),
        (admin, nobody, 404),
        (theirs, other.id, 200),
        (theirs, house.tenant.id, 404),
        (theirs, nobody, 404),
        (narrow, house.tenant.id, 403),
    ):
        asked = {"month": "2026-11"}
        answer = await house.client.get(path(client), params=asked, headers={"X-API-Key": key})
        assert answer.status_code == status, (client, answer.text)
        if status == 200:
            assert answer.json()["tokens"] == (7 if client == house.tenant.id else 0)
