"""Stage tracking for programs of the owner's own: the old `memory` object, over the database.

    with open_memory("sqlite:///nps_ivr.db") as memory:
        memory.update_lead_field(conversation_id, "name", "Ahmed")

Synchronous, and safe for any number of threads and for servers that run beside it: every call is
one transaction in a loop of its own thread.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import cache
from types import TracebackType
from typing import Any, TypeVar
from uuid import uuid4

from anyio.from_thread import BlockingPortal, start_blocking_portal
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import tenants
from ivr.db import Database
from ivr.db.engine import despite_races
from ivr.db.tables import Channel, Conversation, Lead, Tenant, utc_now
from ivr.errors import NotFound
from ivr.leads import field_edits, intake, values
from ivr.leads.attention import review
from ivr.leads.delivery.handover import profile_of
from ivr.leads.intake import Enquiry
from ivr.leads.profile import Profile, load_profile
from ivr.leads.profile.tenant_profile import own
from ivr.leads.progress import funnel, stages
from ivr.settings import Settings, load_settings

ACTOR = "memory"
SILENCE = timedelta(hours=24)  # then a conversation is finished, like every written one

Result = TypeVar("Result")


def open_memory(database_url: str, tenant: str = tenants.DEFAULT) -> "Memory":
    """Return the memory of one business; raise `NotFound` when there is no such business.

    As the server's first start does, it makes the tables of a new SQLite file, and tenant
    `default` from the settings.
    """
    settings = Settings(_env_file=None, database_url=database_url)
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        db = portal.call(_database, settings.database_url)
        stack.callback(portal.call, db.close)
        found = portal.call(_tenant, db, tenant)
        return Memory(portal, db, found, stack.pop_all())


async def _database(url: str) -> Database:
    return Database(url)


async def _tenant(db: Database, slug: str) -> Tenant:
    if db.is_sqlite:
        await db.upgrade()
    async with db.read() as session:
        found = await tenants.by_slug(session, slug)
    if found is None and slug == tenants.DEFAULT:
        return await tenants.ensure_default(db, load_settings(), now=utc_now())
    if found is None:
        raise NotFound(f"no tenant {slug!r}")
    return found


class Memory:
    """Stages and data of the leads of one business, by conversation id.

    Raises `NotFound` for a conversation that is not there, `Unprocessable` for a stage or a field
    that is none, or a value that its field refuses; both name what is valid.
    """

    def __init__(
        self, portal: BlockingPortal, db: Database, tenant: Tenant, resources: ExitStack
    ) -> None:
        self._portal = portal
        self._db = db
        self._tenant = tenant
        self._resources = resources
        self._profiles = cache(load_profile)

    def __enter__(self) -> "Memory":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database and end the thread; a second time nothing happens."""
        self._resources.close()

    def start_conversation(self, conversation_id: str | None = None) -> str:
        """Begin a conversation, and a lead, under this key or a new one; return its id."""
        return self._run(self._start, conversation_id or str(uuid4()))

    def update_lead_field(self, conversation_id: str, field: str, value: object) -> str:
        """Give a field its value, None takes it away; return the stage that follows."""
        return self.update_lead_fields(conversation_id, {field: value})

    def update_lead_fields(self, conversation_id: str, given: Mapping[str, object]) -> str:
        """Give several fields their values at once, as one move; return the stage that follows."""
        return self._run(self._update, conversation_id, dict(given))

    def get_stage(self, conversation_id: str) -> str:
        """Return the stage of the conversation's lead."""
        return self._run(self._stage, conversation_id)

    def set_stage(self, conversation_id: str, stage: str, *, reason: str = "set by hand") -> str:
        """Put the lead into a stage, where it stays; return that stage."""
        return self._run(self._pin, conversation_id, stage, reason)

    def get_lead_data(self, conversation_id: str) -> dict[str, Any]:
        """Return every field of the lead: None for what is not known, flags as true or false."""
        return self._run(self._data, conversation_id)

    def get_leads_by_stage(self, stage: str) -> list[dict[str, Any]]:
        """Return all leads in a stage, oldest first."""
        return self._run(self._by_stage, stage)

    def get_all_stage_stats(self) -> dict[str, int]:
        """Return how many leads stand in each stage, none as 0."""
        return self._run(self._stats)

    def get_stage_history(self, conversation_id: str) -> list[dict[str, str]]:
        """Return the stages that the lead came into, with their times, oldest first."""
        return self._run(self._history, conversation_id)

    def _run(self, work: Callable[..., Awaitable[Result]], *args: object) -> Result:
        return self._portal.call(work, *args)

    @property
    def _profile(self) -> Profile:
        return own(self._profiles, self._tenant)

    async def _start(self, key: str) -> str:
        now = utc_now()
        until = now + SILENCE
        enquiry = Enquiry(Channel.CHAT, key, None, None, until, now, provider=ACTOR)
        return await despite_races(lambda: self._enter(enquiry))  # of threads that begin it at once

    async def _enter(self, enquiry: Enquiry) -> str:
        """Begin a conversation in which nobody has said anything that wants an answer."""
        async with self._db.write() as session:
            conversation = await intake.enter(session, self._tenant, self._profile, enquiry)
            return str(conversation.id)

    async def _update(self, name: str, given: Mapping[str, object]) -> str:
        async with self._db.write() as session:
            conversation, lead, profile = await self._found(session, name, lock=True)
            now = utc_now()
            held = await field_edits.set_fields(
                session, conversation, lead, profile, given, actor=ACTOR, now=now
            )
            await review.let_go(session, lead, profile, now=now, known=held)
            return lead.stage

    async def _pin(self, name: str, stage: str, reason: str) -> str:
        async with self._db.write() as session:
            _, lead, profile = await self._found(session, name, lock=True)
            now = utc_now()
            await stages.pin(session, lead, profile, stage, actor=ACTOR, reason=reason, now=now)
            await review.let_go(session, lead, profile, now=now)
            return lead.stage

    async def _stage(self, name: str) -> str:
        async with self._db.read() as session:
            _, lead, _ = await self._found(session, name)
            return lead.stage

    async def _data(self, name: str) -> dict[str, Any]:
        async with self._db.read() as session:
            _, lead, profile = await self._found(session, name)
            return funnel.lead_data(profile, await values.current(session, lead.id))

    async def _history(self, name: str) -> list[dict[str, str]]:
        async with self._db.read() as session:
            _, lead, _ = await self._found(session, name)
            entries = await funnel.history(session, lead.id)
        return [{"stage": one.stage, "timestamp": _time(one.at)} for one in entries]

    async def _stats(self) -> dict[str, int]:
        async with self._db.read() as session:
            return (await funnel.stats(session, self._tenant.id, self._profile)).by_stage

    async def _by_stage(self, stage: str) -> list[dict[str, Any]]:
        async with self._db.read() as session:
            page = await funnel.by_stage(session, self._tenant.id, self._profile, stage)
        return [
            {
                "conversation_id": str(line.conversation_id) if line.conversation_id else None,
                "stage": line.stage,
                "stage_updated_at": _time(line.stage_updated_at),
                "created_at": _time(line.created_at),
                "lead_data": line.lead_data,
            }
            for line in page.leads
        ]

    async def _found(
        self, session: AsyncSession, name: str, *, lock: bool = False
    ) -> tuple[Conversation, Lead, Profile]:
        found, lead = await funnel.conversation_of(session, self._tenant.id, name, lock=lock)
        return found, lead, profile_of(self._profiles, self._tenant, lead)


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
