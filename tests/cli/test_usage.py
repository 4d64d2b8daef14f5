"""`ivr usage`: a line for each client."""

import json

from ivr.db.tables import Tenant
from tests.cli.conftest import House, Terminal
from tests.costs.cast import tenant_of, tokens, use
from tests.leads.cast import NOW


async def test_each_client_has_a_line_with_its_sums_and_its_budget(
    house: House, terminal: Terminal
) -> None:
    conversation = await house.call("CA1")
    await tenant_of(house.db, conversation, monthly_token_budget=1_000)
    await use(house.db, conversation, tokens(800), tokens(200, model="gpt-99"), at=NOW)
    async with house.db.write() as session:
        session.add(
            Tenant(slug="other", name="O", profile="courses", timezone="UTC", created_at=NOW)
        )
    out = (await terminal.run("usage", "--month", "2026-11")).out
    own, other = (line.split() for line in out.splitlines() if "2026-11" in line)
    assert own[:4] == ["default", "2026-11", "1000", "0.000080"]
    assert own[-3:] == ["100.00", "%", "spent"]
    assert other[0] == "other" and other[-1] == "unlimited"
    told = json.loads((await terminal.run("usage", "--month", "2026-11", "--json")).out)
    assert [(it["client"], it["tokens"], it["unpriced"]) for it in told] == [
        ("default", 1000, 1),
        ("other", 0, 0),
    ]


async def test_a_month_that_is_none_is_refused_in_words(house: House, terminal: Terminal) -> None:
    answer = await terminal.run("usage", "--month", "11/2026")
    assert answer.code == 1 and "month: expected a year and a month" in answer.err
