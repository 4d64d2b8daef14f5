"""One written turn without a model: the rules collector asks, and understands what it can.

It may have to go on where a model has talked: then it knows the values and not the question, takes
the message for an answer to anything that is missing, and says nothing about it when it is none.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from ivr.agent.acts import Act, Confirm, Deny, Save, Say
from ivr.agent.collector import Collector
from ivr.agent.performance import STATE, Performed, perform
from ivr.agent.text_findings import Findings
from ivr.agent.text_turn import TextTurn
from ivr.agent.tool_schemas import SHARE_DEMO
from ivr.agent.toolbox import DEMO_SHARED, ToolBox
from ivr.agent.understanding import best, is_polite, request, volunteered
from ivr.db.tables import Source
from ivr.leads.extraction import asked_in
from ivr.leads.field_types.speech import knows_nothing
from ivr.leads.fields import Accepted
from ivr.leads.profile import Field, Profile

_AFTER = "collector_after"  # in a conversation's state: the message that the rules answered last
_COMMON = frozenset("the and for your you are what which have with that this can may".split())


class TextRules:
    """The rules collector at one turn of a written conversation."""

    def __init__(self, profile: Profile, tools: ToolBox, turn: TextTurn, *, today: date) -> None:
        self._profile = profile
        self._tools = tools
        self._turn = turn
        self._today = today

    async def answer(self, found: Findings) -> tuple[Performed, dict[str, Any]]:
        """Return what to say, the values committed, and what to keep in the state.

        `found` is what the messages say besides.
        """
        collector, acts = self._heard()
        told = [act for act in acts if isinstance(act, Save | Confirm | Deny)]
        others = [act for act in acts if act not in told]
        done = await perform(self._tools, others, source=Source.TYPED)
        if done.ends == "complete" and DEMO_SHARED not in self._turn.known:
            done = await self._with_demo(done)
        await self._tools.save_told(told, found)  # last: it moves the lead, for the demo as well
        kept = {STATE: collector.dump(), _AFTER: self._turn.unanswered[-1].item_id}
        return done, kept

    async def _with_demo(self, done: Performed) -> Performed:
        """Send the demo with the goodbye, where the profile has one; by the tool of the models."""
        demo = self._profile.demo
        if demo is None or SHARE_DEMO not in self._profile.tools:
            return done
        await self._tools.run(SHARE_DEMO, "{}")
        return replace(done, say=f"{demo.text}: {demo.url}\n{done.say}")

    def _heard(self) -> tuple[Collector, list[Act]]:
        state = self._turn.conversation.state
        goes_on = state.get(_AFTER) == self._turn.answered and STATE in state
        if self._turn.is_first:
            return self._hear(self._collector(self._turn.known))  # greets
        if goes_on and self._turn.message:
            profile, known = self._profile, self._turn.known
            collector = Collector.load(profile, state[STATE], today=self._today, known=known)
            if collector.expects.kind != "done":
                return self._hear(collector)
            return self._take_up(collector)
        return self._take_up()

    def _hear(self, collector: Collector) -> tuple[Collector, list[Act]]:
        """Hear one message after the other. Who wrote several had not read our questions to them:
        those that answer nothing are passed over.
        """
        first, *others = [text for text in self._turn.messages if text] or [""]
        acts = collector.hear(first)
        greeting = _greeting(collector, acts) if self._turn.is_first else ""
        for text in others:
            tried = Collector.load(self._profile, collector.dump(), today=self._today)
            more = tried.overhear(text)
            if not all(isinstance(act, Say) for act in more):
                silent = [act for act in acts if not isinstance(act, Say)]
                collector, acts = tried, [*silent, *_begun_with(greeting, more)]
        return collector, acts

    def _take_up(self, ended: Collector | None = None) -> tuple[Collector, list[Act]]:
        """Go on where somebody else has talked, or where we had come to an end."""
        message = self._turn.message
        found = {} if ended and is_polite(message) else self._found(message)
        told = {key: answer.value for key, answer in found.items()}
        collector = self._collector({**self._turn.known, **told})
        opening = collector.open(greet=False)
        if message and not found:
            last = ended or collector
            if last.expects.kind == "done" and (acts := last.hear_after(message)):
                return last, acts
            if collector.expects.kind != "done" and request(message):
                return collector, collector.hear(message)
        saved = [Save(key, answer.value, message) for key, answer in found.items()]
        return collector, [*saved, *opening]

    def _collector(self, known: Mapping[str, str]) -> Collector:
        return Collector(
            self._profile,
            today=self._today,
            known=known,
            caller_number=self._turn.conversation.from_number,
            medium="text",
            language=self._turn.language,
            returns=self._turn.is_returning,
        )

    def _found(self, message: str) -> dict[str, Accepted]:
        """Return the answers in a message to questions that we may not have asked ourselves."""
        asked = self._asked()
        fields, known = self._profile.told, self._turn.known
        found = volunteered(asked, fields, known, message, today=self._today)
        if asked is not None and not request(message) and not _is_no_answer(asked, message):
            # What nobody asks for is only told along the way: "next month" answers both.
            told = [self._profile.field(key) for key in found]
            extras = [field for field in told if field.asked]
            verdict = best(asked, message, extras, today=self._today)
            if isinstance(verdict, Accepted):
                found[asked.key] = verdict
        return found

    def _asked(self) -> Field | None:
        """Return the missing field that the last words asked for, None when that is unknown."""
        profile = self._profile.in_language(self._turn.language or "")
        asked = asked_in(profile, self._turn.last_words)
        if asked is None:
            missing = [it for it in profile.required if it.key not in self._turn.known]
            asked = named_in(missing, self._turn.last_words)
        return asked if asked is not None and asked.key not in self._turn.known else None


def named_in(fields: Iterable[Field], text: str) -> Field | None:
    """Return the one field that the question in `text` is about, in whatever words: "And your
    educational background?" asks for the education level. None when it may be several, or none.
    """
    question = re.findall(r"[^.!?؟]*[?؟]", text)
    asked = _stems(question[-1] if question else "")
    named = [item for item in fields if asked & _stems(f"{item.label} {item.key}")]
    return named[0] if len(named) == 1 else None


def _stems(text: str) -> set[str]:
    """Return the beginnings of the words that may tell what a text is about."""
    words = re.findall(r"[^\W\d_]+", text.casefold())
    return {word[:5] for word in words if len(word) >= 3} - _COMMON


def _is_no_answer(asked: Field, message: str) -> bool:
    """Whether a question or "no idea" came where any words would be taken for the answer."""
    is_none = message.rstrip().endswith(("?", "؟")) or knows_nothing(message)
    return asked.type == "free_text" and is_none


def _greeting(collector: Collector, acts: Sequence[Act]) -> str:
    """Return what was said before the first question."""
    said = " ".join(act.text for act in acts if isinstance(act, Say))
    return said.removesuffix(collector.question).strip()


def _begun_with(greeting: str, acts: Sequence[Act]) -> list[Act]:
    return [Say(f"{greeting} {it.text}".strip()) if isinstance(it, Say) else it for it in acts]
