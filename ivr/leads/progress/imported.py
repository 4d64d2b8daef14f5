"""The old store's file, `conversations_metadata.json`, read into records. Pure.

Times without a zone are the business's own (C10). What has no place in our tables is carried
along as it is, so that it can be written out again.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from ivr.db.tables import Role
from ivr.errors import BadRequest
from ivr.leads.profile import Profile
from ivr.leads.progress import profile_stages

Visit = tuple[str, datetime]

_KNOWN = frozenset(
    "stage stage_updated_at stage_history lead_data turns summary created_at".split()
)
_TIMES = ("timestamp", "time", "at", "created_at")
_TEXTS = ("content", "message", "text")
_ROLES: Mapping[str, Role] = {
    **dict.fromkeys(("user", "human", "lead", "customer", "user_message"), Role.CALLER),
    **dict.fromkeys(("assistant", "agent", "ai", "bot", "response"), Role.ASSISTANT),
    **dict.fromkeys(("agent_response", "assistant_response", "ai_response"), Role.ASSISTANT),
}


@dataclass(frozen=True, slots=True)
class OldTurn:
    """What one side said, as far as it could be told."""

    role: Role
    text: str
    said_at: datetime


@dataclass(frozen=True, slots=True)
class Record:
    """One conversation of the file; `carried`: everything of it that is kept word for word."""

    key: str
    stage: str
    history: tuple[Visit, ...]
    created_at: datetime
    lead_data: Mapping[str, Any]
    turns: tuple[OldTurn, ...]
    summary: str | None
    carried: Mapping[str, Any]

    def id_for(self, tenant_id: uuid.UUID) -> uuid.UUID:
        """Return the conversation's id: the old one if it can be one, else one made of it."""
        try:
            return uuid.UUID(self.key)
        except ValueError:
            return uuid.uuid5(tenant_id, self.key)


def read(text: str, profile: Profile, zone: ZoneInfo, *, now: datetime) -> list[Record]:
    """Return the records of a file; raise `BadRequest` with key and reason before anything else."""
    try:
        document = json.loads(text, parse_constant=_refuse)
    except ValueError as exc:
        raise BadRequest(f"not JSON: {exc}") from exc
    if not isinstance(document, dict):
        raise BadRequest("expected one JSON object, keyed by conversation id")
    return [_Reader(key, profile, zone, now).record(entry) for key, entry in document.items()]


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no number")


@dataclass(frozen=True, slots=True)
class _Reader:
    key: str
    profile: Profile
    zone: ZoneInfo
    now: datetime

    def record(self, entry: object) -> Record:
        if not isinstance(entry, dict):
            raise self._error("expected an object")
        history = self._history(entry)
        created = self._time(entry.get("created_at")) or (
            history[0][1] if history else self._time(entry.get("stage_updated_at")) or self.now
        )
        given = self._object(entry, "lead_data")
        fields = {item.key for item in self.profile.fields}
        turns, summary = entry.get("turns"), entry.get("summary")
        stage = self._stage_of(entry, history, given)
        return Record(
            key=self.key,
            stage=stage,
            history=self._whole(history, entry, stage, created),
            created_at=created,
            lead_data={name: value for name, value in given.items() if name in fields},
            turns=tuple(self._turns(turns, created)),
            summary=summary if isinstance(summary, str) else None,
            carried={
                "turns": turns,
                "summary": summary,
                "lead_data": dict(given),
                "more": {name: it for name, it in entry.items() if name not in _KNOWN},
            },
        )

    def _stage_of(
        self, entry: Mapping[str, Any], history: list[Visit], given: Mapping[str, Any]
    ) -> str:
        """Return the stage; one whose flag says that the lead is won is won, unless it is lost."""
        stage = self._stage(entry.get("stage") or (history[-1][0] if history else None))
        if profile_stages.is_lost(self.profile, stage):
            return stage
        won = (
            flag.stage
            for flag in profile_stages.won_flags(self.profile)
            if given.get(flag.key) is True
        )
        return next(won, stage)

    def _history(self, entry: Mapping[str, Any]) -> list[Visit]:
        items = entry.get("stage_history") or []
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise self._error("stage_history: expected a list of objects")
        found: list[Visit] = []
        for item in items:
            at = self._time(item.get("timestamp"))
            if at is None:
                raise self._error("stage_history: expected a timestamp in every entry")
            found.append((self._stage(item.get("stage")), at))
        return found

    def _whole(
        self, history: list[Visit], entry: Mapping[str, Any], stage: str, created: datetime
    ) -> tuple[Visit, ...]:
        """Return the history from the first stage to the present one, in the order of time."""
        first = self.profile.stages[0]
        if not history or history[0][0] != first:
            history = [(first, created), *history]
        if history[-1][0] != stage:
            history.append((stage, self._time(entry.get("stage_updated_at")) or history[-1][1]))
        latest = history[0][1]
        whole = []
        for name, at in history:
            latest = max(latest, at)
            whole.append((name, latest))
        return tuple(whole)

    def _stage(self, stage: object) -> str:
        if stage is None:
            return self.profile.stages[0]
        names = profile_stages.stage_names(self.profile)
        if stage not in names:
            raise self._error(f"no stage {stage!r}; valid are {', '.join(names)}")
        return str(stage)

    def _object(self, entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        value = entry.get(name) or {}
        if not isinstance(value, dict):
            raise self._error(f"{name}: expected an object")
        return value

    def _turns(self, turns: object, created: datetime) -> Iterator[OldTurn]:
        """Yield what was said, of turns whose form can be told."""
        for turn in turns if isinstance(turns, list) else ():
            if not isinstance(turn, dict):
                continue
            at = next(filter(None, (self._maybe_time(turn.get(name)) for name in _TIMES)), created)
            role = _ROLES.get(str(turn.get("role", "")).lower())
            said = [(role, turn.get(name)) for name in _TEXTS if role is not None]
            said += [(_ROLES[name], text) for name, text in turn.items() if name in _ROLES]
            for who, text in said:
                if who is not None and isinstance(text, str) and text:
                    yield OldTurn(who, text, at)

    def _maybe_time(self, value: object) -> datetime | None:
        try:
            return self._time(value)
        except BadRequest:
            return None

    def _time(self, value: object) -> datetime | None:
        if value is None:
            return None
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            raise self._error(f"{value!r} is no ISO 8601 time") from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=self.zone)).astimezone(UTC)

    def _error(self, reason: str) -> BadRequest:
        return BadRequest(f"conversation {self.key}: {reason}")
