"""Every talk that ships, from the first word to the buyer: with no key, and with a model."""

from collections.abc import AsyncIterator
from pathlib import Path
from shutil import copyfile

import pytest
import pytest_asyncio

from ivr.db.tables import Conversation
from tests.channels.conftest import look_often
from tests.channels.talking import Speaker, Stage, check_outcome, stage
from tests.leads.cast import rows
from tools.scenarios.written import DOORS, Talk, load, names

TALKS = [load(name) for name in names()]


@pytest_asyncio.fixture(scope="class", loop_scope="class")
async def at(
    request: pytest.FixtureRequest,
    sqlite_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Stage]:
    """One server for the talks of a class: starting it takes longer than a talk."""
    path = tmp_path_factory.mktemp("talks") / "nps_ivr.db"
    copyfile(sqlite_template, path)
    with pytest.MonkeyPatch.context() as patch:
        look_often(patch)
        url = f"sqlite+aiosqlite:///{path}"
        async with stage(url, by_model=request.cls.by_model) as opened:
            yield opened


class Talks:
    by_model: bool

    @pytest.mark.parametrize("talk", TALKS, ids=lambda talk: talk.name)
    async def test_a_talk_becomes_what_it_must(self, at: Stage, talk: Talk) -> None:
        before = {row.id for row in await rows(at.w.db, Conversation)}
        await Speaker(at, talk).say_all()
        await check_outcome(at.w, talk, before)


@pytest.mark.asyncio(loop_scope="class")
class TestWithNoKey(Talks):
    by_model = False


@pytest.mark.asyncio(loop_scope="class")
class TestWithAModel(Talks):
    by_model = True


@pytest.mark.parametrize(
    ("name", "by_model"), [("three_doors_one_lead", False), ("sms_in_arabic", True)]
)
async def test_a_talk_becomes_the_same_on_postgresql(
    postgres_url: str, name: str, by_model: bool
) -> None:
    talk = load(name)
    async with stage(postgres_url, by_model=by_model) as at:
        await Speaker(at, talk).say_all()
        await check_outcome(at.w, talk)


def test_every_door_has_a_talk_that_reaches_the_buyer() -> None:
    reached = {
        turn.door for talk in TALKS if talk.expect.outcome == "succeeded" for turn in talk.turns
    }
    assert reached == set(DOORS)
