"""The words of a call's story, against what the rest of the program can write in its rows."""

from typing import get_args

from ivr import conversations
from ivr.agent import acts, tool_schemas
from ivr.cli.story import ENDINGS, GOODBYES, SOURCES
from ivr.db.tables import Source
from ivr.voice.commands import EndReason


def test_every_reason_to_end_has_words_and_no_words_are_without_a_reason() -> None:
    said = {*tool_schemas.END_REASONS, *get_args(acts.EndReason), conversations.OPTED_OUT}
    assert set(ENDINGS) == {*EndReason, *said}
    assert all(ENDINGS.values())


def test_every_end_that_a_dialogue_decides_on_is_a_goodbye() -> None:
    assert {*tool_schemas.END_REASONS, *get_args(acts.EndReason)} <= GOODBYES


def test_every_source_has_words() -> None:
    assert set(SOURCES) == set(Source)
