"""Qualification rules over HTTP, and what they do to those who write (S2.6, S2.12-S2.18, S2.24)."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from sqlmodel import select

from ivr.db import Database
from ivr.db.tables import Tenant
from ivr.web import qualification
from tests.channels.world import World, world
from tests.leads.progress.test_what_rules_do import agency
from tests.web.house import Interface, interface, key_of

AHMED = {
    "name": "Ahmed",
    "phone": "+966501234567",
    "email": "ahmed@example.com",
    "message": "I am looking to buy an apartment in Dammam, budget around 800,000 SAR",
    "source": "website",
}
RICH = {"field": "budget", "op": "at_least", "value": "500k"}
RULE: dict[str, Any] = {"name": "rich", "conditions": {"all": [RICH]}, "outcome": "QUALIFIED"}


@pytest.fixture
async def house(db: Database) -> AsyncIterator[Interface]:
    async with interface(db, await agency(db), qualification.router) as opened:
        yield opened


def path_of(tenant: Tenant, rest: str = "") -> str:
    return f"/api/v1/clients/{tenant.id}/qualification-rules{rest}"


async def send(
    house: Interface, method: str, rest: str = "", *, status: int = 200, **request: Any
) -> Any:
    answer = await house.client.request(method, path_of(house.tenant, rest), **request)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


# --- the rules themselves ---


async def test_a_rule_is_added_listed_changed_and_removed(house: Interface) -> None:
    made = await send(house, "POST", json=RULE, status=201)
    assert made["conditions"]["all"] == [{**RICH, "value": "500000 SAR"}]
    assert (made["position"], made["is_active"], made["profile"]) == (1, True, "real_estate")
    second = await send(house, "POST", json={**RULE, "name": "second"}, status=201)
    assert second["position"] == 2
    listed = await send(house, "GET")
    assert [row["name"] for row in listed["items"]] == ["rich", "second"]
    changed = await send(
        house, "PATCH", f"/{made['id']}", json={"position": 3, "reason": "r", "is_active": False}
    )
    assert changed == {**made, "position": 3, "reason": "r", "is_active": False}
    listed = await send(house, "GET")
    assert [row["name"] for row in listed["items"]] == ["second", "rich"]
    await send(house, "DELETE", f"/{made['id']}", status=204)
    await send(house, "DELETE", f"/{made['id']}", status=404)
    assert [row["name"] for row in (await send(house, "GET"))["items"]] == ["second"]


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"field": "color", "op": "known"}, "real_estate has no 'color'; it has name, phone"),
        ({"field": "budget", "op": "like", "value": 1}, "conditions.all.0.op"),
        ({"field": "budget", "op": "known", "value": 1}, "conditions.all.0.value: known takes"),
        ({"field": "budget", "op": "at_least", "value": "much"}, "one amount, such as 500000 SAR"),
        ({"field": "budget", "op": "at_least"}, "conditions.all.0.value"),
        ({"field": "urgency", "op": "at_least", "value": "soon"}, "urgency is no number"),
        ({"field": "urgency", "op": "equals", "value": "now"}, "it can be urgent, soon or not"),
        ({"field": "urgency", "op": "one_of", "value": []}, "a list of 1 to 50"),
        ({"field": "urgency", "op": "one_of", "value": "soon"}, "a list of 1 to 50"),
        ({"field": "timeline", "op": "contains", "value": " "}, "a text of 1 to 200"),
        ({"field": "score", "op": "at_least", "value": 101}, "from 0 to 100"),
        ({"field": "channel", "op": "equals", "value": "fax"}, "expected one of voice, sms"),
        ({"field": "stage", "op": "equals", "value": "DONE"}, "expected one of NEW, NAME_COLL"),
    ],
)
async def test_a_bad_condition_is_refused_in_words(
    house: Interface, condition: Mapping[str, Any], words: str
) -> None:
    body = {**RULE, "conditions": {"all": [condition]}}
    problem = await send(house, "POST", json=body, status=422)
    assert words in problem["detail"]
    assert (await send(house, "GET"))["items"] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"outcome": "SUBMITTED"}, "outcome"),
        ({"name": " "}, "name"),
        ({"conditions": {}}, "conditions: expected `all` or `any`"),
        ({"conditions": {"all": [RICH], "any": [RICH]}}, "conditions: expected `all` or `any`"),
        ({"conditions": {"all": []}}, "conditions.all"),
        ({"position": 0}, "position"),
        ({"tenant_id": "x"}, "tenant_id"),
    ],
)
async def test_a_bad_rule_is_refused_in_words(
    house: Interface, change: dict[str, Any], words: str
) -> None:
    problem = await send(house, "POST", json={**RULE, **change}, status=422)
    assert words in problem["detail"]
    made = await send(house, "POST", json=RULE, status=201)
    problem = await send(house, "PATCH", f"/{made['id']}", json=change, status=422)
    assert words in problem["detail"]


async def test_rules_are_tried_without_a_lead(house: Interface) -> None:
    await send(house, "POST", json=RULE, status=201)
    quick = {"name": "hot", "outcome": "NURTURING", "conditions": {"any": [
        {"field": "score", "op": "at_least", "value": 70},
        {"field": "channel", "op": "one_of", "value": ["voice", "sms"]},
    ]}}  # fmt: skip
    await send(house, "POST", json=quick, status=201)

    async def outcome(**lead: Any) -> tuple[str | None, str | None]:
        found = await send(house, "POST", "/test", json=lead)
        return found["outcome"], found["rule"] and found["rule"]["name"]

    assert await outcome(fields={"budget": "1.2 million riyals"}) == ("QUALIFIED", "rich")
    assert await outcome(fields={"budget": 400_000}, score=80) == ("NURTURING", "hot")
    assert await outcome(channel="sms") == ("NURTURING", "hot")
    assert await outcome(fields={"budget": "400k"}) == (None, None)
    for wrong in ({"fields": {"color": "red"}}, {"stage": "DONE"}, {"fields": {"budget": "x"}}):
        await send(house, "POST", "/test", json=wrong, status=422)


async def test_another_clients_rules_are_not_there(house: Interface, db: Database) -> None:
    made = await send(house, "POST", json=RULE, status=201)
    other = await agency(db, "other")
    headers = {"X-API-Key": await key_of(db, other)}
    for method, tenant, rest in (
        ("GET", house.tenant, ""),
        ("POST", house.tenant, ""),
        ("POST", house.tenant, "/test"),
        ("PATCH", house.tenant, f"/{made['id']}"),
        ("DELETE", house.tenant, f"/{made['id']}"),
        ("PATCH", other, f"/{made['id']}"),
        ("DELETE", other, f"/{made['id']}"),
    ):
        body = RULE if method == "POST" and not rest else {}
        answer = await house.client.request(
            method, path_of(tenant, rest), headers=headers, json=body
        )
        assert answer.status_code == 404, (method, rest)
    listed = await house.client.get(path_of(other), headers=headers)
    assert listed.json()["items"] == []
    assert len((await send(house, "GET"))["items"]) == 1


# --- what they do to those who write ---


async def rule(w: World, **rule: Any) -> None:
    async with w.db.read() as session:
        tenant = (await session.exec(select(Tenant))).one()
    answer = await w.http.post(path_of(tenant), json=rule)
    assert answer.status_code == 201, answer.text


async def only_lead(w: World) -> Any:
    (brief,) = (await w.http.get("/api/v1/leads")).json()["items"]
    return (await w.http.get(f"/api/v1/leads/{brief['id']}")).json()


async def test_the_form_of_s2_fills_what_qualifies_with_no_model(database_url: str) -> None:
    async with world(database_url, profile="real_estate") as w:
        assert (await w.http.post("/webhooks/web-form", json=AHMED)).status_code == 200
        lead = await only_lead(w)
        budget = next(row for row in (await w.books()).values if row.name == "budget")
    assert lead["qualification"] == {
        "service_interest": "buy",
        "budget": "800000 SAR",
        "budget_confirmed": "no",
        "urgency": None,
        "timeline": None,
        "decision_maker": None,
        "location": "Dammam",
    }
    assert lead["lead_data"]["property_type"] == "apartment"
    assert (lead["source"], lead["lifecycle"]) == ("website", "QUALIFYING")
    assert budget.details == {"minor_units": "80000000", "currency": "SAR"}
    assert {"stage", "lifecycle", "status", "score"} <= lead.keys(), "each on its own (X.3)"


async def test_a_form_is_judged_at_once(database_url: str) -> None:
    async with world(database_url, profile="real_estate") as w:
        unsure = {"field": "budget_confirmed", "op": "equals", "value": "no"}
        form = {"field": "channel", "op": "equals", "value": "web_form"}
        conditions = {"all": [unsure, form]}
        await rule(w, name="not settled", outcome="NURTURING", conditions=conditions)
        await w.http.post("/webhooks/web-form", json=AHMED)
        lead = await only_lead(w)
    assert (lead["lifecycle"], lead["closed_at"]) == ("NURTURING", None)


@pytest.mark.parametrize(
    "message",
    [
        "What is the price of the villa built in 2020?",
        "How much does a 1500 sqft apartment cost?",
        "price of apartment 1502 in tower B?",
        "كم سعر أرض 1200 متر",
        "between eight and nine million riyals",
    ],
)
async def test_a_number_that_is_no_budget_closes_no_lead(database_url: str, message: str) -> None:
    async with world(database_url, profile="real_estate") as w:
        poor = {"field": "budget", "op": "at_most", "value": "100000 SAR"}
        await rule(w, name="poor", outcome="DISQUALIFIED", conditions={"all": [poor]})
        form = {**AHMED, "message": message}
        assert (await w.http.post("/webhooks/web-form", json=form)).status_code == 200
        lead = await only_lead(w)
        assert (lead["lifecycle"], lead["closed_at"]) == ("QUALIFYING", None)
        assert lead["qualification"]["budget"] in (None, "8000000-9000000 SAR")


async def test_who_does_not_fit_is_closed_in_the_middle_of_a_text_and_not_sent(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, profile="real_estate") as w:
        sells = {"field": "service_interest", "op": "equals", "value": "sell"}
        given = {"conditions": {"all": [sells]}, "outcome": "DISQUALIFIED"}
        await rule(w, name="sellers", reason="we only buy", **given)
        ahmed = w.texter("+966501234567")
        said = await w.reply_to(ahmed, "Hi, I want to sell my villa in Riyadh")
        lead = await only_lead(w)
        assert said, "they are answered all the same"
        assert (lead["lifecycle"], lead["status"]) == ("DISQUALIFIED", "closed_lost")
        assert (lead["stage"], lead["lost_reason"]) == ("LOST", "we only buy")
        assert (await w.books()).succeeded == []
