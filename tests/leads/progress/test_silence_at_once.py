"""Leads that fall silent while others are at them, or where one of them cannot be moved."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from ivr.db import Database
from ivr.db.tables import Axis, Lead, Lifecycle
from ivr.leads.profile import load_profile
from ivr.leads.progress.silence import Silence
from tests.leads.cast import NOW, Clock, settings_for
from tests.leads.progress.test_silence import DAY, moves, reread, silent_lead, sweep


async def test_two_processes_move_a_lead_once(db: Database) -> None:
    await silent_lead(db)
    other = Database(db.url)
    moved = await asyncio.gather(sweep(db, NOW + 7 * DAY), sweep(other, NOW + 7 * DAY))
    await other.close()
    assert sum(moved) == 2
    assert [move.to_value for move in await moves(db, Axis.LIFECYCLE)] == ["NURTURING"]
    assert [move.to_value for move in await moves(db, Axis.STAGE)][1:] == ["LOST"]


class SlowSilence(Silence):
    """Somebody writes between the look and the lock."""

    async def _found(self, condition: Any) -> Sequence[uuid.UUID]:
        found = await super()._found(condition)
        async with self._db.write() as session:
            for lead_id in found:
                (await session.get_one(Lead, lead_id)).last_inbound_at = self._clock()
        return found


@pytest.mark.parametrize("never", ["nurture_after_hours", "lost_after_days"])
async def test_a_message_in_the_last_moment_keeps_the_lead(db: Database, never: str) -> None:
    lead = await silent_lead(db)
    clock = Clock()
    clock.now = NOW + 7 * DAY
    silence = SlowSilence(db, load_profile, settings_for(db.url, **{never: 0}), clock=clock)
    assert await silence.sweep() == 0
    kept = await reread(db, lead)
    assert (kept.stage_pin, kept.lifecycle) == (None, Lifecycle.QUALIFYING)


class ForgetfulSilence(Silence):
    """Somebody is forgotten between the look and the lock."""

    async def _found(self, condition: Any) -> Sequence[uuid.UUID]:
        return [uuid.UUID(int=0), *await super()._found(condition)]


async def test_who_is_forgotten_in_the_last_moment_keeps_no_other_lead_waiting(
    db: Database,
) -> None:
    lead = await silent_lead(db)
    clock = Clock()
    clock.now = NOW + 7 * DAY
    assert await ForgetfulSilence(db, load_profile, settings_for(db.url), clock=clock).sweep() == 2
    assert (await reread(db, lead)).stage == "LOST"
