"""Invariants 2 and 3 under any order of moves: the rows tell exactly how the lead stands.

Whoever moves it: values, rules, people, timers, a message, a clock that is put back. No move of the
lifecycle is outside of its table.
"""

import asyncio
import shutil
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import col, select

from ivr.db import Database
from ivr.db.tables import (
    Axis,
    Conversation,
    ConversationStatus,
    Lead,
    Lifecycle,
    QualificationRule,
    Transition,
)
from ivr.errors import Conflict
from ivr.leads import values
from ivr.leads.profile import load_profile
from ivr.leads.progress import profile_stages, stages
from ivr.leads.progress.lifecycle import Mover, may
from ivr.leads.progress.qualification import OUTCOMES
from ivr.leads.progress.silence import Silence
from tests.leads.cast import LEAD, Clock, call, save, settings_for

PROFILE = load_profile("powersports")
COLUMNS = {Axis.STAGE: "stage", Axis.LIFECYCLE: "lifecycle", Axis.STATUS: "status"}
BY = (Mover.SYSTEM, Mover.STAFF)  # nothing here merges
FIRST = {Axis.LIFECYCLE: "NEW", Axis.STATUS: "new"}
STEPS = st.one_of(
    st.tuples(st.just("save"), st.sampled_from(sorted(LEAD))),
    st.tuples(st.just("assess"), st.booleans()),
    st.tuples(st.just("pin"), st.sampled_from(profile_stages.stage_names(PROFILE))),
    st.just(("unpin",)),
    st.tuples(st.just("lifecycle"), st.sampled_from(sorted(Lifecycle))),
    st.tuples(st.just("rule"), st.sampled_from(OUTCOMES), st.sampled_from(sorted(LEAD))),
    st.tuples(st.just("status"), st.sampled_from(["new", "contacted", "negotiating"])),
    st.just(("inbound",)),
    st.just(("timers",)),
    st.tuples(st.just("wait"), st.sampled_from([-3600, 60, 90_000, 700_000])),
)


class World:
    """One lead, and everybody who moves it."""

    def __init__(self, db: Database, conversation: Conversation) -> None:
        self.db, self.conversation, self.clock = db, conversation, Clock()
        self.silence = Silence(db, load_profile, settings_for(db.url), clock=self.clock)

    async def step(self, step: tuple[object, ...]) -> None:
        match step:
            case ("save", str(name)):
                await save(self.db, self.conversation, {name: LEAD[name]})
            case ("rule", str(outcome), str(name)):
                await self._rule(outcome, name)
            case ("wait", int(seconds)):
                self.clock.advance(timedelta(seconds=seconds))
            case ("timers",):
                await self.silence.sweep()
            case _:
                await self._move(step)

    async def _rule(self, outcome: str, name: str) -> None:
        conditions = {"all": [{"field": name, "op": "known"}]}
        async with self.db.write() as session:
            session.add(
                QualificationRule(
                    tenant_id=self.conversation.tenant_id,
                    profile=PROFILE.key,
                    position=len(name),
                    name=f"{outcome} by {name}",
                    conditions=conditions,
                    outcome=outcome,
                    reason="",
                    created_at=self.clock.now,
                )
            )

    async def _move(self, step: tuple[object, ...]) -> None:
        who = {"actor": "Sarah", "reason": "she knows", "now": self.clock.now}
        async with self.db.write() as session:
            lead = await stages.lock(session, self.conversation.lead_id)
            match step:
                case ("assess", bool(met)):
                    known = await values.current(session, lead.id)
                    await stages.assess(session, lead, PROFILE, known, met=met, now=self.clock.now)
                case ("pin", str(stage)):
                    await stages.pin(session, lead, PROFILE, stage, **who)
                case ("unpin",):
                    await stages.unpin(session, lead, PROFILE, **who)
                case ("lifecycle", str(to)):
                    before = lead.lifecycle
                    try:
                        await stages.move(session, lead, Axis.LIFECYCLE, to, **who)
                    except Conflict:
                        assert lead.lifecycle == before and not may(Mover.STAFF, before, to)
                case ("status", str(to)):
                    await stages.move(session, lead, Axis.STATUS, to, **who)
                case ("inbound",):
                    await stages.inbound(session, lead, PROFILE, now=self.clock.now)

    async def check(self) -> None:
        async with self.db.read() as session:
            lead = await session.get_one(Lead, self.conversation.lead_id)
            query = select(Transition).order_by(col(Transition.axis), col(Transition.seq))
            found = (await session.exec(query)).all()
        for axis, column in COLUMNS.items():
            rows = [row for row in found if row.axis == axis]
            assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
            assert [row.at for row in rows] == sorted(row.at for row in rows)
            for earlier, later in zip(rows, rows[1:], strict=False):
                assert later.from_value == earlier.to_value != later.to_value
            if axis is Axis.LIFECYCLE:
                assert all(any(may(by, it.from_value, it.to_value) for by in BY) for it in rows)
            last = rows[-1].to_value if rows else FIRST[axis]
            assert getattr(lead, column) == last
        first = next(row for row in found if row.axis == Axis.STAGE)
        assert (first.from_value, first.to_value) == (None, PROFILE.stages[0])
        assert lead.stage_pin in (None, lead.stage)
        assert lead.lost_reason or not profile_stages.is_lost(PROFILE, lead.stage)


async def _live_through(url: str, steps: list[tuple[object, ...]]) -> None:
    db = Database(url)
    conversation = await call(db)
    async with db.write() as session:
        row = await session.get_one(Conversation, conversation.id)
        row.status = ConversationStatus.FINISHED
    world = World(db, conversation)
    for step in steps:
        await world.step(step)
        await world.check()
    await db.close()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, min_size=4, max_size=16))
def test_the_last_row_of_each_axis_is_how_the_lead_stands(
    sqlite_template: Path, steps: list[tuple[object, ...]]
) -> None:
    with TemporaryDirectory() as folder:
        path = shutil.copy(sqlite_template, folder)
        asyncio.run(_live_through(f"sqlite+aiosqlite:///{path}", steps))
