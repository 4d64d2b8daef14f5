"""Statistics, lists, filters and the hot list are of the same leads, whatever happens to them."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ivr.db.tables import Contact, Conversation, Lead, Lifecycle, utc_now
from ivr.leads.attention.changes import STATUSES
from ivr.leads.people import merging
from ivr.leads.profile import load_profile
from ivr.leads.progress import profile_stages
from tests.channels.world import World, world
from tests.leads.cast import rows
from tests.web.lead_door import DOOR, create, finished, patch

STAGES = profile_stages.stage_names(load_profile("powersports"))
LABELS = ("HOT", "WARM", "COLD", "UNSCORED")


@pytest.fixture
async def w(database_url: str) -> AsyncIterator[World]:
    async with world(database_url) as opened:
        yield opened


async def asked(w: World, path: str, **query: Any) -> Any:
    response = await w.http.get(path, params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def listed(w: World, path: str = DOOR, **query: Any) -> list[str]:
    """The ids of a whole list, taken four at a time."""
    found: list[str] = []
    while True:
        page = await asked(w, path, limit=4, **query)
        found += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            return sorted(found)
        query["cursor"] = page["next_cursor"]


def ids(leads: list[Lead], **wanted: str | None) -> list[str]:
    """The ids of the rows that have these values."""
    return sorted(
        str(lead.id)
        for lead in leads
        if all(getattr(lead, name) == value for name, value in wanted.items())
    )


async def assert_figures_agree(w: World) -> Counter[str]:
    """Compare all that counts leads with the rows; return how many are in each stage."""
    leads = [lead for lead in await rows(w.db, Lead) if lead.lifecycle != Lifecycle.MERGED]
    counted = Counter(lead.stage for lead in leads)
    stats = await asked(w, "/leads/stats")
    assert stats["by_stage"] == {stage: counted[stage] for stage in STAGES}
    assert stats["total_leads"] == len(leads)
    assert await listed(w) == ids(leads)
    await assert_stages_agree(w, leads)
    for status in STATUSES:
        assert await listed(w, status=status) == ids(leads, status=status)
    await assert_scores_agree(w, leads)
    return counted


async def assert_stages_agree(w: World, leads: list[Lead]) -> None:
    lead_of = {str(one.id): str(one.lead_id) for one in await rows(w.db, Conversation)}
    for stage in STAGES:
        there = ids(leads, stage=stage)
        old = await asked(w, f"/leads/by-stage/{stage}")
        assert sorted(lead_of[item["conversation_id"]] for item in old["leads"]) == there
        assert old["count"] == len(there)
        assert await listed(w, stage=stage) == there


async def assert_scores_agree(w: World, leads: list[Lead]) -> None:
    for label in LABELS:
        category = None if label == "UNSCORED" else label.lower()
        assert await listed(w, score_label=label) == ids(leads, category=category)
    hot = ids(leads, category="hot", closed_at=None)
    client = leads[0].tenant_id
    assert await listed(w, f"{DOOR}/client/{client}/hot") == hot
    assert await listed(w, score_label="HOT", open=True) == hot


async def scored(w: World, lead_id: str, score: int | str | None) -> None:
    await patch(w, f"{lead_id}/score", {"score": score})


async def made_one(w: World, *lead_ids: str) -> None:
    """Have the people of two leads found to be the same."""
    async with w.db.write() as session:
        found = [lead for lead in await rows(w.db, Lead) if str(lead.id) in lead_ids]
        one, other = [await session.get_one(Contact, lead.contact_id) for lead in found]
        assert await merging.merge(session, one, other, reason="the same", now=utc_now())


async def test_whatever_happens_to_leads_all_figures_are_of_the_same_ones(w: World) -> None:
    names = ("Ann Lee", "Bob Hall", "Cleo Moss", "Dan Cole", "Eve Ford", "Fay King")
    people = [{"name": name, "email": f"{name[:3]}@example.com"} for name in names]
    a, b, c, d, e, f = [(await create(w, one))["id"] for one in people]
    for lead_id, score in ((a, 85), (b, 50), (c, 10), (d, "HOT"), (e, 71)):
        await scored(w, lead_id, score)
    await assert_figures_agree(w)

    for lead_id, score in ((a, 69), (b, 70), (c, None)):  # cooler, hotter, not scored any more
        await scored(w, lead_id, score)
    await patch(w, d, {"status": "closed_lost", "lost_reason": "moved away"})
    await patch(w, e, {"lifecycle": "DISQUALIFIED", "reason": "no bike"})
    assert (await assert_figures_agree(w))["LOST"] == 2

    await finished(w)
    await patch(w, d, {"status": "negotiating"})  # taken back
    await patch(w, c, {"fields": {"zip_code": "30093"}})
    assert (await w.http.post(f"{DOOR}/{b}/handoff", json={"assignee": "ann"})).is_success
    before = await assert_figures_agree(w)
    assert before["LOST"] == 1

    await made_one(w, a, f)
    assert (await assert_figures_agree(w)).total() == before.total() - 1
