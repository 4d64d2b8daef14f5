"""The model fails at any turn, in any way, through the doors: the lead notices nothing."""

from collections.abc import AsyncIterator
from pathlib import Path
from shutil import copyfile

import pytest
import pytest_asyncio

from ivr.db.tables import Conversation, SucceededLead
from ivr.leads.profile import load_profile
from tests.channels.conftest import look_often
from tests.channels.talking import Stage, stage
from tests.leads.cast import LEAD, rows, until
from tools.emulators.openai import Call, Say, Shown, by_message, save

PROFILE = load_profile("powersports")
CLOSING = Say("Thank you. Goodbye!", (Call("end_call", {"reason": "complete"}),))
TURNS = 7
FAULTS: dict[str, Say] = {
    "error": Say(fault=500),
    "too many requests": Say(fault=429),
    "silence": Say(fault="hang"),
    "garbage": Say(fault="not_json"),
    "empty": Say(),
}
PATIENCE = 1.0  # seconds a model has; the emulated one answers in a few milliseconds


def talk(phone: str) -> dict[str, list[Say]]:
    """Return what John writes, and what a model makes of it when it works."""
    said = {
        "Hello": [Say("Hi! What is your name?")],
        "My name is John Doe": [Say(calls=(save("full_name", "John Doe"),)), Say("Your ZIP code?")],
        "30093": [Say(calls=(save("zip_code", "30093"),)), Say("And which phone number?")],
        phone: [Say(calls=(save("phone", phone),)), Say("Nice. What year is it?")],
        "2020": [Say(calls=(save("vehicle_year", "2020"),)), Say("What make is it?")],
        "Yamaha": [Say(calls=(save("vehicle_make", "Yamaha"),)), Say("And which model is it?")],
        "MT-07": [Say(calls=(save("vehicle_model", "MT-07"),)), CLOSING],
    }
    assert len(said) == TURNS
    return said


class Outage:
    """A model that fails at one message; `late`: after it has called its tools for it."""

    def __init__(self, said: dict[str, list[Say]], turn: int, fault: Say, *, late: bool) -> None:
        self._mind = by_message(said)
        self._down = list(said)[turn]
        self._fault, self._late = fault, late
        self.hits = 0

    def __call__(self, shown: Shown) -> Say:
        if shown.last_message == self._down and (shown.round > 0 or not self._late):
            self.hits += 1
            return self._fault
        return self._mind(shown)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """One server for all of them, with a model that has little time."""
    path = tmp_path_factory.mktemp("outage") / "nps_ivr.db"
    copyfile(sqlite_template, path)
    with pytest.MonkeyPatch.context() as patch:
        look_often(patch)
        url = f"sqlite+aiosqlite:///{path}"
        async with stage(url, by_model=True, text_model_seconds=PATIENCE) as opened:
            yield opened


def fault_at(turn: int, *, shift: int) -> Say:
    """Return one of the faults: over all turns, each has its turn."""
    return list(FAULTS.values())[(turn + shift) % len(FAULTS)]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("late", [False, True], ids=["at once", "after its tools"])
@pytest.mark.parametrize("turn", range(TURNS))
async def test_a_chat_survives_an_outage_at_any_turn(at: Stage, turn: int, late: bool) -> None:
    phone = f"+1770556{late:02}{turn:02}"
    said = talk(phone)
    calls_tools = len(list(said.values())[turn]) > 1
    model = _fail(at, said, turn, fault_at(turn, shift=2 + late), late=late and calls_tools)
    replies = [(await at.w.chat(text, session_id=phone))["response"] for text in said]
    assert model.hits
    await _check(at, phone, replies)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("turn", range(TURNS))
async def test_sms_survives_an_outage_at_any_turn(at: Stage, turn: int) -> None:
    john = at.w.texter(f"+1770557{turn:04}")
    said = talk(john.number)
    model = _fail(at, said, turn, fault_at(turn, shift=0), late=False)
    for text in said:
        before = len(john.received)
        exchange = await john.text(text, duplicate=True)
        assert exchange.status == 200
        await until(lambda before=before: len(john.received) > before)
    assert model.hits
    await _check(at, john.number, [str(message["body"]) for message in john.received])


def _fail(at: Stage, said: dict[str, list[Say]], turn: int, fault: Say, *, late: bool) -> Outage:
    assert at.openai is not None
    outage = Outage(said, turn, fault, late=late)
    at.openai.think(outage)
    return outage


async def _check(at: Stage, session_key: str, replies: list[str]) -> None:
    """Each message was answered once, only the first with a greeting, and the lead is right."""
    assert len(replies) == TURNS and all(replies)
    for reply in replies[1:]:
        assert PROFILE.text_greeting not in reply
        assert "Sorry" not in reply and "cut off" not in reply
    assert "Goodbye" in replies[-1]
    found = await rows(at.w.db, Conversation)
    (conversation,) = [row for row in found if row.session_key == session_key]
    turns = await at.w.turns(conversation)
    assert [role for role, _ in turns] == ["user", "assistant"] * TURNS
    assert [text for role, text in turns if role == "assistant"] == replies
    await until(lambda: _is_sent(at, conversation), seconds=10)
    sent = [it for it in await rows(at.w.db, SucceededLead) if it.session_id == conversation.id]
    assert [row.lead_data for row in sent] == [{**LEAD, "phone": session_key}]


async def _is_sent(at: Stage, conversation: Conversation) -> bool:
    return any(it.session_id == conversation.id for it in await rows(at.w.db, SucceededLead))
