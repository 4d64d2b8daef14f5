"""Whoever is promised a call back has a task in somebody's list."""

from dataclasses import replace
from pathlib import Path

from ivr.leads import profile
from tests.calls.test_admission import tasks
from tests.calls.world import short, talk_through, world
from tools.scenarios import Call as Function

PERSON = "+18005550100"
WISH = {"reason": "wants to talk to a person"}


async def test_who_asks_for_a_person_on_the_keypad_road_is_called_back(sqlite_url: str) -> None:
    async with world(sqlite_url, door="/twilio/voice-ivr") as w:
        call = await w.ring()
        await call.answer(speech="I want to speak to a real person")
        assert "call you back" in (await call.gathering()).children[0].text
        await call.hang_up()
        page = await w.finished(call)
        (task,) = await tasks(w)
    assert page.conversation is not None and task.lead_id == page.conversation.lead_id
    assert task.reason == "the caller asked for a person"


async def test_who_asks_the_model_for_a_person_is_called_back(sqlite_url: str) -> None:
    told = short()
    wish = replace(told.turns[1], calls=(*told.turns[1].calls, Function("promise_call_back", WISH)))
    scenario = replace(told, turns=(told.turns[0], wish, told.turns[2]))
    async with world(sqlite_url, scenario=scenario) as w:
        call = await w.ring()
        await talk_through(call, scenario)
        assert await call.ended() == "completed"
        await w.finished(call)
        (task,) = await tasks(w)
    assert task.reason == "the caller asked for a person"


async def test_who_is_put_through_to_nobody_is_called_back(sqlite_url: str, tmp_path: Path) -> None:
    shipped = Path(profile.__file__).parents[1] / "profiles" / "powersports.toml"
    text = shipped.read_text(encoding="utf-8")
    path = tmp_path / "powersports.toml"
    path.write_text(text.replace("[target]", f'transfer_number = "{PERSON}"\n\n[target]', 1))
    async with world(sqlite_url, door="/twilio/voice-ivr", profile=str(path)) as w:
        w.twilio.account.dial_status = "no-answer"
        call = await w.ring()
        await call.answer(speech="I want to speak to a real person")
        await call.said("call you back")
        await call.hang_up()
        await w.finished(call)
        (task,) = await tasks(w)
    assert task.reason == "the caller asked for a person, and nobody was there"
