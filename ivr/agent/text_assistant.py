"""Answers one written message, on any channel: by a model, or by the rules when there is none.

It reads the transcript and commits the values it is told. It writes no turn and sends nothing:
that, and whether a person is to take over, is for whoever asked (`channels.desk`).
"""

import time
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import structlog

from ivr.agent import text_router, text_turn
from ivr.agent.goodbye import caller_says_goodbye, is_goodbye
from ivr.agent.text_bill import Bill
from ivr.agent.text_findings import Findings, findings
from ivr.agent.text_instructions import Situation, text_instructions
from ivr.agent.text_model import ModelTurn, TextModelTurn, asks
from ivr.agent.text_rules import TextRules
from ivr.agent.text_turn import TextTurn
from ivr.agent.tool_schemas import text_tools
from ivr.agent.toolbox import ToolBox
from ivr.db import Database
from ivr.db.tables import Conversation, Trigger
from ivr.errors import ModelError
from ivr.leads.profile import Profile
from ivr.settings import Settings
from ivr.vendors.llm import TextModel, TextModels

ASKED = "the contact asked for a person"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextReply:
    """What to answer. `state` belongs into the conversation's state, with the turn of the answer.

    `ends`: why the episode is over. `confidence`: the model's in itself, None when it gave none.
    `escalate` and `reason`: that, and why, a person is to take over. `told`: the fields of which
    it wrote something down.
    """

    text: str
    by: Literal["model", "rules"]
    ends: str | None = None
    language: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    confidence: float | None = None
    escalate: Trigger | None = None
    reason: str = ""
    state: dict[str, Any] = field(default_factory=dict)
    told: frozenset[str] = frozenset()


class TextAssistant:
    """The assistant for one written answer; `may_spend` says whether the budget allows a model."""

    def __init__(
        self,
        db: Database,
        profile: Profile,
        models: TextModels,
        settings: Settings,
        *,
        zone: ZoneInfo,
        now: datetime,
        may_spend: bool = True,
    ) -> None:
        self.bill = Bill()  # also of an answer that never came
        self._db = db
        self._profile = profile
        self._models = models
        self._seconds = settings.text_model_seconds
        self._zone = zone
        self._now = now
        self._may_spend = may_spend

    async def reply(self, conversation: Conversation, turn: TextTurn | None = None) -> TextReply:
        """Return the answer to what the contact wrote last; "" when nothing waits for one.

        `turn` is what there is to answer, for who has just read it.
        """
        turn = turn or await text_turn.read(self._db, conversation)
        if not turn.unanswered:
            return TextReply(text="", by="rules", language=turn.language)
        tools = self._tools(conversation)
        if await tools.hear_denial(turn.message):
            turn = await text_turn.read(self._db, tools.conversation)
        reply = await self._by_model(turn, tools)
        if reply is None and self.bill.has_asked:  # it may have saved something before it failed
            turn = await text_turn.read(self._db, tools.conversation)
        if reply is None:
            reply = await self._by_rules(turn, tools)
        else:
            await self._extract_and_update_lead_data(turn, tools)
        if reply.by == "model" and reply.escalate is None:
            reply = replace(reply, ends=await self._end_of(reply, turn, tools))
        told = frozenset(tools.told)
        return replace(reply, usage=self.bill.of(reply.by), language=turn.language, told=told)

    def _tools(self, conversation: Conversation) -> ToolBox:
        return ToolBox(
            self._db,
            self._profile,
            conversation,
            zone=self._zone,
            now=lambda: self._now,
            written=True,
        )

    # --- by a model ---

    async def _by_model(self, turn: TextTurn, tools: ToolBox) -> TextReply | None:
        """Return a model's answer, None when no model gives one in time."""
        if not self._models.for_role("reply") or not self._may_spend:
            return None
        until = time.monotonic() + self._seconds
        models = await self._choose(turn, until=until)
        for left, model in zip(range(len(models), 0, -1), models, strict=True):
            now = time.monotonic()
            share = now + (until - now) / left  # the next one is to have time, too
            try:
                return _reply_of(await self._ask(model, turn, tools, until=share))
            except ModelError as exc:
                log.warning("text model failed", model=model.name, problem=str(exc))
                turn = await text_turn.read(self._db, tools.conversation)
        return None

    async def _choose(self, turn: TextTurn, *, until: float) -> list[TextModel]:
        """Return the models to ask: the small ones for what is simple, the large ones else."""
        small, large = self._models.for_role("route"), self._models.for_role("reply")
        if small == large:
            return list(large)
        route = await text_router.route(
            small[0],
            message=turn.message,
            asked=turn.last_words,
            seconds=until - time.monotonic(),
        )
        self.bill.routed(small[0], route)
        return list(small if route.decision == "simple" else large)

    async def _ask(
        self, model: TextModel, turn: TextTurn, tools: ToolBox, *, until: float
    ) -> ModelTurn:
        attempt = TextModelTurn(
            model,
            tools,
            instructions=text_instructions(self._profile, self._situation(turn)),
            schemas=text_tools(self._profile),
            until=until,
        )
        try:
            return await attempt.run(turn.turns)
        finally:
            self.bill.asked(model, attempt.result.used)

    def _situation(self, turn: TextTurn) -> Situation:
        return Situation(
            channel=turn.conversation.channel,
            known=turn.known,
            today=self._today,
            is_first=turn.is_first,
            language=turn.language,
            number=turn.conversation.from_number,
            is_returning=turn.is_returning,
        )

    async def _end_of(self, reply: TextReply, turn: TextTurn, tools: ToolBox) -> str | None:
        """Return why the episode ends, also where the model did not say so by its tool."""
        if reply.ends:
            return reply.ends
        if not asks(reply.text) and not await tools.missing():
            return "complete"
        profile = self._profile.in_language(turn.language or "")
        is_mutual = caller_says_goodbye(turn.message) and is_goodbye(profile, reply.text)
        return "caller_goodbye" if is_mutual else None

    # --- by the rules ---

    async def _by_rules(self, turn: TextTurn, tools: ToolBox) -> TextReply:
        rules = TextRules(self._profile, tools, turn, today=self._today)
        done, kept = await rules.answer(self._findings(turn))
        is_handed_over = done.ends == "transfer"
        asks_person = done.asks_person or is_handed_over
        return TextReply(
            text=done.say,
            by="rules",
            ends=None if is_handed_over else done.ends,
            escalate=Trigger.ASKED if asks_person else None,
            reason=ASKED if asks_person else "",
            state=kept,
        )

    # --- after every turn ---

    async def _extract_and_update_lead_data(self, turn: TextTurn, tools: ToolBox) -> None:
        """Save what the contact's messages say of fields that nobody has tried to save, and have
        the stage worked out again (S0.21, S0.40).
        """
        await tools.save_told((), self._findings(turn))

    def _findings(self, turn: TextTurn) -> Findings:
        return findings(self._profile, turn.turns, turn.known, today=self._today)

    @property
    def _today(self) -> date:
        return self._now.astimezone(self._zone).date()


def _reply_of(result: ModelTurn) -> TextReply:
    return TextReply(
        text=result.text,
        by="model",
        ends=None if result.asks_person else result.ends,
        confidence=result.confidence,
        escalate=Trigger.ASKED if result.asks_person else None,
        reason=ASKED if result.asks_person else "",
    )
