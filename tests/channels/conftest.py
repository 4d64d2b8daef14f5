"""What the tests of written conversations share: clocks that do not make them wait."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

import ivr.offline
from ivr.channels import desk
from ivr.errors import Unavailable
from ivr.leads import road


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often, and answer each message by itself unless a test says otherwise."""
    look_often(monkeypatch)


def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the clocks, also for servers that outlive one test."""
    monkeypatch.setattr(road, "SCHEDULE_SECONDS", 0.2)
    monkeypatch.setattr(desk, "BURST_SECONDS", 0.0)
    monkeypatch.setattr(desk, "SWEEP_SECONDS", 0.1)
    monkeypatch.setattr(desk, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(desk, "LEFT_AFTER", timedelta(seconds=1))


@pytest.fixture(autouse=True)
def nobody_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the extra `demo`: its worker processes take two seconds a test."""
    monkeypatch.setattr(ivr.offline, "offline_voice", _without_its_packages)


@asynccontextmanager
async def _without_its_packages(*_: object) -> AsyncIterator[str]:
    raise Unavailable("the extra `demo` is not installed")
    yield
