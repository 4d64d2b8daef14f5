"""What whoever picks up for a caller hears before they are connected, and whether they are.

A voicemail picks up as well, but presses no key: only who presses it has the caller (Twilio:
twiml/number, url). Form fields in, TwiML out.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import conversations
from ivr.agent.phrases import Phrases
from ivr.db.tables import Conversation, Tenant
from ivr.errors import NotFound
from ivr.leads.attention import staff
from ivr.leads.profile.tenant_profile import own
from ivr.runtime import State
from ivr.voice import transfer, twiml

Form = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Whisper:
    """Answers for one phone that was picked up; `key` takes the call, None: they have it at once.

    `url` is asked about the key.
    """

    state: State
    url: str
    key: str | None

    async def answer(self, conversation_id: uuid.UUID, form: Form, *, now: datetime) -> str:
        """Say who calls and why, and ask for the key; or note that they have the caller.

        Raises `NotFound` when the phone did not ring for this conversation.
        """
        takes = self.key is None or form.get("Digits") == self.key
        database = self.state["db"]
        async with database.write() if takes else database.read() as session:
            row = await conversations.by_id(session, conversation_id)
            if row.session_key != form.get("ParentCallSid"):
                raise NotFound(f"no phone rings for conversation {conversation_id}")
            if takes:
                await transfer.picked_up(session, row, leg=form.get("CallSid", ""), now=now)
            if takes and self.key is not None:
                return twiml.connect_both()
            return await self._words(session, row)

    def in_any_case(self, form: Form) -> str:
        """Return the answer whatever broke: two people may be waiting."""
        if self.key is None or form.get("Digits"):
            return twiml.connect_both()
        return twiml.screen(self._how_to_take("", Phrases("en", "voice")), self.url)

    async def _words(self, session: AsyncSession, conversation: Conversation) -> str:
        tenant = await session.get_one(Tenant, conversation.tenant_id)
        profile = own(self.state["profiles"], tenant)
        phrases = Phrases(profile.languages[0], "voice")
        known = await staff.summary(session, conversation, profile)
        if self.key is None:
            return twiml.whisper(_who(known, phrases), language=profile.language)
        words = self._how_to_take(known, phrases)
        return twiml.screen(words, self.url, language=profile.language)

    def _how_to_take(self, known: str, phrases: Phrases) -> str:
        assert self.key is not None, "else they have the caller at once"
        why, press = phrases.say("wants_a_person"), phrases.say("press_to_take", key=self.key)
        return f"{_who(known, phrases)} {why} {press}"


def _who(known: str, phrases: Phrases) -> str:
    """Return that there is a call, and what is known of who calls."""
    call = phrases.say("call_for_you")
    return f"{call}: {known}." if known else f"{call}."
