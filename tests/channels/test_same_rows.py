"""A lead that came in writing has the same rows as one that called, also when it is refused."""

import asyncio
from functools import partial
from pathlib import Path

import pytest
from sqlmodel import SQLModel
from typer.testing import CliRunner

from ivr.cli.leads import failed_app
from ivr.db.tables import (
    Conversation,
    FailedLead,
    FieldValue,
    Lead,
    Submission,
    SubmissionAttempt,
    SucceededLead,
)
from tests.calls.world import NPA_PASSWORD
from tests.channels.world import ANSWERS, BUSINESS, World, world
from tests.leads.cast import LEAD, TALK, call, finish, road_of, rows, save, until
from tools.emulators.npa import NpaEmulator
from tools.emulators.twilio.texter import Texter

ROWS: tuple[type[SQLModel], ...] = (Lead, Submission, SubmissionAttempt, SucceededLead, FailedLead)


async def test_a_text_leaves_the_rows_of_a_call(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        john = w.texter()
        for words in ANSWERS:
            await w.reply_to(john, words)
        await w.submitted()
        by_text = {table.__name__: await rows(w.db, table) for table in ROWS}
        known = {row.name for row in await rows(w.db, FieldValue) if row.value}
        async with NpaEmulator(username="buyer", password="secret") as npa:
            conversation = await call(w.db, TALK, caller="+17705550199", sid="CA9")
            await save(w.db, conversation, LEAD)
            async with road_of(w.db, npa, executor_id="other") as road:
                await finish(road, w.db, conversation)
        both = {table.__name__: await rows(w.db, table) for table in ROWS}

    assert known == set(LEAD)
    for name, texts in by_text.items():
        assert len(both[name]) == 2 * len(texts), name
    text, voice = both["SucceededLead"]
    assert text.lead_data == voice.lead_data == LEAD
    assert (text.channel, voice.channel) == ("sms", "voice")
    ours, theirs = (lead.model_dump() for lead in both["Lead"])
    assert {key: ours[key] for key in ("stage", "lifecycle", "status", "profile")} == {
        key: theirs[key] for key in ("stage", "lifecycle", "status", "profile")
    }


# Who tells it, on which channel, from which number.
DOORS = {
    "sms": "+17705550131",
    "whatsapp": "+17705550132",
    "missed_call": "+17705550133",
    "chat": "+17705550134",
    "live_chat": "+17705550135",
    "web_form": "+17705550136",
}


async def test_refused_leads_of_all_doors_fail_visibly_and_go_out_when_retried(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with world(database_url, npa_api_password="wrong") as w:
        await asyncio.gather(*(tell_all(w, door, number) for door, number in DOORS.items()))

        async def have_failed() -> bool:
            return len(await rows(w.db, FailedLead)) == len(DOORS)

        await until(have_failed)
        await w.stop()
        failed = await rows(w.db, FailedLead)
        monkeypatch.chdir(tmp_path)  # no .env of this machine
        for name in ("database_url", "npa_api_base_url", "npa_api_username"):
            monkeypatch.setenv(name.upper(), str(getattr(w.settings, name)))
        monkeypatch.setenv("NPA_API_PASSWORD", NPA_PASSWORD)
        retry = partial(asyncio.to_thread, CliRunner().invoke, failed_app)
        statuses = [(await retry(["retry", str(row.id)])).exit_code for row in failed]
        succeeded = await rows(w.db, SucceededLead)
        left = [row for row in await rows(w.db, FailedLead) if not row.resolved]
        came = {row.channel for row in await rows(w.db, Conversation)}

    by_sms = {"missed_call": "sms"}  # they are asked by SMS
    assert came == set(DOORS) and statuses == [0] * len(DOORS) and left == []
    assert all("Unauthorized" in row.error_message for row in failed)
    wanted = sorted((by_sms.get(door, door), number) for door, number in DOORS.items())
    for table in (failed, succeeded):
        assert sorted((row.channel, row.lead_data["phone"]) for row in table) == wanted
        assert all(row.lead_data == {**LEAD, "phone": row.lead_data["phone"]} for row in table)


async def tell_all(w: World, door: str, number: str) -> None:
    """Tell everything that is wanted, through one door."""
    in_writing = (*ANSWERS[:3], number, *ANSWERS[4:])
    match door:
        case "chat":
            for words in in_writing:
                await w.chat(words, session_id=number)
        case "live_chat":
            for words in in_writing:
                await post(w, "live-chat", message=words, session_id=number)
        case "web_form":
            typed = {"name": LEAD["full_name"], **LEAD, "phone": number}
            await post(w, "web-form", **typed)
        case "missed_call":
            await post(w, "missed-call", phone=number, called=BUSINESS)
            await answer(w.texter(number), w, ANSWERS[1:])
        case _:
            await answer(w.texter(number, whatsapp=door == "whatsapp"), w, ANSWERS)


async def post(w: World, door: str, **body: str) -> None:
    """Have a web site tell something."""
    response = await w.http.post(f"/webhooks/{door}", json=body)
    assert response.status_code == 200, response.text


async def answer(texter: Texter, w: World, answers: tuple[str, ...]) -> None:
    """Write these messages, each when the one before is answered."""
    for words in answers:
        await w.reply_to(texter, words)
