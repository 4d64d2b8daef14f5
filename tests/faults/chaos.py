"""The long campaign, one test a seed: `make chaos`; `CHAOS=17` or `CHAOS=1-60,99` picks seeds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.campaign import run_seed
from tests.faults.schedule import schedule_for


@pytest.fixture
def url(seed: int, request: pytest.FixtureRequest) -> str:
    """The address of the database that the seed's schedule asks for."""
    is_postgresql = schedule_for(seed).form.is_postgresql
    return str(request.getfixturevalue("postgres_url" if is_postgresql else "sqlite_url"))


async def test_what_must_hold_holds_when_the_faults_are_over(
    seed: int,
    url: str,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    verdict = await run_seed(seed, url, tmp_path)
    record_property("seed", seed)
    record_property("line", str(verdict))
    record_property("met", [[str(place), str(kind)] for place, kind in verdict.fired])
    assert not verdict.broken, verdict.explain()
