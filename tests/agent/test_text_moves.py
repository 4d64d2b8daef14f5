"""A turn moves the lead once, whatever it brings and whoever answers."""

import pytest

from ivr.db import Database
from ivr.db.tables import Axis, Transition
from ivr.leads.profile import load_profile
from tests.agent.conftest import Begin
from tests.leads.cast import rows
from tools.emulators.openai import OpenAIEmulator, Say, save

COURSES = load_profile("courses")


@pytest.mark.parametrize("model", [False, True], ids=["rules", "model"])
async def test_all_that_one_message_brings_is_one_move(
    begin: Begin, openai: OpenAIEmulator, sqlite_db: Database, model: bool
) -> None:
    """S0.22, S0.31: a turn makes one transition at most, a jump is one entry."""
    if model:
        openai.steps.extend(
            [Say(calls=(save("name", "Ahmed"), save("selected_course", "CTA"))), Say("Your phone?")]
        )
    ahmed = await begin(COURSES, model=model)
    await ahmed.says("My name is Ahmed and I want to learn CTA")
    moves = [row for row in await rows(sqlite_db, Transition) if row.axis == Axis.STAGE]
    assert [row.to_value for row in sorted(moves, key=lambda row: row.seq)] == [
        "NEW",
        "COURSE_SELECTED",
    ]
