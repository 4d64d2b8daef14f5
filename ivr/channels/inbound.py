"""What any door hands to the desk, and what it gets back. A vocabulary; nothing is decided here."""

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from ivr.db.tables import Channel, Tenant

TEXT_CHANNELS = frozenset(Channel) - {Channel.VOICE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """Something a contact sent. `event_id` names it, also when it is sent again.

    `address` is a number that the network showed (E.164), `given` are values by field, typed by the
    contact; "name", "phone" and "email" are the fields of those types. `session_key` None: a new
    conversation, or the one with `conversation_id`. `media` is what `messages.media` returns.
    """

    channel: Channel
    event_id: str
    text: str
    now: datetime
    provider: str = "api"
    session_key: str | None = None
    conversation_id: str | None = None
    address: str | None = None
    called: str | None = None
    given: Mapping[str, str] = field(default_factory=dict)
    consent: bool = False
    opt_out_type: str | None = None
    media: Mapping[str, Any] = field(default_factory=dict)
    payload: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """What sort of event it is: a MessageSid is one message, through whichever door it came."""
        return "message" if self.channel in Channel.by_message() else self.channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an event was answered with, and so is every repeat; the names are those of the wire.

    `response` is "" where nothing is said: a person has the conversation, or it was a STOP.
    """

    response: str
    conversation_id: str
    session_id: str
    turn_count: int
    stage: str | None
    lead_data: Mapping[str, Any]
    timestamp: str
    with_person: bool = False

    def dump(self) -> dict[str, Any]:
        """Return it as the event's row keeps it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Received:
    """An event that is committed; `answer` is there when it was answered before, or needs none."""

    tenant: Tenant
    event: int
    conversation_id: uuid.UUID
    answer: Answer | None = None
