"""Somebody who writes, and the assistant that answers: what a desk does, without its doors."""

import uuid
from zoneinfo import ZoneInfo

from ivr import conversations, tenants
from ivr.agent.text_assistant import TextAssistant, TextReply
from ivr.conversations import Said, write_turn
from ivr.db import Database
from ivr.db.tables import Channel, Conversation, Lead, Role
from ivr.leads import intake, values
from ivr.leads.profile import Profile
from ivr.settings import Settings
from ivr.vendors.llm import TextModels
from tests.leads.cast import JOHN, NOW

ZONE = ZoneInfo("America/New_York")


class Texter:
    """One contact, who texts."""

    def __init__(
        self,
        db: Database,
        profile: Profile,
        settings: Settings,
        *,
        models: TextModels | None = None,
        may_spend: bool = True,
    ) -> None:
        self.profile = profile
        self.replies: list[TextReply] = []
        self._db = db
        self._settings = settings
        self._models = models or TextModels(settings)
        self._may_spend = may_spend
        self._id = uuid.UUID(int=0)

    async def begin(self, *, number: str | None = JOHN, key: str | None = None) -> Conversation:
        """Write contact, lead and conversation down, as intake does."""
        tenant = await tenants.ensure_default(self._db, self._settings, now=NOW)
        enquiry = intake.Enquiry(
            channel=Channel.SMS,
            session_key=key or number or "nobody",
            caller=number,
            called="+18005551212",
            finish_after=NOW,
            now=NOW,
        )
        conversation = await intake.begin(self._db, tenant, self.profile, enquiry)
        self._id = conversation.id
        return conversation

    async def load(self) -> None:
        """Have the models' libraries loaded, as a server has after a moment."""
        await self._models.load()

    async def conversation(self) -> Conversation:
        async with self._db.read() as session:
            return await conversations.by_id(session, self._id)

    async def write(self, text: str, *, role: Role = Role.CALLER) -> None:
        """Add a turn."""
        async with self._db.write() as session:
            conversation = await conversations.by_id(session, self._id)
            position = await conversations.next_position(session, self._id)
            said = Said(f"text_{position}", position, role, text, NOW)
            await write_turn(session, conversation, said)

    async def answer(self) -> TextReply:
        """Return the assistant's answer, kept by nobody."""
        assistant = TextAssistant(
            self._db,
            self.profile,
            self._models,
            self._settings,
            zone=ZONE,
            now=NOW,
            may_spend=self._may_spend,
        )
        return await assistant.reply(await self.conversation())

    async def says(self, text: str) -> TextReply:
        """Write a message and return the answer, once it is written down."""
        if not self._id.int:
            await self.begin()
        await self.write(text)
        reply = await self.answer()
        await self.write(reply.text, role=Role.ASSISTANT)
        async with self._db.write() as session:
            conversation = await conversations.by_id(session, self._id)
            conversation.state = {**conversation.state, **reply.state}
            conversation.language = reply.language or conversation.language
        self.replies.append(reply)
        return reply

    async def lead(self) -> dict[str, str | None]:
        """Return the values that count."""
        async with self._db.read() as session:
            rows = await values.current(session, (await self.conversation()).lead_id)
        return {name: row.value for name, row in rows.items()}

    async def stage(self) -> str:
        async with self._db.read() as session:
            lead = await session.get_one(Lead, (await self.conversation()).lead_id)
        return lead.stage
