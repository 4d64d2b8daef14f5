"""Failed and succeeded leads as the operator's tables, JSON and CSV show them. Decides nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.cli.story import profile_or_none
from ivr.cli.terminal import phone, plain
from ivr.db.tables import (
    Conversation,
    FailedLead,
    Lead,
    Submission,
    SubmissionState,
    SucceededLead,
    Tenant,
)
from ivr.leads.profile import PHONES, Profile

# Who it was: the type of the field, and its key where no profile says which it is.
_USUAL = {"person_name": "full_name", **dict.fromkeys(PHONES, "phone")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A failed or succeeded lead with what an operator wants to see beside it."""

    row: FailedLead | SucceededLead
    submission: Submission
    call: str
    profile: Profile | None

    @property
    def data(self) -> dict[str, Any]:
        """Return the lead in our fields' names, as it was sent or will be: a person may have
        decided a field since the row was written.
        """
        return self.submission.lead_data

    @property
    def name(self) -> str:
        """Return the person's name, "" when it is not known."""
        return self._first("person_name")

    @property
    def phone(self) -> str:
        """Return the person's number as people write it, "" when it is not known."""
        return phone(self._first(*PHONES))

    @property
    def missing(self) -> list[str]:
        """Return the required fields that the lead has no value for."""
        required = self.profile.required if self.profile else ()
        return [item.key for item in required if self.data.get(item.key) in {None, ""}]

    @property
    def rest(self) -> str:
        """Return what else the lead holds, in one line: `30093 2020 Yamaha MT-07`."""
        if self.profile is None:
            others = [key for key in self.data if key not in _USUAL.values()]
        else:
            others = [item.key for item in self.profile.fields if item.type not in _USUAL]
        return " ".join(plain(self.data[key]) for key in others if self.data.get(key))

    def _first(self, *kinds: str) -> str:
        fields = self.profile.fields if self.profile else ()
        key = next((item.key for item in fields if item.type in kinds), _USUAL[kinds[0]])
        return plain(self.data.get(key) or "")


async def lines(
    session: AsyncSession, tenant: Tenant, found: Sequence[FailedLead | SucceededLead]
) -> list[Line]:
    """Return a tenant's rows with their submissions, calls and profiles."""
    numbers = [row.submission_id for row in found]
    query = (
        select(Submission, Conversation.session_key, Lead)
        .join(Conversation, col(Conversation.id) == col(Submission.conversation_id))
        .join(Lead, col(Lead.id) == col(Submission.lead_id))
        .where(col(Submission.id).in_(numbers))
    )
    beside = {
        submission.id: (submission, call, lead)
        for submission, call, lead in (await session.exec(query)).all()
    }
    one_of_each = {lead.profile: lead for _, _, lead in beside.values()}
    profiles = {key: profile_or_none(tenant, lead) for key, lead in one_of_each.items()}
    return [_line(row, *beside[row.submission_id], profiles) for row in found]


def _line(
    row: FailedLead | SucceededLead,
    submission: Submission,
    call: str,
    lead: Lead,
    profiles: Mapping[str, Profile | None],
) -> Line:
    return Line(row=row, submission=submission, call=call, profile=profiles[lead.profile])


def next_attempt(line: Line) -> datetime | None:
    """Return when the scheduler tries again; None when it waits for a person."""
    is_pending = line.submission.state == SubmissionState.PENDING
    return line.submission.next_attempt_at if is_pending else None


def failed_document(line: Line) -> dict[str, Any]:
    """Return a failed lead as JSON's types; the owner's columns keep their names."""
    row = line.row
    assert isinstance(row, FailedLead), "only failed leads are shown as such"
    return {
        "id": row.id,
        "created_at": row.created_at,
        "channel": row.channel,
        "session_id": row.session_id,
        "call": line.call,
        "lead_data": line.data,
        "missing": line.missing,
        "error_message": row.error_message,
        "state": line.submission.state,
        "retry_count": row.retry_count,
        "last_retry_at": row.last_retry_at,
        "attempts": line.submission.attempts,
        "next_attempt_at": next_attempt(line),
        "reference": line.submission.reference,
        "resolved": row.resolved,
        "resolution": row.resolution,
    }


def succeeded_document(line: Line) -> dict[str, Any]:
    """Return a delivered lead as JSON's types; the owner's columns keep their names."""
    row = line.row
    assert isinstance(row, SucceededLead), "only succeeded leads are shown as such"
    return {
        "id": row.id,
        "submitted_at": row.submitted_at,
        "channel": row.channel,
        "session_id": row.session_id,
        "call": line.call,
        "lead_data": line.data,
        "missing": line.missing,
        "npa_response": row.npa_response,
        "attempts": line.submission.attempts,
        "reference": line.submission.reference,
    }
