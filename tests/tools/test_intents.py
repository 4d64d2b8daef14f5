"""`python -m tools.intents`: the figures are right, and show what was got wrong."""

import json
from pathlib import Path

import pytest

from tools import intents


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """A file in which two are found, one is missed and one is found wrongly."""
    texts = {
        "let me speak to a person": ["handoff"],
        "agent please": ["handoff", "greet"],
        "this is so annoying": ["handoff"],
        "connect me to the spa": ["spa"],
        "two nights please": [],
    }
    path = tmp_path / "labelled.json"
    rows = [{"text": text, "intents": labels} for text, labels in texts.items()]
    path.write_text(json.dumps({"utterances": rows}), encoding="utf-8")
    return path


def test_the_figures_are_printed(labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    intents.main([str(labelled), "--intent", "handoff"])
    out = capsys.readouterr().out
    assert out == "handoff: precision 0.67, recall 0.67, F1 0.67 (5 sentences)\n"


def test_what_was_got_wrong_is_shown(labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    intents.main([str(labelled), "--show"])
    lines = capsys.readouterr().out.splitlines()[1:]
    assert lines == ["  wrong   connect me to the spa", "  missed  this is so annoying"]


def test_nothing_found_and_nothing_there_is_no_division_by_zero() -> None:
    nothing = intents.score([{"text": "hello", "intents": []}], "handoff")
    assert (nothing.precision, nothing.recall, nothing.f1) == (0, 0, 0)


def test_an_intent_without_rules_is_refused(labelled: Path) -> None:
    with pytest.raises(SystemExit):
        intents.main([str(labelled), "--intent", "spa"])
