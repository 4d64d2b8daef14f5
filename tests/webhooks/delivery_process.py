"""A process that delivers, for a test that kills it."""

import asyncio
import sys

from ivr.db import Database
from ivr.webhooks.delivery import Deliveries
from tests.webhooks.cast import SEAL


async def main(url: str) -> None:
    async with Deliveries.open(Database(url), only_public=False, seal=SEAL):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
