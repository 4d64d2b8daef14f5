"""The finished transcript is read by a model, by the rules or by a person; the owner's logs."""

import re
from dataclasses import replace
from typing import Any

import pytest

from tests.calls.conftest import Log
from tests.calls.world import read_books, short, whole_call, world
from tools.call_page import Page

# Nothing is saved in the call: all depends on the reading.
SCENARIO = short()
UNSAVED = replace(SCENARIO, turns=tuple(replace(turn, calls=()) for turn in SCENARIO.turns))


def lead_of(page: Page) -> dict[str, Any]:
    assert page.succeeded is not None
    return page.succeeded.lead_data


async def test_what_no_tool_saved_is_read_from_the_transcript(database_url: str) -> None:
    async with world(database_url, scenario=UNSAVED) as w:
        _, page = await whole_call(w)
        requests = w.openai.requests.of("POST /v1/chat/completions")
    assert lead_of(page)["full_name"] == "John Doe"
    assert lead_of(page)["zip_code"] == "30093"
    assert {value.source for value in page.values if value.name == "zip_code"} == {"extracted"}
    assert len(requests) == 2, "two runs must agree"
    for request in requests:
        body = request["body"]
        assert body["response_format"]["type"] == "json_schema"
        assert body["response_format"]["json_schema"]["strict"] is True
        assert body["temperature"] == 0


async def test_two_readings_that_disagree_are_a_question_to_a_person(database_url: str) -> None:
    async with world(database_url, scenario=UNSAVED) as w:
        w.openai.extractions.extend(
            [{"full_name": "John Doe", "zip_code": "30093"}]
            + [{"full_name": "John Doe", "zip_code": "30039"}]
        )
        _, page = await whole_call(w)
    assert lead_of(page)["full_name"] == "John Doe"
    assert lead_of(page)["zip_code"] is None
    (item,) = (await read_books(database_url)).reviews
    assert item.kind == "extraction"
    assert "30093" in str(item.detail) and "30039" in str(item.detail)


async def test_what_the_caller_gave_in_the_call_beats_any_reading(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        wrong = {"full_name": "Jane Roe", "zip_code": "10001"}
        w.openai.extractions.extend([wrong, wrong])
        _, page = await whole_call(w)
    assert lead_of(page)["full_name"] == "John Doe"
    assert lead_of(page)["zip_code"] == "30093"


@pytest.mark.parametrize("fault", ["down", "hangs", "refusal", "garbage", "length"])
async def test_without_a_usable_reading_the_rules_read(sqlite_url: str, fault: str) -> None:
    seconds = 0.3 if fault == "hangs" else 30.0
    async with world(sqlite_url, scenario=UNSAVED, extraction_timeout_seconds=seconds) as w:
        if fault == "down":
            w.openai.faults.rest_status = 500
        elif fault == "hangs":
            w.openai.faults.rest_hangs = True
        else:
            w.openai.extractions.extend([fault] * 8)  # type: ignore[list-item]  # one of Extraction
        _, page = await whole_call(w)
    assert lead_of(page)["zip_code"] == "30093"
    assert {value.source for value in page.values if value.name == "zip_code"} == {"inferred"}


async def test_one_bad_answer_is_asked_for_again_in_other_words(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=UNSAVED, extraction_runs=1) as w:
        w.openai.extractions.append("garbage")
        _, page = await whole_call(w)
        requests = w.openai.requests.of("POST /v1/chat/completions")
    assert lead_of(page)["zip_code"] == "30093"
    assert len(requests) == 2
    assert requests[0]["body"]["messages"] != requests[1]["body"]["messages"]


MARKERS = [
    "=== GOODBYE MESSAGE DETECTED - CALL COMPLETE ===",
    "=== EXTRACTING LEAD DATA FROM CONVERSATION ===",
    "=== CONVERSATION TEXT:",
    "=== EXTRACTED LEAD DATA: {",
    "=== LEAD SUBMITTED SUCCESSFULLY ===",
]
PERSONAL = ["John Doe", "30093", "7705550123"]


@pytest.mark.parametrize("log_pii", [False, True])
async def test_the_owners_marker_lines_are_logged(sqlite_url: str, log: Log, log_pii: bool) -> None:
    async with world(sqlite_url, scenario=SCENARIO, log_pii=log_pii) as w:
        await whole_call(w)
    text = log()
    positions = [text.find(marker) for marker in MARKERS]
    assert -1 not in positions and positions == sorted(positions)
    assert [word in text for word in PERSONAL] == [log_pii] * len(PERSONAL)
    assert re.search(r"^assistant: ", text, re.MULTILINE) and re.search(r"^user: ", text, re.M)
    assert "a-twilio-auth-token" not in text and "sk-emulated" not in text


async def test_what_failed_and_what_is_missing_is_logged(sqlite_url: str, log: Log) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        w.npa.password = "another"
        w.openai.faults.rest_status = 500
        await whole_call(w)
    text = log()
    assert "=== LEAD SUBMISSION FAILED: NPA API error: Unauthorized ===" in text
    assert "ERROR IN LEAD EXTRACTION" in text
    missing = re.findall(r"required field missing.*field=(\w+)", text)
    assert missing == ["vehicle_year", "vehicle_make", "vehicle_model"]
    assert "another" not in text
