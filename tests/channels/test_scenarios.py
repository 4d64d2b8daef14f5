"""Every talk that ships, from the first word to the buyer: with no key, and with a model."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from ivr.db.tables import Conversation
from tests.channels.conftest import look_often
from tests.channels.talking import Speaker, Stage, check_outcome, stage
from tests.leads.cast import rows
from tools.scenarios.written import DOORS, Talk, load, names

TALKS = [load(name) for name in names()]
MINDS = ("rules", "model")
ON_POSTGRESQL = ("three_doors_one_lead", "sms_in_arabic")


class Stages:
    """The stages of this module: one server each, for all talks of a profile."""

    def __init__(self, template: Path, folder: Path, stack: AsyncExitStack) -> None:
        self._template, self._folder, self._stack = template, folder, stack
        self._open: dict[tuple[str, str], Stage] = {}

    async def at(self, profile: str, mind: str) -> Stage:
        """Return the stage of this profile and mind; it is opened once."""
        key = (profile, mind)
        if key not in self._open:
            path = self._folder / f"{profile}-{mind}.db"
            shutil.copyfile(self._template, path)
            opened = stage(f"sqlite+aiosqlite:///{path}", profile, by_model=mind == "model")
            self._open[key] = await self._stack.enter_async_context(opened)
        return self._open[key]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stages(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stages]:
    with pytest.MonkeyPatch.context() as patch:
        look_often(patch)
        async with AsyncExitStack() as stack:
            yield Stages(sqlite_template, tmp_path_factory.mktemp("stages"), stack)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("mind", MINDS)
@pytest.mark.parametrize("talk", TALKS, ids=lambda talk: talk.name)
async def test_a_talk_becomes_what_it_must(stages: Stages, talk: Talk, mind: str) -> None:
    at = await stages.at(talk.profile, mind)
    before = {row.id for row in await rows(at.w.db, Conversation)}
    await Speaker(at, talk).say_all()
    await check_outcome(at.w, talk, before)


@pytest.mark.parametrize("mind", MINDS)
@pytest.mark.parametrize("name", ON_POSTGRESQL)
async def test_a_talk_becomes_the_same_on_postgresql(
    postgres_url: str, name: str, mind: str
) -> None:
    talk = load(name)
    async with stage(postgres_url, talk.profile, by_model=mind == "model") as at:
        await Speaker(at, talk).say_all()
        await check_outcome(at.w, talk)


def test_every_door_has_a_talk_that_reaches_the_buyer() -> None:
    reached = {
        turn.door for talk in TALKS if talk.expect.outcome == "succeeded" for turn in talk.turns
    }
    assert reached == set(DOORS)
