"""What the tests of Twilio's emulator share."""

import pytest

from tests.tools.twilio_server import Server


@pytest.fixture
async def server() -> Server:
    """A server to call; made in the test's loop."""
    return Server()
