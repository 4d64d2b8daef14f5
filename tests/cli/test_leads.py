"""`ivr leads` and its two short doors, on rows that the lead road made, with a real buyer's API."""

import asyncio
import csv
import io
import json
import os
import pty
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from ivr.db.tables import FailedLead, Lead, Submission, SubmissionState, utc_now
from ivr.leads.progress import stages
from ivr.leads.progress.lifecycle import Mover
from tests.cli.conftest import JOHN, House, Terminal

ROOT = Path(__file__).parent.parent.parent
WITHOUT_MODEL = {name: value for name, value in JOHN.items() if name != "vehicle_model"}


async def refused(house: House, sid: str = "CA1", **options: object) -> None:
    """Take a call whose lead the buyer refuses."""
    house.npa.password = "changed-at-the-buyer"
    await house.lead(sid, **options)
    house.npa.password = "right-password"


# The list


async def test_the_list_says_who_it_was_what_is_missing_and_what_went_wrong(
    house: House, terminal: Terminal
) -> None:
    await refused(house, known=WITHOUT_MODEL)
    answer = await terminal.run("leads", "list")
    (line,) = answer.out.splitlines()[1:]
    assert answer.code == 0
    for words in ("John Doe", "+1 770-555-0123", "vehicle_model", "NPA API error: Unauthorized"):
        assert words in line
    assert "waits for you" in line


async def test_json_has_the_owners_columns(house: House, terminal: Terminal) -> None:
    await refused(house, known=WITHOUT_MODEL)
    (lead,) = json.loads((await terminal.run("leads", "list", "--json")).out)
    assert lead["lead_data"] == {**WITHOUT_MODEL, "vehicle_model": None}
    assert lead["error_message"] == "NPA API error: Unauthorized"
    assert (lead["channel"], lead["call"], lead["retry_count"]) == ("voice", "CA1", 0)
    assert (lead["missing"], lead["state"], lead["resolved"]) == (
        ["vehicle_model"],
        "failed",
        False,
    )
    assert lead["created_at"].endswith("Z")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_profile_of_ones_own_says_what_is_missing(
    house: House, terminal: Terminal, tmp_path: Path
) -> None:
    await house.use_own_profile(tmp_path / "mine.toml")
    await refused(house, known=WITHOUT_MODEL)
    (lead,) = json.loads((await terminal.run("leads", "list", "--json")).out)
    assert lead["missing"] == ["vehicle_model"]
    assert "vehicle_model  missing" in (await terminal.run("leads", "show", "1")).out


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_leads_are_shown_though_their_profile_is_gone(
    house: House, terminal: Terminal, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    await house.use_own_profile(path)
    await house.lead("CA1")
    path.unlink()
    answer = await terminal.run("leads", "succeeded")
    assert answer.code == 0
    (line,) = answer.out.splitlines()[1:]
    for words in ("John Doe", "+1 770-555-0123", "30093 2020 Yamaha MT-07"):
        assert words in line


async def test_a_scheduled_retry_is_told(house: House, terminal: Terminal) -> None:
    house.npa.faults.status = 503
    await house.lead("CA1")
    await house.change_submission(next_attempt_at=utc_now() + timedelta(hours=5, minutes=30))
    assert "next in 5 h" in (await terminal.run("leads", "list")).out
    await house.change_submission(next_attempt_at=utc_now() - timedelta(minutes=1))
    assert "now due" in (await terminal.run("leads", "list")).out


async def test_an_empty_list_says_where_to_look(house: House, terminal: Terminal) -> None:
    answer = await terminal.run("leads", "list")
    assert answer.out == ("no failed leads; `view_succeeded_leads.py` shows the delivered ones\n")
    assert json.loads((await terminal.run("leads", "list", "--json")).out) == []


async def test_a_closed_lead_is_listed_only_with_all(house: House, terminal: Terminal) -> None:
    await refused(house)
    await terminal.run("leads", "resolve", "1", "--note", "sold already")
    assert "no failed leads" in (await terminal.run("leads", "list")).out
    (lead,) = json.loads((await terminal.run("leads", "list", "--all", "--json")).out)
    assert lead["resolution"] == "sold already"


async def test_what_a_caller_said_cannot_command_the_terminal(
    house: House, terminal: Terminal
) -> None:
    await refused(house, known={**JOHN, "full_name": "\x1b[2J[red]Eve[/red]\nSmith"})
    out = (await terminal.run("leads", "list")).out
    assert "\x1b" not in out
    assert "[red]Eve[/red]" in out


async def test_show_tells_everything_about_one_lead(house: House, terminal: Terminal) -> None:
    await refused(house, known=WITHOUT_MODEL)
    out = (await terminal.run("leads", "show", "1")).out
    assert "vehicle_model  missing" in out
    assert "ivr explain CA1" in out
    assert json.loads((await terminal.run("leads", "show", "1", "--json")).out)["id"] == 1


# Sending again


async def test_a_retry_after_the_cause_is_mended_delivers_once(
    house: House, terminal: Terminal
) -> None:
    await refused(house)
    first = await terminal.run("leads", "retry", "1")
    second = await terminal.run("leads", "retry", "1")
    assert (first.code, first.out) == (0, "failed lead 1 submitted\n")
    assert second.code == 1
    assert second.err.startswith("failed lead 1 was already submitted")
    assert [lead["firstName"] for lead in house.npa.leads] == ["John"]


async def test_a_retry_that_is_refused_again_fails_with_the_buyers_words(
    house: House, terminal: Terminal
) -> None:
    await refused(house)
    house.npa.password = "still-another"
    answer = await terminal.run("leads", "retry", "1")
    assert answer.code == 1
    assert "failed lead 1: NPA API error: Unauthorized" in answer.err
    assert answer.out == ""
    as_json = await terminal.run("leads", "retry", "1", "--json")
    assert as_json.code == 1
    assert json.loads(as_json.out)["state"] == "failed"


async def test_two_operators_who_retry_at_once_send_one_lead(
    house: House, terminal: Terminal
) -> None:
    await refused(house)
    command = [sys.executable, "-m", "ivr.cli", "leads", "retry", "1"]
    house.npa.faults.slow_s = 0.2
    both = [
        await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    ended = [await process.communicate() for process in both]
    assert sorted(process.returncode or 0 for process in both) == [0, 1], ended
    assert len(house.npa.leads) == 1


async def test_a_lead_that_may_have_arrived_needs_force(house: House, terminal: Terminal) -> None:
    house.npa.faults.drop_after, house.npa.faults.times = True, 1
    await house.lead("CA1")
    answer = await terminal.run("leads", "retry", "1")
    assert answer.code == 1
    assert "may have been taken" in answer.err
    assert len(house.npa.leads) == 1
    assert (await terminal.run("leads", "retry", "1", "--force")).code == 0
    assert len(house.npa.leads) == 2


async def test_retry_all_sends_what_may_go_and_names_the_rest(
    house: House, terminal: Terminal
) -> None:
    await refused(house, "CA1")
    await refused(house, "CA2", caller="+14045550188", known={"phone": "+14045550188"})
    await house.conclude(await house.call("CA3", caller=None, known={}))
    answer = await terminal.run("leads", "retry-all")
    assert answer.code == 0
    assert answer.out.splitlines()[-1] == "2 submitted, 0 not taken, 1 left alone"
    assert answer.err == "failed lead 3 left alone: needs `retry 3 --force`\n"
    assert len(house.npa.leads) == 2


async def lost(house: House) -> None:
    """Have staff find that the only lead is none."""
    async with house.db.write() as session:
        lead = (await session.exec(select(Lead))).one()
        words = {"actor": "Sarah", "reason": "a dealer", "now": utc_now()}
        await stages.disqualify(session, lead, house.profile, by=Mover.STAFF, **words)


async def test_a_lead_that_does_not_fit_is_sent_with_force_only(
    house: House, terminal: Terminal
) -> None:
    await refused(house)
    await lost(house)
    answer = await terminal.run("leads", "retry", "1")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == (
        "failed lead 1 is held back: not submitted: the lead does not fit: a dealer."
        " --force sends it as it is\n"
    )
    assert house.npa.leads == []
    assert (await terminal.run("leads", "retry", "1", "--force")).code == 0
    assert len(house.npa.leads) == 1


async def test_retry_all_leaves_alone_who_does_not_fit_and_says_so(
    house: House, terminal: Terminal
) -> None:
    await refused(house)
    await lost(house)
    answer = await terminal.run("leads", "retry-all")
    assert (answer.code, answer.out) == (0, "0 submitted, 0 not taken, 1 left alone\n")
    assert answer.err == (
        "failed lead 1 left alone: it is held back: not submitted: the lead does not fit: a dealer."
        " --force sends it as it is\n"
    )
    assert house.npa.leads == []


async def test_retry_all_fails_when_one_is_refused(house: House, terminal: Terminal) -> None:
    await refused(house)
    house.npa.password = "still-another"
    answer = await terminal.run("leads", "retry-all", "--json")
    assert answer.code == 1
    assert [result["state"] for result in json.loads(answer.out)] == ["failed"]


async def test_resolve_closes_a_lead_without_sending(house: House, terminal: Terminal) -> None:
    await refused(house)
    answer = await terminal.run("leads", "resolve", "1", "--note", "called back by hand")
    assert (answer.code, answer.out) == (0, "failed lead 1 closed: called back by hand\n")
    async with house.db.read() as session:
        row = (await session.exec(select(FailedLead))).one()
        submission = (await session.exec(select(Submission))).one()
    assert (row.resolved, row.resolution) == (True, "called back by hand")
    assert submission.state == SubmissionState.RESOLVED
    assert (await terminal.run("leads", "retry", "1")).code == 1
    assert house.npa.leads == []


@pytest.mark.parametrize("words", [("show",), ("retry",), ("resolve", "--note", "x")])
async def test_an_unknown_lead_is_named(
    house: House, terminal: Terminal, words: tuple[str, ...]
) -> None:
    answer = await terminal.run("leads", words[0], "42", *words[1:])
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == "failed lead 42 not found; `list` shows the open ones\n"


# What was delivered


async def test_delivered_leads_come_newest_first_with_the_buyers_number(
    house: House, terminal: Terminal
) -> None:
    await house.lead("CA1")
    await house.lead("CA2", caller="+14045550188", known={"phone": "+14045550188"})
    found = json.loads((await terminal.run("leads", "succeeded", "--json")).out)
    assert [lead["call"] for lead in found] == ["CA2", "CA1"]
    assert found[1]["lead_data"] == JOHN
    lines = (await terminal.run("leads", "succeeded")).out.splitlines()
    assert "30093 2020 Yamaha MT-07" in lines[2]
    assert f"record {found[1]['npa_response']['recordID']}" in lines[2]


async def test_since_and_channel_narrow_the_list(house: House, terminal: Terminal) -> None:
    await house.lead("CA1")
    for words in (("--since", "24h"), ("--since", "7D"), ("--channel", "voice")):
        assert "John Doe" in (await terminal.run("leads", "succeeded", *words)).out
    other = await terminal.run("leads", "succeeded", "--channel", "sms")
    assert "no delivered leads match" in other.out


@pytest.mark.parametrize("period", ["yesterday", "24", "h", "-1d", "24 hours", "999999d", ""])
def test_a_bad_period_is_refused_before_anything_is_opened(terminal: Terminal, period: str) -> None:
    answer = terminal.run_now("leads", "succeeded", "--since", period)
    assert answer.code == 1
    assert answer.err == "--since: expected a number and h or d, like 24h or 7d\n"


async def test_csv_has_one_column_for_each_field_and_runs_nothing(
    house: House, terminal: Terminal
) -> None:
    await house.lead("CA1", known={**JOHN, "vehicle_model": '=HYPERLINK("evil"),x'})
    out = (await terminal.run("leads", "succeeded", "--export", "csv")).out
    (row,) = csv.DictReader(io.StringIO(out))
    assert (row["full_name"], row["phone"], row["call"]) == ("John Doe", "+17705550123", "CA1")
    assert row["vehicle_model"] == '\'=HYPERLINK("evil"),x'


async def test_an_empty_csv_has_its_head(house: House, terminal: Terminal) -> None:
    out = (await terminal.run("leads", "succeeded", "--export", "csv")).out
    assert out == "id,submitted_at,channel,session_id,call,npa_response\n"
    refused_export = await terminal.run("leads", "succeeded", "--export", "xml")
    assert refused_export.err == "--export: expected csv or json\n"


# The doors


def run_script(name: str, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / name), *words]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [("manage_failed_leads.py", ["list"]), ("view_succeeded_leads.py", [])],
)
def test_a_script_makes_no_database_by_mistake(
    terminal: Terminal, tmp_path: Path, name: str, words: list[str]
) -> None:
    answer = run_script(name, *words, folder=tmp_path)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr == (
        "no database at ./nps_ivr.db: has the server run here? DATABASE_URL says where it lies\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_list_fits_a_narrow_terminal(
    house: House, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await refused(house, known={**WITHOUT_MODEL, "full_name": "Maria del Carmen Rodriguez"})
    monkeypatch.setenv("COLUMNS", "80")
    out = await asyncio.to_thread(on_a_terminal, "leads", "list")
    assert max(map(len, out.splitlines())) <= 80
    assert "Maria del Carmen Rodriguez" in out
    assert "…" not in out


def on_a_terminal(*words: str) -> str:
    """Return what the command shows on a terminal without colours."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ivr.cli", *words]
    environ = {**os.environ, "NO_COLOR": "1", "TERM": "dumb"}
    with subprocess.Popen(command, cwd=ROOT, stdout=theirs, stderr=theirs, env=environ) as process:
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 65536):
                shown += chunk
        except OSError:  # the terminal is closed: the command has ended
            pass
        assert process.wait() == 0, shown
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")
