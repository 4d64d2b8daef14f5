"""The servers of these tests are those of the written conversations: no clock makes them wait."""

from collections.abc import AsyncIterator

import pytest

from tests.channels.conftest import eager, nobody_calls
from tests.isolation.town import Town, town_at

__all__ = ["eager", "nobody_calls"]  # both for every test here


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    """Two clients of one server, each with people, talks and keys of its own."""
    async with town_at(database_url) as town:
        yield town
