"""The long campaign's seeds, a line for each as it ends, and the table at the end."""

import itertools
import os
from collections import Counter
from typing import Any

import pytest

from tests.faults.campaign import Fired, never_met, table
from tests.faults.schedule import Kind, Place

SEEDS = "CHAOS"
CAMPAIGN = 60  # as many seeds as must meet every kind of fault

_met: dict[int, Fired] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each seed a test of its own."""
    if "seed" in metafunc.fixturenames:
        spans = [span.split("-") for span in os.environ.get(SEEDS, "1-300").split(",")]
        seeds = [range(int(span[0]), int(span[-1]) + 1) for span in spans]
        metafunc.parametrize("seed", list(itertools.chain.from_iterable(seeds)))


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write a seed's line as soon as it is known, in whichever process it was played."""
    if "PYTEST_XDIST_WORKER" in os.environ:  # it is told again where all come together
        return
    told: dict[str, Any] = dict(report.user_properties)
    if report.when == "call" and "line" in told:
        _met[told["seed"]] = Counter((Place(place), Kind(kind)) for place, kind in told["met"])
        os.write(1, f"\n{told['line']}".encode())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was scheduled and what was met."""
    if _met:
        terminalreporter.write_line(table(_met))
        for kind in _missing():
            terminalreporter.write_line(f"never met: {kind}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A campaign that never met a kind of fault has shown nothing about it."""
    if _missing() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _missing() -> list[Kind]:
    return never_met(_met) if len(_met) >= CAMPAIGN else []
