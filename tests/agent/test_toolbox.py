"""The assistant's tools: what they commit, and what they tell the model."""

import json
from collections.abc import AsyncIterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ivr.agent.toolbox import ToolBox
from ivr.db import Database
from ivr.db.tables import Conversation, FieldValue, Lead, Source
from ivr.leads import values
from ivr.leads.profile import load_profile
from tests.leads.cast import JOHN, NOW, call

PROFILE = load_profile("powersports")
ALL = [field.key for field in PROFILE.required]


@pytest.fixture
async def conversation(sqlite_db: Database) -> AsyncIterator[Conversation]:
    yield await call(sqlite_db)


@pytest.fixture
def tools(sqlite_db: Database, conversation: Conversation) -> ToolBox:
    zone = ZoneInfo("America/New_York")
    return ToolBox(sqlite_db, PROFILE, conversation, zone=zone, now=lambda: NOW)


async def run(tools: ToolBox, name: str, /, **arguments: Any) -> dict[str, Any]:
    """Run a tool and return what it says to the model."""
    answer = json.loads((await tools.run(name, json.dumps(arguments))).output)
    assert isinstance(answer, dict)
    return answer


async def kept(db: Database, conversation: Conversation) -> dict[str, str | None]:
    async with db.read() as session:
        rows = await values.current(session, conversation.lead_id)
    return {name: row.value for name, row in rows.items()}


async def rows(db: Database, conversation: Conversation, name: str) -> list[FieldValue]:
    async with db.read() as session:
        history = await values.history(session, conversation.lead_id)
    return [row for row in history if row.name == name]


async def test_a_good_value_is_committed_and_read_back(
    tools: ToolBox, sqlite_db: Database, conversation: Conversation
) -> None:
    answer = await run(tools, "save_field", name="zip_code", value="30093", heard_as="it's 30093")
    assert answer == {
        "saved": True,
        "field": "zip_code",
        "value": "30093",
        "read_back": "3 0 0 9 3",
        "confirm": True,
        "missing": [key for key in ALL if key != "zip_code"],
    }
    (row,) = await rows(sqlite_db, conversation, "zip_code")
    assert (row.value, row.raw, row.quote, row.source) == ("30093", "30093", "it's 30093", "tool")
    assert row.details == {"state": "GA"}


async def test_a_saved_value_moves_the_lead(
    tools: ToolBox, sqlite_db: Database, conversation: Conversation
) -> None:
    await run(tools, "save_field", name="vehicle_year", value="2020", heard_as="twenty twenty")
    async with sqlite_db.read() as session:
        lead = await session.get_one(Lead, conversation.lead_id)
    assert lead.stage == "VEHICLE_STARTED"


async def test_the_number_of_the_network_is_still_to_be_asked_for(tools: ToolBox) -> None:
    answer = await run(tools, "save_field", name="full_name", value="John Doe", heard_as="John Doe")
    assert "phone" in answer["missing"]
    answer = await run(tools, "save_field", name="phone", value=JOHN, heard_as="this number")
    assert "phone" not in answer["missing"]


async def test_a_refused_value_is_noted_as_an_attempt_with_its_reason(
    tools: ToolBox, sqlite_db: Database, conversation: Conversation
) -> None:
    answer = await run(tools, "save_field", name="zip_code", value="99501", heard_as="99501")
    assert answer["saved"] is False and "Alaska" in answer["problem"]
    (row,) = await rows(sqlite_db, conversation, "zip_code")
    assert row.value is None and row.problem == answer["problem"]
    assert "zip_code" not in await kept(sqlite_db, conversation)


async def test_a_near_miss_is_asked_back_until_the_caller_insists(
    tools: ToolBox, sqlite_db: Database, conversation: Conversation
) -> None:
    said = {"name": "vehicle_make", "value": "Yamaka", "heard_as": "Yamaka"}
    answer = await run(tools, "save_field", **said)
    assert answer["saved"] is False and answer["suggestion"] == "Yamaha"
    assert "Yamaha" in answer["ask_back"]
    answer = await run(tools, "save_field", **said, insisted=True)
    assert answer["saved"] is True and answer["value"] == "Yamaka"
    assert (await kept(sqlite_db, conversation))["vehicle_make"] == "Yamaka"


async def test_a_confirmed_value_needs_no_other_confirmation(
    tools: ToolBox, sqlite_db: Database, conversation: Conversation
) -> None:
    said = {"name": "zip_code", "value": "30093", "heard_as": "30093"}
    await run(tools, "save_field", **said)
    answer = await run(tools, "confirm_field", name="zip_code", confirmed=True)
    assert answer["confirmed"] is True and "zip_code" not in answer["missing"]
    assert (await run(tools, "save_field", **said))["confirm"] is False
    other = {**said, "value": "30092"}
    assert (await run(tools, "save_field", **other))["confirm"] is True
    assert (await kept(sqlite_db, conversation))["zip_code"] == "30092"


async def test_a_denied_value_is_taken_back(
    tools: ToolBox, sqlite_db: Database, conversation: Conversation
) -> None:
    await run(tools, "save_field", name="zip_code", value="30093", heard_as="30093")
    answer = await run(tools, "confirm_field", name="zip_code", confirmed=False)
    assert "zip_code" in answer["missing"]
    assert "zip_code" not in await kept(sqlite_db, conversation)
    history = await rows(sqlite_db, conversation, "zip_code")
    assert [row.source for row in history] == [Source.TOOL, Source.CONFIRMED]


async def test_what_has_no_value_cannot_be_confirmed(
    tools: ToolBox, sqlite_db: Database, conversation: Conversation
) -> None:
    answer = await run(tools, "confirm_field", name="zip_code", confirmed=True)
    assert answer["saved"] is False
    assert "What is your ZIP code?" in answer["problem"]
    assert await rows(sqlite_db, conversation, "zip_code") == []


@pytest.mark.parametrize("reason", ["complete", "silence"])
async def test_end_call_ends_with_its_reason(tools: ToolBox, reason: str) -> None:
    output = await tools.run("end_call", json.dumps({"reason": reason}))
    assert output.ends == reason and not output.transfer


async def test_end_call_without_a_reason_ends_all_the_same(tools: ToolBox) -> None:
    assert (await tools.run("end_call", "{}")).ends == "complete"


async def test_nobody_is_there_to_be_put_through_to(tools: ToolBox) -> None:
    output = await tools.run("transfer_to_person", "{}")
    assert not output.transfer and output.ends is None
    assert "call back" in json.loads(output.output)["problem"]


BABBLE = [
    ("save_field", "{"),
    ("save_field", "[]"),
    ("save_field", "null"),
    ("save_field", '{"name": "shoe_size", "value": "9"}'),
    ("save_field", '{"name": null, "value": null}'),
    ("save_field", '{"value": "30093"}'),
    ("confirm_field", '{"name": "shoe_size", "confirmed": true}'),
    ("order_pizza", "{}"),
    ("", ""),
]


@pytest.mark.parametrize(("name", "arguments"), BABBLE)
async def test_babble_is_answered_in_words_and_changes_nothing(
    tools: ToolBox, sqlite_db: Database, conversation: Conversation, name: str, arguments: str
) -> None:
    output = await tools.run(name, arguments)
    answer = json.loads(output.output)
    assert answer["saved"] is False and answer["problem"]
    assert output.ends is None and not output.transfer
    assert await kept(sqlite_db, conversation) == {"phone": JOHN}


@pytest.mark.parametrize("value", ["30093", 30093])
async def test_a_number_is_a_text_as_well(tools: ToolBox, value: Any) -> None:
    answer = await run(tools, "save_field", name="zip_code", value=value, heard_as="30093")
    assert answer["saved"] is True and answer["value"] == "30093"


NO_VALUES = [True, None, ["John Doe"], {"full": "John Doe"}, "", " ", "\x00", "9" * 100_000]


@pytest.mark.parametrize("value", NO_VALUES, ids=range(len(NO_VALUES)))
@pytest.mark.parametrize("name", ["full_name", "zip_code", "vehicle_model"])
async def test_what_is_no_answer_is_not_saved(tools: ToolBox, name: str, value: Any) -> None:
    answer = await run(tools, "save_field", name=name, value=value, heard_as=value)
    assert answer["saved"] is False and answer["problem"]


async def test_a_confirmation_must_be_true_to_count(
    tools: ToolBox, sqlite_db: Database, conversation: Conversation
) -> None:
    await run(tools, "save_field", name="zip_code", value="30093", heard_as="30093")
    answer = await run(tools, "confirm_field", name="zip_code", confirmed="yes")
    assert answer["confirmed"] is False
