"""How long stage tracking takes in a turn: the lead is locked, its values are read, it is moved.

Measured on SQLite inside the transaction that a turn needs anyway for the value it saves; no model
is asked. A lead goes through all its stages, then the next one does.
"""

import asyncio
from array import array
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import tenants
from ivr.db import Database
from ivr.db.tables import Channel, Conversation, Source, Tenant, utc_now
from ivr.leads import intake, values
from ivr.leads.profile import Profile, load_profile
from ivr.leads.progress import stages
from ivr.settings import Settings

from .figures import Spread

PROFILE = "courses"
TURNS = (
    ("name", "Ahmed"),
    ("phone", "+923001234567"),
    ("selected_course", "CTA"),
    ("education_level", "Graduate"),
    ("goal", "Career switch"),
    ("demo_shared", "true"),
)
WARM_UP = 2  # leads, not counted
MOST_P95_MS = 5.0  # S0.66


def stage_tracking(leads: int) -> Spread:
    """Return how long it took in the turns of so many leads."""
    with TemporaryDirectory(prefix="bench-") as folder:
        return Spread.of(asyncio.run(_measure(Path(folder), leads)))


async def _measure(folder: Path, leads: int) -> "array[float]":
    settings = Settings(_env_file=None, database_url=f"sqlite:///{folder}/s.db", profile=PROFILE)
    db, profile = Database(settings.database_url), load_profile(PROFILE)
    seconds = array("d")
    try:
        await db.upgrade()
        tenant = await tenants.ensure_default(db, settings, now=utc_now())
        for number in range(-WARM_UP, leads):
            conversation = await _chat(db, tenant, profile, number)
            taken = [await _turn(db, profile, conversation, *turn) for turn in TURNS]
            seconds.extend(taken if number >= 0 else ())
    finally:
        await db.close()
    return seconds


async def _chat(db: Database, tenant: Tenant, profile: Profile, number: int) -> Conversation:
    now = utc_now()
    enquiry = intake.Enquiry(Channel.CHAT, f"bench {number}", None, None, now, now)
    return await intake.begin(db, tenant, profile, enquiry)


async def _turn(
    db: Database, profile: Profile, conversation: Conversation, name: str, value: str
) -> float:
    """Save a value and move the lead; return the seconds of the latter."""
    async with db.write() as session:
        await values.add(
            session,
            conversation,
            name=name,
            value=value,
            raw=value,
            source=Source.TOOL,
            now=utc_now(),
        )
        await session.flush()
        began = perf_counter()
        await _track(session, profile, conversation)
        return perf_counter() - began


async def _track(session: AsyncSession, profile: Profile, conversation: Conversation) -> None:
    lead = await stages.lock(session, conversation.lead_id)
    held = await values.current(session, lead.id)
    await stages.assess(session, lead, profile, held, met=True, now=utc_now())
    await session.flush()
