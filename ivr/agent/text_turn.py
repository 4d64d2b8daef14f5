"""What an answer to a written message is made of: the transcript, and what is known. Reads only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property

from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import conversations
from ivr.agent.language import detect, follow
from ivr.db import Database
from ivr.db.tables import Channel, Conversation, FieldValue, Role, Turn
from ivr.leads import values
from ivr.leads.people import identity
from ivr.messages import opt_out

LONGEST = 4_000  # characters of a message that anybody reads
MOST_AT_ONCE = 10
MOST_TURNS = 60  # who texts for years has thousands
GREETED_AGAIN = timedelta(hours=12)  # after this long without a word


@dataclass(frozen=True)
class TextTurn:
    """One turn: the transcript up to the contact's messages that nobody has answered yet."""

    conversation: Conversation
    turns: Sequence[Turn]
    known: Mapping[str, str]
    history: Sequence[FieldValue] = ()

    @cached_property
    def unanswered(self) -> list[Turn]:
        """The contact's messages since the last answer."""
        found: list[Turn] = []
        for turn in reversed(self.turns):
            if turn.role != Role.CALLER:
                break
            found.append(turn)
        return found[::-1]

    @property
    def messages(self) -> list[str]:
        """What is to be answered, as far as anybody reads it."""
        texts = [turn.text for turn in self.unanswered]
        if self.conversation.channel in Channel.by_message():
            texts = _behind_stop(texts)
        return [text[:LONGEST] for text in texts[-MOST_AT_ONCE:]]

    @property
    def message(self) -> str:
        """What is to be answered as one: several messages are its clauses."""
        return ", ".join(filter(None, self.messages))[-LONGEST:]

    @cached_property
    def language(self) -> str | None:
        """The language to answer in, None when nobody knows."""
        found = detect(self.message)
        known = () if found is None else (found,)
        return follow(self.message, now=self.conversation.language, known=known)

    @property
    def answered(self) -> str:
        """The name of the contact's last message that was answered, "" before the first answer."""
        before = self.turns[: len(self.turns) - len(self.unanswered)]
        return next((turn.item_id for turn in reversed(before) if turn.role == Role.CALLER), "")

    @cached_property
    def last(self) -> Turn | None:
        """What the contact was told last, None before the first answer."""
        before = self.turns[: len(self.turns) - len(self.unanswered)]
        return before[-1] if before else None

    @property
    def last_words(self) -> str:
        return self.last.text if self.last else ""

    @property
    def is_first(self) -> bool:
        """Whether a greeting is due: nobody has answered yet, or not for long."""
        if self.last is None:
            return True
        return self.unanswered[0].said_at - self.last.said_at > GREETED_AGAIN

    @property
    def is_returning(self) -> bool:
        """Whether they have written or called before; a form brings values with the first word."""
        elsewhere = any(row.conversation_id != self.conversation.id for row in self.history)
        return elsewhere or self.last is not None


def _behind_stop(texts: list[str]) -> list[str]:
    """Return what follows their last STOP and START, always the last one: those answer nothing."""
    stops = [at for at, text in enumerate(texts) if opt_out.is_refusal(text)]
    behind = texts[stops[-1] + 1 :] if stops else texts
    commands = [opt_out.read(text) for text in behind]
    if stops and "start" in commands:
        behind = behind[commands.index("start") + 1 :]
    return behind or texts[-1:]


async def read(db: Database, conversation: Conversation) -> TextTurn:
    """Return the turn that a conversation waits for."""
    async with db.read() as session:
        fresh = await session.get_one(Conversation, conversation.id)
        return replace(await read_in(session, fresh), conversation=conversation)


async def read_in(session: AsyncSession, conversation: Conversation) -> TextTurn:
    """Return the same for who has a transaction, and has just read the conversation in it."""
    turns = await conversations.latest_turns(session, conversation.id, MOST_TURNS)
    rows = await values.history(session, conversation.lead_id)
    known = values.told(await identity.among(session, conversation, rows))
    turns = [turn for turn in turns if not identity.is_anothers(conversation, turn.said_at)]
    return TextTurn(conversation, turns, known, rows)
