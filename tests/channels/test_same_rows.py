"""A lead that came by SMS has the same rows as one that called, also when the buyer refuses it."""

import asyncio
from pathlib import Path

import pytest
from sqlmodel import SQLModel
from typer.testing import CliRunner

from ivr.cli import main
from ivr.db.tables import FailedLead, FieldValue, Lead, Submission, SubmissionAttempt, SucceededLead
from tests.calls.world import NPA_PASSWORD
from tests.channels.world import ANSWERS, world
from tests.leads.cast import LEAD, TALK, call, finish, road_of, rows, save, until
from tools.emulators.npa import NpaEmulator

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


async def test_a_refused_lead_by_sms_fails_visibly_and_goes_out_when_retried(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with world(database_url, npa_api_password="wrong") as w:
        john = w.texter()
        for words in ANSWERS:
            await w.reply_to(john, words)

        async def has_failed() -> bool:
            return bool(await rows(w.db, FailedLead))

        await until(has_failed)
        await w.stop()
        (failed,) = await rows(w.db, FailedLead)
        monkeypatch.chdir(tmp_path)  # no .env of this machine
        for name in ("database_url", "npa_api_base_url", "npa_api_username"):
            monkeypatch.setenv(name.upper(), str(getattr(w.settings, name)))
        monkeypatch.setenv("NPA_API_PASSWORD", NPA_PASSWORD)
        command = ["leads", "retry", str(failed.id)]
        result = await asyncio.to_thread(CliRunner().invoke, main, command)
        (succeeded,) = await rows(w.db, SucceededLead)

    assert failed.channel == "sms" and "Unauthorized" in failed.error_message
    assert result.exit_code == 0 and succeeded.lead_data == LEAD
