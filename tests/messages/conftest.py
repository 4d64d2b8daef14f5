"""What the message tests share: Twilio, a contact, a clock that can be put forward."""

from collections.abc import AsyncIterator

import pytest

from ivr.db import Database
from ivr.db.tables import Conversation
from tests.messages.cast import Hurried, texting, twilio_alone
from tools.emulators.twilio import TwilioEmulator


@pytest.fixture
async def twilio() -> AsyncIterator[TwilioEmulator]:
    """An account at Twilio."""
    async with twilio_alone() as emulator:
        yield emulator


@pytest.fixture
async def john(db: Database) -> Conversation:
    """The conversation with somebody who has just texted."""
    return await texting(db)


@pytest.fixture
def clock() -> Hurried:
    """The clock of the outbox under test."""
    return Hurried()
