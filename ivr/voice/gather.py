"""The conversation without a model: Twilio listens and speaks, the rules collector asks.

It takes over when the model cannot be reached or is lost, with what was collected so far. One
webhook is one step; between steps the dialogue lies in the conversation's row. No web, no TwiML.
"""

import uuid
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from ivr import conversations
from ivr.agent.acts import Act
from ivr.agent.collector import Collector
from ivr.agent.performance import STATE, perform
from ivr.agent.phrases import Phrases
from ivr.agent.toolbox import ToolBox
from ivr.conversations import Said
from ivr.db import Database
from ivr.db.tables import Conversation, Role, Source
from ivr.leads.people import identity
from ivr.leads.profile import PHONES, Profile
from ivr.voice import bill, transfer

# Twilio asks again within this time, or the caller is gone: its answer, the prompt, the silence.
PATIENCE = timedelta(seconds=90)
_ANSWERED = "answered"
_TURNED_AWAY = "turned_away"
_WHO = frozenset({"person_name", *PHONES})  # the types of the fields that a call back needs


@dataclass(frozen=True, slots=True)
class Reply:
    """What to say next; `ends` is the reason when nothing is to be heard after it."""

    say: str
    ends: str | None = None


def is_under_way(conversation: Conversation) -> bool:
    """Return whether the caller of a conversation was handed to this dialogue."""
    return STATE in conversation.state


def turn_away(conversation: Conversation) -> None:
    """Have the caller asked only for what a call back needs."""
    conversation.state = {**conversation.state, _TURNED_AWAY: True}


def is_turned_away(conversation: Conversation) -> bool:
    """Return whether the caller of a conversation was told that all lines are busy."""
    return _TURNED_AWAY in conversation.state


def only_who(profile: Profile) -> Profile:
    """Return the profile with apology and thanks, and only the fields that say who called."""
    phrases = Phrases(profile.languages[0], "voice")
    return replace(
        profile,
        greeting=phrases.say("busy"),
        closing=phrases.say("called_back"),
        fields=tuple(replace(it, required=True) for it in profile.fields if it.type in _WHO),
        policy="best_effort",  # a name that cannot be understood does not end the dialogue
        transfer_number=None,
    )


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
        self._asked = only_who(profile) if is_turned_away(conversation) else profile
        self._phrases = Phrases(profile.languages[0], "voice")
        self._conversation = conversation
        self._now = now
        self._today = now.astimezone(zone).date()
        self._tools = ToolBox(db, profile, conversation, zone=zone, now=lambda: now)

    async def open(self, *, token: str = "") -> Reply:
        """Greet and ask the first question, or apologise and go on where the call was cut off.

        A request with the `token` of the one before is the same one again, and so is the reply.
        """
        if (before := _last_reply(self._conversation, token)) is not None:
            return before
        async with self._db.read() as session:
            begun = bool(await conversations.transcript(session, self._conversation.id))
        collector = await self._begin_again()
        reply = await self._perform(collector.open(greet=not begun), keyed=False)
        if begun:
            is_back = transfer.is_back(self._conversation, stream=self._conversation.streams + 1)
            first = self._phrases.say("nobody_free" if is_back else "cut_off")
            reply = Reply(f"{first} {reply.say}", reply.ends)
        await self._keep(collector, heard=None, reply=reply, token=token)
        return reply

    async def hear(self, text: str, *, keyed: bool = False, token: str = "") -> Reply:
        """Take an answer, "" when nothing was heard, and return what to say to it; as `open`."""
        if (before := _last_reply(self._conversation, token)) is not None:
            return before
        state = self._conversation.state.get(STATE)
        if state is None:
            return await self.open(token=token)
        if await self._tools.hear_denial(text):
            collector = await self._begin_again()
            acts = collector.open(greet=False)
        else:
            collector = Collector.load(self._asked, state, today=self._today)
            acts = collector.hear(text, keyed=keyed)
        reply = await self._perform(acts, keyed=keyed)
        await self._keep(collector, heard=text or None, reply=reply, token=token)
        return reply

    async def _begin_again(self) -> Collector:
        """Return a dialogue at its beginning, with what need not be asked of this caller."""
        self._conversation = self._tools.conversation
        async with self._db.read() as session:
            known = await identity.known(session, self._conversation)
        return Collector(
            self._asked,
            today=self._today,
            known=known,
            caller_number=self._conversation.from_number,
        )

    async def _perform(self, acts: list[Act], *, keyed: bool) -> Reply:
        source = Source.TYPED if keyed else Source.TOOL
        done = await perform(self._tools, acts, source=source)
        if done.asks_person:
            await self._tools.ask_call_back()
        return Reply(done.say, done.ends)

    async def _keep(
        self, collector: Collector, *, heard: str | None, reply: Reply, token: str
    ) -> None:
        """Commit the dialogue and both turns, and give the caller time for the next step."""
        async with self._db.write() as session:
            await conversations.continue_until(session, self._conversation.id, self._now + PATIENCE)
            conversation = await conversations.lock(session, self._conversation.id)
            if _last_reply(conversation, token) is not None:  # the same request at the same moment
                return
            conversation.state = {
                **conversation.state,
                STATE: collector.dump(),
                _ANSWERED: {"token": token, **asdict(reply)},
                bill.GATHERS: bill.gather_count(conversation) + (reply.ends is None),
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


def _last_reply(conversation: Conversation, token: str) -> Reply | None:
    """Return what was replied to the request with this token; None when it is a new one."""
    last = conversation.state.get(_ANSWERED, {})
    if not token or last.get("token") != token:
        return None
    return Reply(last["say"], last["ends"])
