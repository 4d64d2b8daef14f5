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
from ivr.db.tables import Conversation, Tenant
from ivr.errors import NotFound
from ivr.leads.attention import staff
from ivr.leads.profile.tenant_profile import own
from ivr.runtime import State
from ivr.voice import transfer, twiml

Form = Mapping[str, str]

# A call, why, and what to do, by language.
_WORDS = {
    "en": (
        "A call for you",
        "The caller asked for a person.",
        "Press {key} to take the call.",
    ),
    "ar": (
        "مكالمة لك",
        "المتصل يطلب التحدث إلى شخص.",
        "اضغط {key} لاستلام المكالمة.",
    ),
}


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
        call, why, press = _WORDS["en"]
        return twiml.screen(f"{call}. {why} {press.format(key=self.key)}", self.url)

    async def _words(self, session: AsyncSession, conversation: Conversation) -> str:
        tenant = await session.get_one(Tenant, conversation.tenant_id)
        profile = own(self.state["profiles"], tenant)
        call, why, press = _WORDS.get(profile.languages[0], _WORDS["en"])
        known = await staff.summary(session, conversation, profile)
        who = f"{call}: {known}." if known else f"{call}."
        if self.key is None:
            return twiml.whisper(who, language=profile.language)
        words = f"{who} {why} {press.format(key=self.key)}"
        return twiml.screen(words, self.url, language=profile.language)
