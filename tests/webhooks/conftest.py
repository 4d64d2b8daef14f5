"""What the webhook tests share."""

from collections.abc import AsyncIterator

import pytest

from ivr.db import Database
from ivr.db.tables import Tenant
from tests.leads.cast import Clock
from tests.webhooks.cast import tenant_of
from tools.emulators.receiver import Receiver


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Somebody who is told of events."""
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture
async def tenant(db: Database) -> Tenant:
    """The business whose events these are."""
    return await tenant_of(db)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until it is told to go on."""
    return Clock()
