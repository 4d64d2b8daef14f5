"""A short campaign: fixed seeds that meet every kind of fault. `make chaos` is the long one."""

import shutil
from pathlib import Path

import pytest

from tests.faults.campaign import never_met, run_seed, table
from tests.faults.schedule import Form, Kind, schedule_for

# Chosen for what they meet; another choice is as good if it meets as much.
SEEDS = {
    Form.SQLITE: (8, 13, 14, 20, 22, 24),
    Form.POSTGRESQL: (168,),
    Form.PROCESS: (5, 6),
}
ELSEWHERE = {
    Form.SQLITE: {Kind.KILL, Kind.DISK_FULL},
    Form.POSTGRESQL: set(Kind) - {Kind.DROP},
    Form.PROCESS: set(Kind) - {Kind.KILL, Kind.DISK_FULL, Kind.CLOCK_JUMP},
}


@pytest.fixture(params=list(SEEDS))
def databases(
    request: pytest.FixtureRequest, sqlite_template: Path, tmp_path: Path
) -> dict[int, str]:
    """The address of a database for each seed of one form."""
    form: Form = request.param
    if form is Form.POSTGRESQL:
        (seed,) = SEEDS[form]
        return {seed: str(request.getfixturevalue("postgres_url"))}
    return {seed: _copy(sqlite_template, tmp_path / str(seed)) for seed in SEEDS[form]}


def _copy(template: Path, folder: Path) -> str:
    folder.mkdir()
    return f"sqlite+aiosqlite:///{shutil.copyfile(template, folder / 'nps_ivr.db')}"


async def test_no_lead_is_lost_or_doubled_whatever_goes_wrong(
    databases: dict[int, str], tmp_path: Path
) -> None:
    # Half a minute of real time in all: what hangs has to be waited for.
    verdicts = []
    for seed, url in databases.items():
        folder = tmp_path / str(seed)
        folder.mkdir(exist_ok=True)
        verdicts.append(await run_seed(seed, url, folder))
    found = [verdict.explain() for verdict in verdicts if verdict.broken]
    assert not found, "\n\n".join(found)
    met = {verdict.schedule.seed: verdict.fired for verdict in verdicts}
    form = verdicts[0].schedule.form
    assert set(never_met(met)) <= ELSEWHERE[form], table(met)


def test_a_seed_means_the_same_for_ever() -> None:
    assert str(schedule_for(2)) == (
        "sqlite: 7156 +1.21 s, hang up (2); 6195 +0.4 s, goodbye (0); "
        "0549 +1.36 s, hang up while it rings (1) "
        "| hang @ model socket [6, 1.7 s]; 5xx @ webhook [5, 1.29 s]"
    )
