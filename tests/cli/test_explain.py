"""`ivr explain CALLSID`: the five questions of the owner's troubleshooting page, and the rest."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ivr import conversations
from ivr.conversations import Said, write_turn
from ivr.db.tables import Role, Source, SubmissionState, utc_now
from ivr.leads import values
from ivr.leads.extraction import Extraction, Request
from ivr.voice import line
from tests.cli.conftest import JOHN, House, Terminal

# What is told does not depend on the database; that it can be read on both, `test_leads` shows.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

READ_BY_A_MODEL = Extraction(
    by="model",
    disputed={"vehicle_model": ["MT-07", "MT-09"]},
    requests=[
        Request(provider="openai", model="gpt-6-luna", prompt="1", problem="not JSON"),
        Request(
            provider="openai",
            model="gpt-6-luna",
            prompt="2",
            input_tokens=812,
            output_tokens=90,
        ),
    ],
)


async def story(terminal: Terminal, sid: str) -> dict[str, Any]:
    answer = await terminal.run("explain", sid, "--json")
    assert answer.code == 0, answer.err
    told: dict[str, Any] = json.loads(answer.out)
    return told


def checks(told: dict[str, Any]) -> dict[str, bool]:
    return {check["id"]: check["ok"] for check in told["checks"]}


async def test_a_call_that_went_well_passes_the_five_checks(
    house: House, terminal: Terminal
) -> None:
    await house.lead("CA1")
    told = await story(terminal, "CA1")
    assert checks(told) == dict.fromkeys(
        ("goodbye", "extraction", "transcript", "fields", "saved"), True
    )
    assert told["next"] == ["Nothing: NPA has the lead."]
    out = (await terminal.run("explain", "CA1")).out
    assert out.count("✔") == 5
    assert "✔  saved?                 succeeded_leads, id 1" in out


async def test_an_early_hang_up_shows_what_was_not_reached(
    house: House, terminal: Terminal
) -> None:
    call = await house.call("CA1", known={"full_name": "John Doe"})
    await house.send(await house.conclude(call, reason="caller_hung_up"))
    told = await story(terminal, "CA1")
    assert checks(told)["goodbye"] is False
    assert checks(told)["fields"] is False
    assert told["missing"] == ["zip_code", "vehicle_year", "vehicle_make", "vehicle_model"]
    assert "no: the caller hung up" in (await terminal.run("explain", "CA1")).out


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("incomplete", "yes: the assistant said goodbye with something missing"),
        ("silence", "yes: goodbye, nobody spoke any more"),
        ("length_cap", "yes: goodbye, the call reached its longest time"),
        ("transfer", "yes: handed to a person"),
    ],
)
async def test_an_end_that_the_log_calls_a_goodbye_is_one(
    house: House, terminal: Terminal, reason: str, words: str
) -> None:
    await house.conclude(await house.call("CA1"), reason=reason)
    (check,) = (row for row in (await story(terminal, "CA1"))["checks"] if row["id"] == "goodbye")
    assert (check["ok"], check["answer"]) == (True, words)


async def test_a_profile_of_ones_own_says_what_is_missing(
    house: House, terminal: Terminal, tmp_path: Path
) -> None:
    await house.use_own_profile(tmp_path / "mine.toml")
    call = await house.call("CA1", known={"full_name": "John Doe"})
    await house.conclude(call, reason="caller_hung_up")
    told = await story(terminal, "CA1")
    assert told["missing"] == ["zip_code", "vehicle_year", "vehicle_make", "vehicle_model"]
    assert list(told["fields"]) == list(JOHN)


async def test_a_call_is_told_though_its_profile_is_gone(
    house: House, terminal: Terminal, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    await house.use_own_profile(path)
    await house.lead("CA1")
    path.unlink()
    told = await story(terminal, "CA1")
    assert told["fields"]["full_name"]["value"] == "John Doe"
    assert checks(told)["fields"] is False
    out = (await terminal.run("explain", "CA1")).out
    assert "6; what is required is not known: no profile 'mine'" in out


async def test_every_value_says_where_it_comes_from(house: House, terminal: Terminal) -> None:
    call = await house.call("CA1")
    async with house.db.write() as session:
        await values.add(
            session,
            call,
            name="zip_code",
            value=None,
            raw="99501",
            source=Source.TOOL,
            problem="that ZIP is in Alaska, which we do not serve",
            now=utc_now(),
        )
    told = await story(terminal, "CA1")
    assert told["fields"]["phone"] == {
        "value": "+17705550123",
        "source": "confirmed",
        "quote": "it is +17705550123",
        "tries": 0,
    }
    assert told["fields"]["zip_code"]["tries"] == 2
    out = (await terminal.run("explain", "CA1")).out
    assert "confirmed aloud" in out
    assert 'refused "99501": that ZIP is in Alaska, which we do not serve' in out


async def test_a_cut_answer_is_marked_with_what_was_heard(house: House, terminal: Terminal) -> None:
    call = await house.call("CA1")
    async with house.db.write() as session:
        said = Said("cut", 99, Role.ASSISTANT, "And which", utc_now(), cut=True, heard_ms=1234)
        await write_turn(session, call, said)
    assert "And which [cut off, 1.2 s were heard]" in (await terminal.run("explain", "CA1")).out


async def test_extraction_shows_prompts_cost_and_disagreement(
    house: House, terminal: Terminal
) -> None:
    known = {name: value for name, value in JOHN.items() if name != "vehicle_model"}
    await house.conclude(await house.call("CA1", known=known), READ_BY_A_MODEL)
    out = (await terminal.run("explain", "CA1")).out
    assert "yes: by a model, 2 requests" in out
    assert "in all $0.000126" in out
    assert "not JSON" in out
    assert "disagreement on vehicle_model: MT-07 / MT-09" in out
    told = await story(terminal, "CA1")
    assert told["cost"] == {"tokens": 902, "cost_micros": 126, "unpriced": 0, "usd": "0.000126"}
    assert [(row["purpose"], row["cost_micros"]) for row in told["costs"]] == [("extract", 126)]
    assert "`ivr review decide 1 vehicle_model=...`" in told["next"][-1]


async def test_a_refused_lead_names_the_command_that_sends_it_again(
    house: House, terminal: Terminal
) -> None:
    house.npa.password = "changed"
    await house.lead("CA1")
    told = await story(terminal, "CA1")
    assert "`python manage_failed_leads.py retry 1`" in told["next"][0]
    assert [attempt["error"] for attempt in told["attempts"]] == ["NPA API error: Unauthorized"]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"state": SubmissionState.AMBIGUOUS}, "retry 1 --force"),
        ({"state": SubmissionState.IN_FLIGHT}, "under way"),
        ({"state": SubmissionState.RESOLVED}, "closed it"),
        ({"state": SubmissionState.PENDING, "next_attempt_at": None}, "first attempt is due"),
    ],
)
async def test_what_happens_next_follows_the_state(
    house: House, terminal: Terminal, columns: dict[str, Any], words: str
) -> None:
    house.npa.password = "changed"
    await house.lead("CA1")
    await house.change_submission(**columns)
    assert words in (await story(terminal, "CA1"))["next"][0]


async def test_a_waiting_retry_says_when(house: House, terminal: Terminal) -> None:
    house.npa.faults.status = 503
    await house.lead("CA1")
    await house.change_submission(next_attempt_at=utc_now() + timedelta(minutes=10, seconds=30))
    (step,) = (await story(terminal, "CA1"))["next"]
    assert step.startswith("The next attempt is at ")
    assert "in 10 min" in step


async def test_a_call_that_goes_on_is_told_as_such(house: House, terminal: Terminal) -> None:
    await house.call("CA1")
    told = await story(terminal, "CA1")
    assert checks(told) == {
        "goodbye": False,
        "extraction": False,
        "transcript": True,
        "fields": True,
        "saved": True,
    }
    assert told["next"][0].startswith("The call is still open")


async def test_a_call_without_a_number_is_held_for_an_operator(
    house: House, terminal: Terminal
) -> None:
    await house.conclude(await house.call("CA1", caller=None, known={}), reason="caller_hung_up")
    told = await story(terminal, "CA1")
    assert checks(told)["transcript"] is False
    assert "no phone number is known" in told["next"][0]
    assert "nobody said a word" in (await terminal.run("explain", "CA1")).out


async def test_a_conversation_is_also_explained_by_the_id_that_the_api_shows(
    house: House, terminal: Terminal
) -> None:
    conversation = await house.call("CA1")
    assert await story(terminal, str(conversation.id)) == await story(terminal, "CA1")


async def test_an_unknown_call_names_the_latest_five(house: House, terminal: Terminal) -> None:
    empty = await terminal.run("explain", "CA9")
    assert (empty.code, empty.err) == (1, "no call CA9: nobody has called yet\n")
    for number in range(6):
        await house.call(f"CA{number}", ago=timedelta(hours=6 - number))
    answer = await terminal.run("explain", "CA9")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == "no call CA9; the latest are CA5, CA4, CA3, CA2, CA1\n"


async def test_a_phone_call_that_twilio_has_not_said_to_be_over_is_shown(
    house: House, terminal: Terminal
) -> None:
    call = await house.call("CA1")
    assert "Twilio is asked at" in (await terminal.run("explain", "CA1")).out
    async with house.db.write() as session:
        row = await conversations.by_id(session, call.id)
        row.line_due_at = None
    assert "look for it there" in (await terminal.run("explain", "CA1")).out
    async with house.db.write() as session:
        await line.closed(session, call, {}, now=utc_now(), longest=timedelta(hours=1))
    assert "Twilio" not in (await terminal.run("explain", "CA1")).out
