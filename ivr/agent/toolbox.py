"""Carries out what the assistant asks for: checks a value, commits it, answers in usable words.

"Saved" may be said only after the commit, so every answer here comes after it. What the tools look
like to a model stands in `tool_schemas`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.agent.tool_schemas import END_REASONS
from ivr.db import Database
from ivr.db.tables import Conversation, FieldValue, Source, utc_now
from ivr.errors import ProfileError
from ivr.leads import stages, tasks, values
from ivr.leads.fields import Accepted, Checked, Doubtful, Refused, check, spoken
from ivr.leads.profile import Field, Profile

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a tool says to the model (`output` is JSON), and what it means for the conversation."""

    output: str
    ends: str | None = None
    transfer: bool = False


class ToolBox:
    """The tools of one conversation."""

    def __init__(
        self,
        db: Database,
        profile: Profile,
        conversation: Conversation,
        *,
        zone: ZoneInfo,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._db = db
        self._profile = profile
        self._conversation = conversation
        self._zone = zone
        self._now = now

    async def run(self, name: str, arguments: str) -> ToolOutput:
        """Run the tool `name`; whatever the model got wrong is answered in words, never raised."""
        try:
            given = json.loads(arguments)
        except ValueError:
            given = None
        if not isinstance(given, dict):
            return _problem("the arguments were not a JSON object; call the tool again")
        try:
            return await self._dispatch(name, given)
        except ProfileError as exc:
            return _problem(str(exc))

    async def _dispatch(self, name: str, given: Mapping[str, Any]) -> ToolOutput:
        match name:
            case "save_field":
                return await self.save_field(
                    _text(given, "name"),
                    _text(given, "value"),
                    heard_as=_text(given, "heard_as"),
                    insisted=given.get("insisted") is True,
                )
            case "confirm_field":
                return await self.confirm_field(
                    _text(given, "name"), confirmed=given.get("confirmed") is True
                )
            case "end_call":
                reason = _text(given, "reason")
                known = reason if reason in END_REASONS else "complete"
                return ToolOutput(_json(ending=True), ends=known)
            case "promise_call_back":
                await self.ask_call_back()
                return ToolOutput(_json(promised=True))
            case "transfer_to_person":
                return await self._transfer()
        return _problem(f"there is no tool {name}")

    async def save_field(
        self,
        name: str,
        value: str,
        *,
        heard_as: str = "",
        insisted: bool = False,
        source: Source = Source.TOOL,
    ) -> ToolOutput:
        """Check and commit one value; answer what was saved, or why not, and what is missing."""
        field, now = self._profile.field(name), self._now()
        today = now.astimezone(self._zone).date()
        checked = check(field, value, today=today, insisted=insisted)
        accepted = checked if isinstance(checked, Accepted) else None
        async with self._db.write() as session:
            await values.add(
                session,
                self._conversation,
                name=name,
                value=accepted.value if accepted else None,
                raw=value,
                source=source,
                problem=_why_not(checked),
                quote=heard_as or None,
                details=accepted.details if accepted else None,
                now=now,
            )
            held = await self._assess(session, now)
        return ToolOutput(_saved(field, checked, held, self._missing(held)))

    async def confirm_field(self, name: str, *, confirmed: bool) -> ToolOutput:
        """Note that the caller agreed with what was read back, or that it is wrong."""
        field, now = self._profile.field(name), self._now()
        async with self._db.write() as session:
            held = (await values.current(session, self._conversation.lead_id)).get(name)
            if held is None:
                return _problem(f"{name} has no value yet; ask: {field.ask}")
            await values.add(
                session,
                self._conversation,
                name=name,
                value=held.value if confirmed else None,
                raw=held.raw,
                source=Source.CONFIRMED,
                problem=None if confirmed else "the caller said that this is wrong",
                quote=held.quote,
                details=held.details,
                now=now,
            )
            missing = self._missing(await self._assess(session, now))
        return ToolOutput(_json(field=name, confirmed=confirmed, missing=missing))

    async def _assess(self, session: AsyncSession, now: datetime) -> dict[str, FieldValue]:
        """Move the lead to where its values put it; return them."""
        lead = await stages.lock(session, self._conversation.lead_id)
        held = await values.current(session, lead.id)
        await stages.assess(session, lead, self._profile, held, met=True, now=now)
        return held

    def _missing(self, held: Mapping[str, FieldValue]) -> list[str]:
        """Return what is still to be asked: a number that only the network told is, too."""
        given = {name for name, row in held.items() if row.source != Source.CALLER_ID}
        return [field.key for field in self._profile.required if field.key not in given]

    async def ask_call_back(self) -> None:
        """Have a person call back: the caller asked for one."""
        async with self._db.write() as session:
            await tasks.ask_call_back(
                session, self._conversation, "the caller asked for a person", now=self._now()
            )

    async def _transfer(self) -> ToolOutput:
        if self._profile.transfer_number is None:
            await self.ask_call_back()
            return _problem("nobody can take the call now; say that a person will call back")
        return ToolOutput(_json(transferring=True), transfer=True)


def _saved(
    field: Field, checked: Checked, held: Mapping[str, FieldValue], missing: list[str]
) -> str:
    match checked:
        case Accepted(value=value, ask_more=ask_more):
            is_confirmed = held[field.key].source == Source.CONFIRMED
            answer = {
                "saved": True,
                "field": field.key,
                "value": value,
                "read_back": spoken(field, value),
                "confirm": field.confirm and not is_confirmed,
                "missing": missing,
            }
            return _json(**answer, ask_more=ask_more) if ask_more else _json(**answer)
        case Doubtful(suggestion=suggestion, question=question):
            return _json(saved=False, field=field.key, ask_back=question, suggestion=suggestion)
        case Refused(reason=reason):
            return _json(saved=False, field=field.key, problem=reason)


def _why_not(checked: Checked) -> str | None:
    match checked:
        case Doubtful(question=question):
            return question
        case Refused(reason=reason):
            return reason
    return None


def _text(given: Mapping[str, Any], key: str) -> str:
    """Return a text or a number as text; "" for everything else that is no answer."""
    value = given.get(key)
    is_plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    return str(value) if is_plain else ""


def _json(**answer: Any) -> str:
    return json.dumps(answer, ensure_ascii=False)


def _problem(problem: str) -> ToolOutput:
    return ToolOutput(_json(saved=False, problem=problem))
