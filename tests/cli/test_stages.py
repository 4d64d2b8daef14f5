"""`ivr stages`: where the leads stand, for an operator."""

import json
from pathlib import Path

import httpx
import pytest

from ivr.db import Database
from ivr.db.tables import Conversation, Submission
from ivr.leads.delivery.submissions import Submissions
from ivr.leads.profile import load_profile
from tests.cli.conftest import House, Terminal
from tests.leads.cast import rows
from tests.leads.courses import AHMED, STAGES, centre, chat, lead_of, tell
from tests.leads.progress.test_exchange import SEED


@pytest.fixture
async def ahmed(
    terminal: Terminal, db: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Conversation:
    """A training centre to which Ahmed has written."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    conversation = await chat(db, await centre(db))
    await tell(db, conversation, **AHMED)
    return conversation


async def test_the_statistics_name_every_stage(ahmed: Conversation, terminal: Terminal) -> None:
    answer = await terminal.run("stages", "stats")
    lines = {line.split()[0]: line.split() for line in answer.out.splitlines()}
    assert lines.keys() >= set(STAGES)
    assert lines["GOAL_COLLECTED"][1] == "1"
    assert "1 leads, 0.0 % won; most stay behind in GOAL_COLLECTED" in answer.out
    found = json.loads((await terminal.run("stages", "stats", "--json")).out)
    assert found["by_stage"] == {**dict.fromkeys(STAGES, 0), "GOAL_COLLECTED": 1}
    assert (found["total_leads"], found["conversion_rate"]) == (1, 0.0)
    assert found["bottleneck"] == "GOAL_COLLECTED"


async def test_the_leads_of_a_stage_are_listed(ahmed: Conversation, terminal: Terminal) -> None:
    answer = await terminal.run("stages", "list", "GOAL_COLLECTED")
    for words in (str(ahmed.id), "Ahmed, +92 300 1234567, CTA, Graduate", "1 in GOAL_COLLECTED"):
        assert words in answer.out
    found = json.loads((await terminal.run("stages", "list", "GOAL_COLLECTED", "--json")).out)
    assert found["leads"][0]["conversation_id"] == str(ahmed.id)
    assert (await terminal.run("stages", "list", "LOST")).out == "0 in LOST\n"


async def test_one_conversation_shows_its_way(ahmed: Conversation, terminal: Terminal) -> None:
    answer = await terminal.run("stages", "show", str(ahmed.id))
    for words in ("NEW", "first contact by chat", "GOAL_COLLECTED", "fields known", "Ahmed"):
        assert words in answer.out
    found = json.loads((await terminal.run("stages", "show", str(ahmed.id), "--json")).out)
    assert (found["stage"], found["lead_data"]["name"]) == ("GOAL_COLLECTED", "Ahmed")
    assert [entry["stage"] for entry in found["stage_history"]] == ["NEW", "GOAL_COLLECTED"]


async def test_a_stage_is_set_with_its_reason_and_let_go_again(
    ahmed: Conversation, terminal: Terminal, db: Database
) -> None:
    answer = await terminal.run(
        "stages", "set", str(ahmed.id), "LOST", "--reason", "chose another school"
    )
    assert (answer.code, answer.out) == (0, f"{ahmed.id} stands in LOST\n")
    lead = await lead_of(db, ahmed)
    assert (lead.stage, lead.lost_reason) == ("LOST", "chose another school")
    answer = await terminal.run("stages", "release", str(ahmed.id))
    assert (answer.code, answer.out) == (0, f"{ahmed.id} stands in GOAL_COLLECTED\n")


async def test_a_lead_that_was_lost_by_mistake_goes_out_when_its_stage_is_let_go(
    house: House, terminal: Terminal
) -> None:
    submission_id = await house.conclude(await house.call("CA1"))
    assert (await terminal.run("stages", "set", "CA1", "LOST")).code == 0
    async with httpx.AsyncClient() as http:
        sender = Submissions(house.db, http, house.settings, load_profile)
        assert submission_id and await sender.first_attempt(submission_id) is None
        (held,) = await rows(house.db, Submission)
        assert held.state == "held"
        assert (await terminal.run("stages", "release", "CA1")).code == 0
        outcome = await sender.attempt(submission_id)
    assert outcome and outcome.state == "succeeded"


async def test_what_cannot_be_is_said_in_words(ahmed: Conversation, terminal: Terminal) -> None:
    answer = await terminal.run("stages", "set", str(ahmed.id), "WARM")
    assert (answer.code, answer.out) == (1, "")
    assert "valid are NEW, NAME_COLLECTED" in answer.err
    answer = await terminal.run("stages", "set", str(ahmed.id), "LOST", "--reason", " ")
    assert (answer.code, answer.err) == (1, "--reason: expected a few words\n")
    answer = await terminal.run("stages", "show", "nobody")
    assert (answer.code, answer.err) == (1, "no conversation nobody\n")
    answer = await terminal.run("stages", "stats", "--pipeline", "nothing")
    assert "pipeline: there is no 'nothing'" in answer.err
    answer = await terminal.run("stages", "import", "nothing.json")
    assert (answer.code, answer.err) == (1, "no file nothing.json\n")


async def test_an_old_file_goes_in_once_and_comes_out(
    ahmed: Conversation, terminal: Terminal, tmp_path: Path
) -> None:
    old, new = tmp_path / "conversations_metadata.json", tmp_path / "export.json"
    old.write_text(json.dumps(SEED), encoding="utf-8")
    first = await terminal.run("stages", "import", str(old))
    assert first.out == "1 conversations imported, 0 were here already\n"
    again = await terminal.run("stages", "import", str(old))
    assert again.out == "0 conversations imported, 1 were here already\n"
    answer = await terminal.run("stages", "export", str(new))
    assert answer.out == f"2 conversations written to {new}\n"
    found = json.loads(new.read_text(encoding="utf-8"))
    assert found.keys() == {"conversation-id-here", str(ahmed.id)}
    assert found["conversation-id-here"]["turns"] == SEED["conversation-id-here"]["turns"]


async def test_a_file_that_is_there_is_not_written_over(
    ahmed: Conversation, terminal: Terminal, tmp_path: Path
) -> None:
    path = tmp_path / "export.json"
    path.write_text("mine")
    answer = await terminal.run("stages", "export", str(path))
    assert (answer.code, path.read_text()) == (1, "mine")
    assert "cannot be written: File exists" in answer.err
