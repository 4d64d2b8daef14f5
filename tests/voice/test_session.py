"""What a call keeps doing in the database beside its audio; whole calls are in `tests/calls`."""

from typing import Any

import pytest
import structlog

from ivr import conversations
from ivr.db import Database, engine
from ivr.db.tables import utc_now
from ivr.voice import session
from tests.db.wire import wire_to
from tests.leads.cast import call, settings_for, until


async def test_the_lease_outlasts_an_outage(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "RETRY_SECONDS", 0.01)
    with wire_to(postgres_url) as (wire, url):
        db = Database(url)
        conversation = await call(db)
        state: Any = {"db": db, "settings": settings_for(url, episode_grace_seconds=0.2)}

        async def renewed() -> bool:
            async with db.read() as reader:
                row = await conversations.by_id(reader, conversation.id)
            return row.finish_after is not None and row.finish_after > mended_at

        async with session._lease(state, conversation):
            with structlog.testing.capture_logs() as logs:
                wire.cut()
                await until(lambda: "the database is down" in str(logs))
            wire.mend()
            mended_at = utc_now()
            await until(renewed)
        await db.close()
