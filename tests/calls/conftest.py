"""What all tests of whole calls share: a schedule that does not make them wait."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from ivr import logs
from ivr.leads import conclusion, extraction, profile, road
from ivr.leads.delivery import submissions
from ivr.voice import call, session
from tests.calls.transfers import PERSON

Log = Callable[[], str]
Limit = Callable[..., None]


@pytest.fixture(autouse=True)
def eager_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for finished conversations often: the second between two looks is for big machines."""
    monkeypatch.setattr(road, "SCHEDULE_SECONDS", 0.2)


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Limit:
    """Shorten what a call waits for; the keywords are those of `ivr.voice.script.Limits`."""
    real = session.limits

    def shorten(**changes: Any) -> None:
        monkeypatch.setattr(session, "limits", lambda settings: replace(real(settings), **changes))

    return shorten


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, log_pii: bool) -> Log:
    """Configure logging as `ivr serve` does, and return a reader of what was logged so far."""
    logs.configure("console", log_pii)
    # Whatever an earlier test did to them: each module writes through a logger of its own, now.
    for module in (call, conclusion, extraction, road, submissions):
        monkeypatch.setattr(module, "log", structlog.get_logger(module.__name__))
        logging.getLogger(module.__name__).disabled = False
    text: list[str] = []

    def read() -> str:
        text.append(capsys.readouterr().err)
        return "".join(text)

    return read


@pytest.fixture
def log_pii() -> bool:
    """Whether the log may show personal data; a test parametrises it."""
    return False


@pytest.fixture
def with_person(tmp_path: Path) -> str:
    """The path of the powersports profile, with somebody to put callers through to."""
    shipped = Path(profile.__file__).parents[1] / "profiles" / "powersports.toml"
    path = tmp_path / "powersports.toml"
    text = shipped.read_text(encoding="utf-8")
    path.write_text(text.replace("[target]", f'transfer_number = "{PERSON}"\n\n[target]', 1))
    return str(path)
