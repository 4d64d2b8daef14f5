"""Callers for whom there is no voice: each says who they are, is a lead, and is called back."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
from sqlmodel import col, select

from ivr.db.tables import Task
from tests.calls.world import World, by_gather, short, talk_through, world
from tests.leads.cast import until
from tools.emulators.twilio import Call

SCENARIO = short(extraction={})  # the model reads nothing: what counts is what was heard
BUSY = "Sorry, all our lines are busy. We will call you back."
THANKS = "Thank you. We will call you back as soon as we can. Goodbye."
CALLER = "+17705550177"
NAME = ("first and last name", "Jane Roe")
NUMBER_IS_RIGHT = ("number you are calling from", "yes")


async def tasks(w: World) -> Sequence[Task]:
    async with w.db.read() as session:
        return (await session.exec(select(Task).order_by(col(Task.created_at)))).all()


async def health(w: World) -> dict[str, Any]:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        answer = await http.get(f"{w.url}/health/ready")
    assert answer.status_code == 200
    return dict(answer.json())


async def until_refusing(w: World, why: str) -> None:
    async def is_refusing() -> bool:
        return bool((await health(w))["admission"]["refuses"] == why)

    await until(is_refusing)


async def is_turned_away(w: World, call: Call, why: str) -> None:
    """The caller hears an apology, tells who they are, and is a lead that somebody calls back."""
    assert BUSY in (await call.gathering()).children[0].text
    await by_gather(call, [NAME, NUMBER_IS_RIGHT])
    assert await call.ended() == "completed"
    assert call.sayings[-1].endswith(THANKS)
    page = await w.finished(call)
    assert page.succeeded is not None
    known = {key: value for key, value in page.succeeded.lead_data.items() if value}
    assert known == {"full_name": "Jane Roe", "phone": CALLER}
    (task,) = await tasks(w)
    assert page.conversation is not None
    call_of = (page.conversation.lead_id, page.conversation.id)
    assert (task.lead_id, task.conversation_id) == call_of
    assert (task.kind, task.reason) == ("call_back", f"all lines busy ({why})")
    assert (await health(w))["admission"]["refused"] == {why: 1}
    assert len(call.webhooks[0].body) < 2000 and b"<Stream" not in call.webhooks[0].body


async def test_beyond_the_cap_a_caller_is_turned_away(database_url: str) -> None:
    async with world(database_url, scenario=SCENARIO, max_concurrent_calls=1) as w:
        first = await w.ring()
        await first.quiet()
        await is_turned_away(w, await w.ring(CALLER), "cap")
        await talk_through(first, w.scenario)
        assert await first.ended() == "completed"
        page = await w.finished(first)
    assert page.succeeded is not None and page.succeeded.lead_data["zip_code"] == "30093"
    assert w.openai.upgrades == [101]


async def test_beyond_the_rate_a_caller_is_turned_away(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=SCENARIO, max_new_calls_per_second=0.001) as w:
        first = await w.ring()
        await first.quiet()
        await is_turned_away(w, await w.ring(CALLER), "rate")
        await first.hang_up()
        await w.finished(first)


async def test_while_the_loop_is_late_a_caller_is_turned_away(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=SCENARIO, max_loop_lag_ms=1e-6) as w:
        await until_refusing(w, "lag")
        await is_turned_away(w, await w.ring(CALLER), "lag")
    assert w.openai.upgrades == []


async def test_when_memory_is_short_a_caller_is_turned_away(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=SCENARIO, max_memory_mb=1) as w:
        await until_refusing(w, "memory")
        await is_turned_away(w, await w.ring(CALLER), "memory")
    assert w.openai.upgrades == []


async def test_who_is_turned_away_and_says_nothing_is_called_back_all_the_same(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, scenario=SCENARIO, max_memory_mb=1) as w:
        await until_refusing(w, "memory")
        call = await w.ring(CALLER)
        await call.gathering()
        await call.hang_up()
        page = await w.finished(call)
        (task,) = await tasks(w)
    assert page.conversation is not None and task.lead_id == page.conversation.lead_id
    assert page.succeeded is not None and page.succeeded.lead_data["phone"] == CALLER


async def test_who_hides_the_number_is_asked_for_it(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=SCENARIO, max_memory_mb=1) as w:
        await until_refusing(w, "memory")
        call = await w.ring("+266696687")  # Twilio's number for "anonymous"
        await by_gather(call, [NAME, ("phone number", "770 555 0188"), ("Is that right", "yes")])
        assert await call.ended() == "completed"
        page = await w.finished(call)
        assert len(await tasks(w)) == 1
    assert page.succeeded is not None and page.succeeded.lead_data["phone"] == "+17705550188"


async def test_who_calls_twice_and_is_turned_away_twice_has_one_task(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=SCENARIO, max_memory_mb=1) as w:
        await until_refusing(w, "memory")
        calls = [await w.ring(CALLER), await w.ring(CALLER)]
        for call in calls:
            await call.gathering()
        assert len(await tasks(w)) == 1
        for call in calls:
            await call.hang_up()
            await w.finished(call)


async def test_at_three_times_the_cap_who_is_let_in_is_served_and_everybody_else_is_called_back(
    database_url: str,
) -> None:
    places = 3
    async with world(database_url, scenario=SCENARIO, max_concurrent_calls=places) as w:
        callers = [f"+1770555{number:04}" for number in range(100, 100 + 3 * places)]
        calls = await asyncio.gather(*(w.ring(caller) for caller in callers))
        served = [call for call in calls if b"<Stream" in call.webhooks[0].body]
        refused = [call for call in calls if call not in served]
        assert len(served) == places
        await asyncio.gather(
            *(talk_through(call, w.scenario) for call in served),
            *(by_gather(call, [NAME, NUMBER_IS_RIGHT]) for call in refused),
        )
        assert {await call.ended() for call in calls} == {"completed"}
        pages = {call.sid: await w.finished(call) for call in calls}
        to_do = {task.lead_id for task in await tasks(w)}
    for call in served:
        delivered = pages[call.sid].succeeded
        assert delivered is not None and delivered.lead_data["zip_code"] == "30093"
    calls_refused = [pages[call.sid].conversation for call in refused]
    assert to_do == {row.lead_id for row in calls_refused if row is not None}
    assert len(to_do) == 2 * places and len(w.npa.requests) == 3 * places


async def test_a_call_that_comes_back_is_not_refused(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=SCENARIO, max_new_calls_per_second=0.001) as w:
        call = await w.ring()
        await talk_through(call, w.scenario, turns=1)
        await call.quiet()
        assert (await health(w))["admission"]["refuses"] == "rate"
        await call.lose_stream()
        await call.stream(2)
        await call.hang_up()
        page = await w.finished(call)
        assert await tasks(w) == []
    assert page.succeeded is not None and page.succeeded.lead_data["full_name"] == "John Doe"
