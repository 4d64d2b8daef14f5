"""What the tests of the written conversation share: the emulated model, and who writes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from ivr.db import Database
from ivr.leads.profile import Profile
from ivr.vendors.llm import TextModels
from tests.agent.text_world import Texter
from tests.leads.cast import settings_for
from tools.emulators.openai import OpenAIEmulator

Begin = Callable[..., Awaitable[Texter]]


@pytest.fixture
async def openai() -> AsyncIterator[OpenAIEmulator]:
    async with OpenAIEmulator() as emulator:
        yield emulator
    assert not emulator.steps, "steps left over"


@pytest.fixture
async def begin(sqlite_db: Database, openai: OpenAIEmulator) -> AsyncIterator[Begin]:
    """Return what begins a conversation; `model=False`: there is no key."""
    opened: list[TextModels] = []

    async def make(
        profile: Profile, *, model: bool = True, number: str | None = None, **changes: Any
    ) -> Texter:
        may_spend = changes.pop("may_spend", True)
        keys = {"openai_api_key": openai.api_key, "openai_base_url": openai.base_url}
        given = {"text_model_seconds": 30.0, **(keys if model else {}), **changes}
        settings = settings_for(sqlite_db.url, **given)
        opened.append(TextModels(settings))
        texter = Texter(sqlite_db, profile, settings, models=opened[-1], may_spend=may_spend)
        await (texter.begin(number=number) if number else texter.begin())
        return texter

    yield make
    for models in opened:
        await models.close()
