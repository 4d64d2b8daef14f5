"""What waits for one answer, what was decided about it, and what came of that. Plain data."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ivr.agent.opening import when
from ivr.agent.phrases import Phrases
from ivr.agent.text_assistant import TextReply
from ivr.agent.text_turn import TextTurn
from ivr.channels import answers
from ivr.channels.inbound import Answer
from ivr.costs.usage import Used
from ivr.db.tables import Conversation, InboundEvent, Tenant, TenantStatus, Trigger
from ivr.leads.profile import Profile

Handover = tuple[Trigger, str]


@dataclass(frozen=True, slots=True)
class Batch:
    """The events that one answer is for, and all that it is made of."""

    lease: datetime
    tenant: Tenant
    profile: Profile
    conversation: Conversation
    events: tuple[InboundEvent, ...]
    exchanges: int
    turn: TextTurn

    @property
    def text(self) -> str:
        """What the contact said."""
        return "\n".join(filter(None, map(answers.text_of, self.events)))

    @property
    def told(self) -> set[str]:
        """The fields told in it before: beside its words, or to a process that died over it."""
        since, key = self.events[0].received_at, self.conversation.id
        rows = [row for row in self.turn.history if row.conversation_id == key]
        return {row.name for row in rows if row.created_at >= since}

    @property
    def to_person(self) -> str:
        """What the contact is told when a person takes over, or will once somebody is there."""
        opens = when(self.profile, self.language)
        return self.phrases.say("closed", when=opens) if opens else self.phrases.say("to_person")

    @property
    def language(self) -> str:
        """The language of the contact, who may have told it by this very message."""
        return self.profile.language_for(self.turn.language)

    @property
    def phrases(self) -> Phrases:
        """The sentences in which no assistant answers."""
        return Phrases(self.language, "text")

    @property
    def is_silent(self) -> bool:
        """Whether a person has taken the conversation, or the business, since it was written."""
        return self.conversation.assistant_paused or self.tenant.status != TenantStatus.ACTIVE


@dataclass(frozen=True, slots=True)
class Decision:
    """What is said, and why a person is to take over; `is_broken`: the assistant had no answer.

    `used` is what models took for it.
    """

    reply: TextReply
    handover: Handover | None = None
    is_broken: bool = False
    used: Sequence[Used] = ()

    def words(self, batch: Batch) -> str:
        """Return what the contact gets, who is told of a person who takes over."""
        is_told = self.handover is None or self.reply.escalate is not None
        return self.reply.text if is_told else batch.to_person


@dataclass(frozen=True, slots=True)
class Settled:
    """An answer that is committed; `more`: the contact has said something else meanwhile.

    `writes`: messages go out.
    """

    answer: Answer
    more: bool
    writes: bool
