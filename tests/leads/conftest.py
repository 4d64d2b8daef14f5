"""What the lead tests share: the buyer."""

from collections.abc import AsyncIterator

import pytest

from tools.emulators.npa import NpaEmulator


@pytest.fixture
async def npa() -> AsyncIterator[NpaEmulator]:
    """The buyer, with the account of the cast's settings."""
    async with NpaEmulator(username="buyer", password="secret") as emulator:
        yield emulator
