"""Tells a business that its month's budget is nearly, or wholly, used up: once each (S2.38).

What this process writes down is looked at within a second, and everybody's every minute: another
process may have died between its usage and the alert.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import datetime

import structlog
from sqlalchemy import or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.costs import budget
from ivr.costs.budget import AlertKind, Standing
from ivr.db import Database
from ivr.db.engine import is_ending
from ivr.db.tables import Conversation, Tenant, UsageLog, utc_now
from ivr.errors import DatabaseDown, ProfileError
from ivr.leads.attention import staff
from ivr.leads.profile.tenant_profile import Profiles, own
from ivr.settings import Settings

LOOK_SECONDS = 1.0
LOOK_AT_ALL_EVERY = 60  # of these
_WORDS = {
    AlertKind.WARNING: "of this month's budget is used.",
    AlertKind.SPENT: "of this month's budget is used: until the month ends no AI model is asked, "
    "and fixed questions take down the leads.",
}

log = structlog.get_logger(__name__)


class BudgetAlerts:
    """Looks after the budgets for one process; `open` is the way to get one."""

    def __init__(
        self,
        db: Database,
        profiles: Profiles,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._db = db
        self._profiles = profiles
        self._settings = settings
        self._clock = clock

    @classmethod
    @asynccontextmanager
    async def open(
        cls, db: Database, profiles: Profiles, settings: Settings
    ) -> AsyncIterator["BudgetAlerts"]:
        """Look at the budgets while the block runs."""
        alerts = cls(db, profiles, settings)
        task = asyncio.create_task(alerts._run(), name="budgets")
        try:
            yield alerts
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def look(self, tenant_ids: Collection[uuid.UUID] | None = None) -> int:
        """Tell these businesses (all) what they have not been told; return how often."""
        if tenant_ids is not None and not tenant_ids:
            return 0
        has_budget = or_(
            col(Tenant.monthly_token_budget).is_not(None),
            col(Tenant.monthly_budget_cents).is_not(None),
        )
        query = select(Tenant).where(has_budget)
        if tenant_ids is not None:
            query = query.where(col(Tenant.id).in_(tenant_ids))
        async with self._db.read() as session:
            tenants = (await session.exec(query)).all()
        return sum([await self._look_at(tenant) for tenant in tenants])

    async def _look_at(self, tenant: Tenant) -> int:
        now = self._clock()
        async with self._db.read() as session:  # nearly always there is nothing to write
            if not await budget.news(session, tenant, now=now):
                return 0
        async with self._db.write() as session:
            raised = await budget.raise_alerts(session, tenant, now=now)
            for kind, stands in raised:
                log.warning(
                    "budget", tenant=tenant.slug, alert=str(kind), used_percent=stands.used_percent
                )
                await self._tell(session, tenant, kind, stands, now=now)
        return len(raised)

    async def _tell(
        self,
        session: AsyncSession,
        tenant: Tenant,
        kind: AlertKind,
        stands: Standing,
        *,
        now: datetime,
    ) -> None:
        """Have staff read it by SMS, where they have a number and somebody has ever come."""
        conversation = await _latest(session, tenant.id)
        try:
            on_duty = staff.on_duty(tenant, own(self._profiles, tenant), self._settings)
        except ProfileError:
            log.exception("nobody is told of a budget", tenant=tenant.slug)
            return
        if conversation is not None:
            text = f"{tenant.name}: {stands.used_percent:g} % {_WORDS[kind]} See: ivr usage"
            await staff.tell(session, conversation, text, on_duty, now=now)

    async def _run(self) -> None:
        beat = 0
        while True:
            changed = budget.changed()
            try:
                await self.look(None if beat % LOOK_AT_ALL_EVERY == 0 else changed)
            except Exception as exc:
                if is_ending():
                    raise
                beat = -1  # then all of them again
                _tell_not_looked(exc)
            beat += 1
            await asyncio.sleep(LOOK_SECONDS)


async def _latest(session: AsyncSession, tenant_id: uuid.UUID) -> Conversation | None:
    """Return the conversation in which something was used last."""
    query = (
        select(Conversation)
        .join(UsageLog, col(UsageLog.conversation_id) == col(Conversation.id))
        .where(UsageLog.tenant_id == tenant_id)
        .order_by(col(UsageLog.at).desc())
        .limit(1)
    )
    return (await session.exec(query)).first()


def _tell_not_looked(error: Exception) -> None:
    if isinstance(error, DatabaseDown):
        log.warning("budgets not looked at", problem=str(error))
    else:
        log.error("budgets not looked at", exc_info=error)
