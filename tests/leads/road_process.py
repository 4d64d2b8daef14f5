"""A process that walks the road, for tests that kill it; its settings are the environment's."""

import asyncio
import sys
import uuid

import httpx

from ivr.db import Database
from ivr.db.secret_key import hash_key
from ivr.leads.profile import load_profile
from ivr.leads.road import Road
from ivr.settings import Settings


async def main(conversation_id: str) -> None:
    settings = Settings(_env_file=None)
    db = Database(settings.database_url, hash_key=hash_key(settings))
    async with httpx.AsyncClient() as http, Road.open(settings, db, http, load_profile) as road:
        await road.start_finish(uuid.UUID(conversation_id), 1)
        sys.stdout.write("started\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
