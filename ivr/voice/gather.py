"""The conversation without a model: Twilio listens and speaks, the rules collector asks.

It takes over when the model cannot be reached or is lost, with what was collected so far. One
webhook is one step; between steps the dialogue lies in the conversation's row. No web, no TwiML.
"""

import uuid
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from ivr import conversations
from ivr.agent.acts import Act, Confirm, Deny, End, Save, Say
from ivr.agent.collector import Collector
from ivr.agent.toolbox import ToolBox
from ivr.conversations import Said
from ivr.db import Database
from ivr.db.tables import Conversation, Role, Source
from ivr.leads import values
from ivr.leads.profile import Profile

CUT_OFF = "Sorry, we were cut off."
# Twilio asks again within this time, or the caller is gone: its answer, the prompt, the silence.
PATIENCE = timedelta(seconds=90)
_STATE = "collector"
_ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class Reply:
    """What to say next; `ends` is the reason when nothing is to be heard after it."""

    say: str
    ends: str | None = None


def is_under_way(conversation: Conversation) -> bool:
    """Return whether the caller of a conversation was handed to this dialogue."""
    return _STATE in conversation.state


class GatherDialogue:
    """The dialogue of one conversation, one step at a time."""

    def __init__(
        self,
        db: Database,
        profile: Profile,
        conversation: Conversation,
        *,
        zone: ZoneInfo,
        now: datetime,
    ) -> None:
        self._db = db
        self._profile = profile
        self._conversation = conversation
        self._now = now
        self._today = now.astimezone(zone).date()
        self._tools = ToolBox(db, profile, conversation, zone=zone, now=lambda: now)

    async def open(self, *, token: str = "") -> Reply:
        """Greet and ask the first question, or apologise and go on where the call was cut off.

        A request with the `token` of the one before is the same one again, and so is the reply.
        """
        if (before := self._given_before(token)) is not None:
            return before
        async with self._db.read() as session:
            held = await values.current(session, self._conversation.lead_id)
            begun = bool(await conversations.transcript(session, self._conversation.id))
        known = {
            name: row.value
            for name, row in held.items()
            if row.value is not None and row.source != Source.CALLER_ID
        }
        collector = Collector(
            self._profile,
            today=self._today,
            known=known,
            caller_number=self._conversation.from_number,
        )
        reply = await self._perform(collector.open(greet=not begun), keyed=False)
        if begun:
            reply = Reply(f"{CUT_OFF} {reply.say}", reply.ends)
        await self._keep(collector, heard=None, reply=reply, token=token)
        return reply

    async def hear(self, text: str, *, keyed: bool = False, token: str = "") -> Reply:
        """Take an answer, "" when nothing was heard, and return what to say to it; as `open`."""
        if (before := self._given_before(token)) is not None:
            return before
        state = self._conversation.state.get(_STATE)
        if state is None:
            return await self.open(token=token)
        collector = Collector.load(self._profile, state, today=self._today)
        reply = await self._perform(collector.hear(text, keyed=keyed), keyed=keyed)
        await self._keep(collector, heard=text or None, reply=reply, token=token)
        return reply

    def _given_before(self, token: str) -> Reply | None:
        last = self._conversation.state.get(_ANSWERED, {})
        if not token or last.get("token") != token:
            return None
        return Reply(last["say"], last["ends"])

    async def _perform(self, acts: list[Act], *, keyed: bool) -> Reply:
        said: list[str] = []
        ends: str | None = None
        for act in acts:
            match act:
                case Say(text=text):
                    said.append(text)
                case Save(name=name, value=value, heard_as=heard_as, insisted=insisted):
                    await self._tools.save_field(
                        name,
                        value,
                        heard_as=heard_as,
                        insisted=insisted,
                        source=Source.TYPED if keyed else Source.TOOL,
                    )
                case Confirm(name=name):
                    await self._tools.confirm_field(name, confirmed=True)
                case Deny(name=name):
                    await self._tools.confirm_field(name, confirmed=False)
                case End(reason=reason):
                    ends = reason
        return Reply(" ".join(said), ends)

    async def _keep(
        self, collector: Collector, *, heard: str | None, reply: Reply, token: str
    ) -> None:
        """Commit the dialogue and both turns, and give the caller time for the next step."""
        async with self._db.write() as session:
            await conversations.continue_until(session, self._conversation.id, self._now + PATIENCE)
            conversation = await conversations.by_id(session, self._conversation.id)
            conversation.state = {
                **conversation.state,
                _STATE: collector.dump(),
                _ANSWERED: {"token": token, **asdict(reply)},
            }
            for role, text in ((Role.CALLER, heard), (Role.ASSISTANT, reply.say)):
                if text:
                    said = Said(
                        item_id=f"gather_{uuid.uuid4().hex}",
                        position=await conversations.next_position(session, conversation.id),
                        role=role,
                        text=text,
                        said_at=self._now,
                    )
                    await conversations.write_turn(session, conversation, said)
                    await session.flush()
