"""Carries out what the assistant asks for: checks a value, commits it, answers in usable words.

"Saved" may be said only after the commit, so every answer here comes after it. What the tools look
like to a model stands in `tool_schemas`.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.agent.acts import Confirm, Deny, Save
from ivr.agent.dialogue import STATE
from ivr.agent.mistaken_identity import denial
from ivr.agent.opening import when
from ivr.agent.tool_output import ToolOutput, dumped, problem
from ivr.agent.tool_schemas import END_REASONS, SHARE_DEMO
from ivr.db import Database
from ivr.db.engine import despite_races
from ivr.db.tables import Conversation, FieldValue, Lead, Source, utc_now
from ivr.errors import ProfileError
from ivr.leads import values
from ivr.leads.attention import tasks
from ivr.leads.fields import Accepted, Checked, Doubtful, Refused, check, spoken
from ivr.leads.people import identity
from ivr.leads.people.same_name import shares_a_word
from ivr.leads.profile import Field, Profile
from ivr.leads.progress import stages

DEMO_SHARED = "demo_shared"  # the field that a profile with a demo has

log = structlog.get_logger(__name__)


class ToolBox:
    """The tools of one conversation.

    `written`: nothing is misheard, so nothing is read back; and the lead moves once for all that a
    turn brings, at its end (`save_told`).
    """

    def __init__(
        self,
        db: Database,
        profile: Profile,
        conversation: Conversation,
        *,
        zone: ZoneInfo,
        now: Callable[[], datetime] = utc_now,
        written: bool = False,
    ) -> None:
        self._db = db
        self._profile = profile
        self._conversation = conversation
        self._zone = zone
        self._now = now
        self._written = written
        self._taken_back = False  # in this turn, so the stage may go back
        self.told: set[str] = set()  # the fields of which something was written down

    async def run(self, name: str, arguments: str) -> ToolOutput:
        """Run the tool `name`; whatever the model got wrong is answered in words, never raised."""
        try:
            given = json.loads(arguments)
        except ValueError:
            given = None
        if not isinstance(given, dict):
            return problem("the arguments were not a JSON object; call the tool again")
        try:
            return await self._dispatch(name, given)
        except ProfileError as exc:
            return problem(str(exc))

    async def _dispatch(self, name: str, given: Mapping[str, Any]) -> ToolOutput:
        match name:
            case "save_field":
                return await self.save_field(
                    self._told(_text(given, "name")),
                    _text(given, "value"),
                    heard_as=_text(given, "heard_as"),
                    insisted=given.get("insisted") is True,
                )
            case "confirm_field":
                return await self.confirm_field(
                    self._told(_text(given, "name")), confirmed=given.get("confirmed") is True
                )
            case "end_call":
                reason = _text(given, "reason")
                known = reason if reason in END_REASONS else "complete"
                return ToolOutput(dumped(ending=True), ends=known)
            case "not_this_person":
                recycled = given.get("number_is_theirs_now") is True
                return await self.not_this_person(recycled=recycled)
            case "promise_call_back":
                await self.ask_call_back()
                return ToolOutput(dumped(promised=True))
            case "transfer_to_person":
                return await self._transfer()
            case name if name == SHARE_DEMO and name in self._profile.tools:
                return await self._share_demo(given)
        return problem(f"there is no tool {name}")

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
        async with self._db.write() as session:
            checked, _ = await self._put(
                session, field, value, heard_as=heard_as, insisted=insisted, source=source, now=now
            )
            held = await self._assess(session, now)
        return ToolOutput(self._saved(field, checked, held))

    async def save_told(
        self, acts: Iterable[Save | Confirm | Deny], found: Mapping[str, tuple[str, str]]
    ) -> None:
        """Commit all that rules understood of what the contact wrote, and move the lead, once for
        everything that the turn has brought (S0.22).

        `found` has values and the words around them by field; what anybody has tried to save before
        is left as it is: they knew better.
        """
        now = self._now()
        async with self._db.write() as session:
            lead = await stages.lock(session, self._conversation.lead_id)
            rows = await values.history(session, lead.id)
            for act in acts:
                await self._carry_out(session, act, rows, now=now)
                self._taken_back |= isinstance(act, Deny)
            await self._put_found(session, found, rows, now=now)
            await self._move(session, lead, rows, now, taken_back=self._taken_back)

    async def _carry_out(
        self,
        session: AsyncSession,
        act: Save | Confirm | Deny,
        rows: list[FieldValue],
        *,
        now: datetime,
    ) -> None:
        """Do what the rules decided, and add it to `rows`, which are the lead's values."""
        field = self._profile.field(act.name)
        if isinstance(act, Save):
            _, row = await self._put(
                session,
                field,
                act.value,
                heard_as=act.heard_as,
                insisted=act.insisted,
                source=Source.TYPED,
                now=now,
            )
            rows.append(row)
            return
        held = (await identity.among(session, self._conversation, rows)).get(act.name)
        if held is not None:
            confirmed = isinstance(act, Confirm)
            rows.append(await self._confirm(session, held, confirmed=confirmed, now=now))

    async def _put_found(
        self,
        session: AsyncSession,
        found: Mapping[str, tuple[str, str]],
        rows: list[FieldValue],
        *,
        now: datetime,
    ) -> None:
        """Add what was found, also to `rows`."""
        tried = {row.name for row in rows if row.source != Source.CALLER_ID}
        shown = {row.name for row in rows}
        for name in found.keys() - tried:
            value, words = found[name]
            _, row = await self._put(
                session,
                self._profile.field(name),
                value,
                heard_as=words,
                insisted=True,
                # The network's number gives way only to one that the contact gave.
                source=Source.TYPED if name in shown else Source.INFERRED,
                now=now,
            )
            rows.append(row)

    async def _share_demo(self, given: Mapping[str, Any]) -> ToolOutput:
        """Save what the model hands over and that the demo goes out, all in one step (S0.31)."""
        now, problems = self._now(), {}
        async with self._db.write() as session:
            for field in self._profile.told:
                value = _text(given, field.key) or _text(given, _short(field.key))
                if not value:
                    continue
                checked, _ = await self._put(session, field, value, source=Source.TOOL, now=now)
                if not isinstance(checked, Accepted):
                    problems[field.key] = _why_not(checked)
            for flag in self._profile.fields:
                if flag.key == DEMO_SHARED:
                    await self._put(session, flag, "yes", source=Source.TOOL, now=now)
            missing = self._missing(await self._assess(session, now))
        demo = self._profile.demo
        send = f"{demo.text}: {demo.url}" if demo else "say that the demo is on its way"
        return ToolOutput(dumped(shared=True, send=send, not_saved=problems, missing=missing))

    async def _put(
        self,
        session: AsyncSession,
        field: Field,
        value: str,
        *,
        source: Source,
        now: datetime,
        heard_as: str = "",
        insisted: bool = False,
    ) -> tuple[Checked, FieldValue]:
        """Check one value and add it, or the attempt."""
        self.told.add(field.key)
        today = now.astimezone(self._zone).date()
        checked = check(field, value, today=today, insisted=insisted)
        accepted = checked if isinstance(checked, Accepted) else None
        row = await values.add(
            session,
            self._conversation,
            name=field.key,
            value=accepted.value if accepted else None,
            raw=value,
            source=source,
            problem=_why_not(checked),
            quote=heard_as or None,
            details=accepted.details if accepted else None,
            now=now,
        )
        return checked, row

    def _told(self, name: str) -> str:
        """Return the name of a field that a contact can tell; raise `ProfileError`."""
        if self._profile.field(name) not in self._profile.told:
            raise ProfileError(f"{name} is not for you to save")
        return name

    async def confirm_field(self, name: str, *, confirmed: bool) -> ToolOutput:
        """Note that the caller agreed with what was read back, or that it is wrong."""
        field, now = self._profile.field(name), self._now()
        async with self._db.write() as session:
            held = (await identity.shown(session, self._conversation)).get(name)
            if held is None:
                return problem(f"{name} has no value yet; ask: {field.ask}")
            await self._confirm(session, held, confirmed=confirmed, now=now)
            missing = self._missing(await self._assess(session, now, taken_back=not confirmed))
        return ToolOutput(dumped(field=name, confirmed=confirmed, missing=missing))

    async def _confirm(
        self, session: AsyncSession, held: FieldValue, *, confirmed: bool, now: datetime
    ) -> FieldValue:
        self.told.add(held.name)
        return await values.add(
            session,
            self._conversation,
            name=held.name,
            value=held.value if confirmed else None,
            raw=held.raw,
            source=Source.CONFIRMED,
            problem=None if confirmed else "the caller said that this is wrong",
            quote=held.quote,
            details=held.details,
            now=now,
        )

    @property
    def conversation(self) -> Conversation:
        """The conversation as it was when it changed hands last."""
        return self._conversation

    async def hear_denial(self, text: str) -> bool:
        """Whether the words say that we take them for somebody else, which we then do no more."""
        denied = denial(text)
        if denied is None:
            return False
        async with self._db.read() as session:
            known = await identity.known(session, self._conversation)
        names = [known.get(it.key) for it in self._profile.fields if it.type == "person_name"]
        if denied.name and not any(shares_a_word(denied.name, name) for name in names):
            return False
        await self.not_this_person(recycled=denied.recycled)
        return True

    async def not_this_person(self, *, recycled: bool) -> ToolOutput:
        """Take them for somebody else from now on, and answer what is to be asked of them."""
        self._conversation, missing = await despite_races(lambda: self._leave(recycled))
        return ToolOutput(dumped(forgotten=True, missing=missing))

    async def _leave(self, recycled: bool) -> tuple[Conversation, list[str]]:
        async with self._db.write() as session:
            left = await identity.not_this_person(
                session, self._conversation, self._profile, recycled=recycled, now=self._now()
            )
            # The rules must not remember the other one either.
            left.state = {key: it for key, it in left.state.items() if key != STATE}
            return left, self._missing(await identity.shown(session, left))

    async def _assess(
        self, session: AsyncSession, now: datetime, *, taken_back: bool = False
    ) -> dict[str, FieldValue]:
        """Move the lead to where its values put it, or note that it is to be moved with the end of
        the turn; return the values that may be shown here.
        """
        lead = await stages.lock(session, self._conversation.lead_id)
        rows = await values.history(session, lead.id)
        if self._written:
            self._taken_back |= taken_back
        else:
            await self._move(session, lead, rows, now, taken_back=taken_back)
        return await identity.among(session, self._conversation, rows)

    async def _move(
        self,
        session: AsyncSession,
        lead: Lead,
        rows: list[FieldValue],
        now: datetime,
        *,
        taken_back: bool = False,
    ) -> None:
        held = values.choose(rows)
        await stages.assess(
            session, lead, self._profile, held, met=True, now=now, taken_back=taken_back
        )

    async def missing(self) -> list[str]:
        """Return what is still to be asked."""
        async with self._db.read() as session:
            return self._missing(await identity.shown(session, self._conversation))

    def _missing(self, held: Mapping[str, FieldValue]) -> list[str]:
        """Return what is still to be asked: a number that only the network told is, too."""
        given = {name for name, row in held.items() if row.source != Source.CALLER_ID}
        return [field.key for field in self._profile.required if field.key not in given]

    def _saved(self, field: Field, checked: Checked, held: Mapping[str, FieldValue]) -> str:
        match checked:
            case Doubtful(suggestion=suggestion, question=question):
                return dumped(
                    saved=False, field=field.key, ask_back=question, suggestion=suggestion
                )
            case Refused(reason=reason):
                return dumped(saved=False, field=field.key, problem=reason)
            case Accepted(value=value, ask_more=ask_more):
                answer: dict[str, Any] = {"saved": True, "field": field.key, "value": value}
                if not self._written:
                    is_confirmed = held[field.key].source == Source.CONFIRMED
                    answer["read_back"] = spoken(field, value)
                    answer["confirm"] = field.confirm and not is_confirmed
                answer["missing"] = self._missing(held)
                return dumped(**answer, ask_more=ask_more) if ask_more else dumped(**answer)

    async def ask_call_back(self) -> None:
        """Have a person call back: the caller asked for one."""
        async with self._db.write() as session:
            await tasks.ask_call_back(
                session, self._conversation, "the caller asked for a person", now=self._now()
            )

    async def _transfer(self) -> ToolOutput:
        if self._profile.transfer_number is None:
            await self.ask_call_back()
            opens = when(self._profile, "en")
            then = f"the business opens {opens} and " if opens else ""
            return problem(f"nobody can take the call now; say that {then}a person will call back")
        return ToolOutput(dumped(transferring=True), transfer=True)


def _why_not(checked: Checked) -> str | None:
    match checked:
        case Doubtful(question=question):
            return question
        case Refused(reason=reason):
            return reason
    return None


def _short(key: str) -> str:
    """Return the short word that models use for a field: "course" for "selected_course"."""
    return {"selected_course": "course", "education_level": "education"}.get(key, key)


def _text(given: Mapping[str, Any], key: str) -> str:
    """Return a text or a number as text; "" for everything else that is no answer."""
    value = given.get(key)
    is_plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    return str(value) if is_plain else ""
