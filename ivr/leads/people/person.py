"""What one conversation tells about the person it is with, read from its rows; decides nothing."""

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Channel, Contact, Conversation, FieldValue, Lead
from ivr.leads import values
from ivr.leads.people.addresses import PHONES as PHONE_CHANNELS
from ivr.leads.people.addresses import TYPED, Address, shown_address
from ivr.leads.profile import Profile
from ivr.leads.profile.shape import PHONES

# In a conversation's state: which episode was concluded last, and when; how often the caller came
# back while it was being finished; and what was found out in it.
CONCLUDED_EPISODE, CONCLUDED_AT, RESUMED = "concluded_episode", "concluded_at", "resumed"
LEAD_DATA, EXTRACTION = "lead_data", "extraction"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who a conversation is with: as they say here, and as we know them from elsewhere.

    `names_elsewhere`: the newest first. `name_from`: the conversation in which that one was said.
    `since`: when the present episode began, None in the first. `is_known`: there was more of this
    contact than this episode.
    """

    conversation: Conversation
    lead: Lead
    contact: Contact
    name: str | None
    names_elsewhere: tuple[str, ...]
    name_from: uuid.UUID | None
    name_fields: tuple[str, ...]
    typed: tuple[Address, ...]
    since: datetime | None
    is_known: bool

    @property
    def any_name(self) -> str | None:
        """The name given here, else the one that we know."""
        return self.name or next(iter(self.names_elsewhere), None)


async def person_of(session: AsyncSession, conversation_id: uuid.UUID, profile: Profile) -> Person:
    """Return what is known of who a conversation is with, as it is now."""
    conversation, lead, contact = await _rows(session, conversation_id)
    since = since_of(conversation)
    own, others = _parted(await _values_of(session, contact.id), conversation, since)
    names = _keys(profile, ("person_name",))
    here = _name([row for row in own if row.source in values.LIVE], names)
    elsewhere = [row for row in reversed(others) if row.name in names and row.value]
    is_known = bool(others) or since is not None
    is_known = is_known or await _has_other(session, conversation, contact)
    return Person(
        conversation=conversation,
        lead=lead,
        contact=contact,
        name=here.value if here else conversation.state.get(TYPED, {}).get("name"),
        names_elsewhere=_names_elsewhere(own, elsewhere, contact, names) if is_known else (),
        name_from=elsewhere[0].conversation_id if elsewhere else None,
        name_fields=names,
        typed=_addresses(profile, own, conversation),
        since=since,
        is_known=is_known,
    )


def tells_who(profile: Profile, names: Collection[str]) -> bool:
    """Whether any of these fields says who somebody is: a name, a phone number, an e-mail."""
    return not set(names).isdisjoint(_keys(profile, ("person_name", *PHONES, "email")))


async def names_of(
    session: AsyncSession, contact_id: uuid.UUID, name_fields: Sequence[str]
) -> tuple[str, ...]:
    """Return the names that a contact gave, wherever that was, the newest first."""
    given = await _values_of(session, contact_id)
    named = [row for row in reversed(given) if row.name in name_fields and row.value]
    return _names(named, await session.get_one(Contact, contact_id))


def _names_elsewhere(
    own: Sequence[FieldValue],
    elsewhere: Sequence[FieldValue],
    contact: Contact,
    name_fields: Sequence[str],
) -> tuple[str, ...]:
    """Return what they are called elsewhere: the contact's name may be the one said here."""
    said_here = {row.value for row in own if row.name in name_fields}
    return () if not elsewhere and contact.name in said_here else _names(elsewhere, contact)


def _names(named: Sequence[FieldValue], contact: Contact) -> tuple[str, ...]:
    names = [*(row.value for row in named), contact.name]
    return tuple(dict.fromkeys(name for name in names if name))


async def _rows(
    session: AsyncSession, conversation_id: uuid.UUID
) -> tuple[Conversation, Lead, Contact]:
    query = (
        select(Conversation, Lead, Contact)
        .join(Lead, col(Lead.id) == col(Conversation.lead_id))
        .join(Contact, col(Contact.id) == col(Lead.contact_id))
        .where(Conversation.id == conversation_id)
        .execution_options(populate_existing=True)
    )
    return (await session.exec(query)).one()


async def _values_of(session: AsyncSession, contact_id: uuid.UUID) -> Sequence[FieldValue]:
    """Return every value of every lead of a contact, oldest first."""
    query = (
        select(FieldValue)
        .join(Lead, col(Lead.id) == col(FieldValue.lead_id))
        .where(Lead.contact_id == contact_id)
        .order_by(col(FieldValue.id))
    )
    return (await session.exec(query)).all()


async def _has_other(session: AsyncSession, conversation: Conversation, contact: Contact) -> bool:
    query = (
        select(Conversation.id)
        .join(Lead, col(Lead.id) == col(Conversation.lead_id))
        .where(Lead.contact_id == contact.id, Conversation.id != conversation.id)
    )
    return (await session.exec(query.limit(1))).first() is not None


async def sharers(session: AsyncSession, conversation: Conversation) -> set[uuid.UUID]:
    """Return the contacts who came from the address from which this conversation came."""
    if shown_address(conversation) is None:
        return set()
    return set((await session.exec(from_there(conversation))).all())


def from_there(conversation: Conversation) -> Any:
    """Return the query for the contacts of the conversations from one's address."""
    query = (
        select(Lead.contact_id)
        .join(Conversation, col(Conversation.lead_id) == col(Lead.id))
        .where(Conversation.tenant_id == conversation.tenant_id)
    )
    if conversation.channel in Channel.chats():
        return query.where(
            col(Conversation.channel).in_(Channel.chats()),
            Conversation.session_key == conversation.session_key,
        )
    return query.where(
        col(Conversation.channel).in_(PHONE_CHANNELS),
        Conversation.from_number == conversation.from_number,
    )


def since_of(conversation: Conversation) -> datetime | None:
    """Return when the present episode began, None in the first one."""
    concluded = conversation.state.get(CONCLUDED_AT)
    return datetime.fromisoformat(concluded) if concluded else None


def _parted(
    rows: Iterable[FieldValue], conversation: Conversation, since: datetime | None
) -> tuple[list[FieldValue], list[FieldValue]]:
    """Return what was said in this episode, and what was known besides."""
    own: list[FieldValue] = []
    others: list[FieldValue] = []
    for row in rows:
        is_own = row.conversation_id == conversation.id
        is_now = since is None or row.created_at > since
        (own if is_own and is_now else others).append(row)
    return own, others


def _name(rows: Sequence[FieldValue], name_fields: Sequence[str]) -> FieldValue | None:
    best = values.choose(rows)
    return next((best[key] for key in name_fields if key in best), None)


def _keys(profile: Profile, kinds: Sequence[str]) -> tuple[str, ...]:
    return tuple(item.key for item in profile.fields if item.type in kinds)


def _addresses(
    profile: Profile, own: Sequence[FieldValue], conversation: Conversation
) -> tuple[Address, ...]:
    """Return the addresses that the person gave here; the one that the network shows is none."""
    best = values.choose(row for row in own if row.source in values.LIVE)
    found = [_read("phone", best[key].value) for key in _keys(profile, PHONES) if key in best]
    found += [_read("email", best[key].value) for key in _keys(profile, ("email",)) if key in best]
    typed = conversation.state.get(TYPED, {})
    found += [_read(kind, typed.get(kind)) for kind in ("phone", "email")]
    shown = shown_address(conversation)
    return tuple(dict.fromkeys(it for it in found if it is not None and it != shown))


def _read(kind: str, value: str | None) -> Address | None:
    return Address(kind, value.strip().casefold()) if value and value.strip() else None
