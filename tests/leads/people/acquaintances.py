"""People who come through any door, for the tests of who is who."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import select

from ivr import tenants
from ivr.db import Database
from ivr.db.tables import (
    Channel,
    Contact,
    ContactPoint,
    Conversation,
    FieldValue,
    Lead,
    ReviewItem,
    Source,
)
from ivr.leads import intake, values
from ivr.leads.people import identity
from ivr.leads.profile import load_profile
from tests.leads.cast import NOW, settings_for

PROFILE = load_profile("powersports")
COURSES = load_profile("courses")
SHOP = "+18005551212"
HOME = "+17705550199"  # a landline that a family shares


async def comes(
    db: Database,
    channel: Channel,
    key: str,
    *,
    number: str | None = None,
    profile: str = "powersports",
    now: datetime = NOW,
    **typed: str | None,
) -> Conversation:
    """Have somebody come through a door, as the doors do."""
    tenant = await tenants.ensure_default(db, settings_for(db.url), now=now)
    enquiry = intake.Enquiry(
        channel=channel,
        session_key=key,
        caller=number,
        called=SHOP,
        finish_after=now + timedelta(hours=24),
        now=now,
        **typed,
    )
    async with db.write() as session:
        return await intake.enter(session, tenant, load_profile(profile), enquiry)


async def says(
    db: Database,
    conversation: Conversation,
    given: Mapping[str, str],
    *,
    profile: str = "powersports",
    now: datetime = NOW,
) -> Conversation:
    """Have somebody answer, and us find out who they are; return the conversation as it is then."""
    async with db.write() as session:
        row = await session.get_one(Conversation, conversation.id)
        for name, value in given.items():
            await values.add(
                session, row, name=name, value=value, raw=value, source=Source.TOOL, now=now
            )
    return await settled(db, conversation, profile=profile, now=now)


async def settled(
    db: Database, conversation: Conversation, *, profile: str = "powersports", now: datetime = NOW
) -> Conversation:
    """Have us find out whose conversation it is."""
    async with db.write() as session:
        return await identity.settle(session, conversation, load_profile(profile), now=now)


async def denies(
    db: Database, conversation: Conversation, *, recycled: bool = False, now: datetime = NOW
) -> Conversation:
    """Have somebody say that they are not who we think."""
    async with db.write() as session:
        return await identity.not_this_person(
            session, conversation, PROFILE, recycled=recycled, now=now
        )


async def sees(db: Database, conversation: Conversation) -> dict[str, str]:
    """What we may say to whoever this conversation is with."""
    async with db.read() as session:
        row = await session.get_one(Conversation, conversation.id)
        return await identity.known(session, row)


async def lead_of(db: Database, conversation: Conversation) -> dict[str, str]:
    """What the conversation's lead knows by now."""
    async with db.read() as session:
        row = await session.get_one(Conversation, conversation.id)
        best = await values.current(session, row.lead_id)
    return {name: row.value for name, row in best.items() if row.value is not None}


async def contact_of(db: Database, conversation: Conversation) -> Any:
    """The id of the contact whose conversation it is."""
    query = select(Lead.contact_id).join(Conversation).where(Conversation.id == conversation.id)
    async with db.read() as session:
        return (await session.exec(query)).one()


async def owner_of(db: Database, kind: str, value: str) -> Any:
    """The id of the contact who has an address."""
    query = select(ContactPoint.contact_id).where(
        ContactPoint.kind == kind, ContactPoint.value == value
    )
    async with db.read() as session:
        return (await session.exec(query)).one_or_none()


async def picture(db: Database) -> dict[str, Any]:
    """Who has what: all that a merge moves."""
    async with db.read() as session:
        points = (await session.exec(select(ContactPoint))).all()
        leads = (await session.exec(select(Lead))).all()
        conversations = (await session.exec(select(Conversation))).all()
        held = (await session.exec(select(FieldValue))).all()
        questions = (await session.exec(select(ReviewItem))).all()
        contacts = (await session.exec(select(Contact))).all()
    return {
        "contacts": {it.id for it in contacts},
        "points": {(it.kind, it.value, it.contact_id) for it in points},
        "leads": {
            (it.id, it.contact_id, it.closed_at, it.lost_reason, it.lifecycle, it.stage)
            for it in leads
        },
        "conversations": {(it.id, it.lead_id) for it in conversations},
        "values": {(it.id, it.lead_id, it.value) for it in held},
        "reviews": {(it.id, it.lead_id) for it in questions},
    }
