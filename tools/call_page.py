"""Reads what the server has written about one call, as any operator could: from its database."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import select

from ivr import conversations
from ivr.db import Database
from ivr.db.tables import Conversation, FailedLead, FieldValue, SucceededLead, Turn
from ivr.leads import values


@dataclass(frozen=True, slots=True)
class Page:
    """Everything about one call at one moment; `conversation` is None before it rang through."""

    conversation: Conversation | None = None
    turns: Sequence[Turn] = ()
    values: Sequence[FieldValue] = ()
    succeeded: SucceededLead | None = None
    failed: FailedLead | None = None


class CallPages:
    """The database of a running server, opened to read."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def page(self, call_sid: str) -> Page:
        """Return what is known about the call now."""
        async with self._db.read() as session:
            query = select(Conversation).where(Conversation.session_key == call_sid)
            conversation = (await session.exec(query)).one_or_none()
            if conversation is None:
                return Page()
            succeeded = select(SucceededLead).where(SucceededLead.session_id == conversation.id)
            failed = select(FailedLead).where(FailedLead.session_id == conversation.id)
            return Page(
                conversation,
                await conversations.transcript(session, conversation.id),
                await values.history(session, conversation.lead_id),
                (await session.exec(succeeded)).first(),
                (await session.exec(failed)).first(),
            )
