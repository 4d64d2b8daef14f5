"""What must hold when the weather is fine again and everything has settled.

Each check returns what is broken in words, with the ids one needs to look further.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypeVar

from ivr.db import Database
from ivr.db.tables import (
    Axis,
    Contact,
    ContactPoint,
    Conversation,
    ConversationStatus,
    FailedLead,
    FieldValue,
    InboundEvent,
    Lead,
    Lifecycle,
    MergeRecord,
    ReviewItem,
    Submission,
    SubmissionState,
    SucceededLead,
    Transition,
    Turn,
)
from ivr.leads import values
from ivr.leads.profile import load_profile
from ivr.leads.progress import profile_stages
from tests.leads.cast import rows
from tools.emulators.npa import NpaEmulator
from tools.emulators.twilio.call import Call

Row = TypeVar("Row")
State = SubmissionState


@dataclass(frozen=True, slots=True)
class Books:
    """Every row that counts."""

    contacts: Sequence[Contact]
    points: Sequence[ContactPoint]
    leads: Sequence[Lead]
    conversations: Sequence[Conversation]
    turns: Sequence[Turn]
    transitions: Sequence[Transition]
    submissions: Sequence[Submission]
    succeeded: Sequence[SucceededLead]
    failed: Sequence[FailedLead]
    reviews: Sequence[ReviewItem]
    events: Sequence[InboundEvent]
    values: Sequence[FieldValue]
    merges: Sequence[MergeRecord]
    known: Mapping[Any, frozenset[str]]  # lead id -> fields that have a value


TABLES = (
    Contact,
    ContactPoint,
    Lead,
    Conversation,
    Turn,
    Transition,
    Submission,
    SucceededLead,
    FailedLead,
    ReviewItem,
    InboundEvent,
    FieldValue,
    MergeRecord,
)
assert len(fields(Books)) == len(TABLES) + 1


async def read_books(db: Database) -> Books:
    """Read all of it."""
    found = [await rows(db, table) for table in TABLES]
    known = {}
    async with db.read() as session:
        for lead in found[TABLES.index(Lead)]:
            current = await values.current(session, lead.id)
            known[lead.id] = frozenset(k for k, row in current.items() if row.value is not None)
    return Books(*found, known=known)


def is_settled(books: Books, now: datetime) -> bool:
    """Whether nothing is left to be done but what has a time that is still to come."""
    return all(
        c.status == ConversationStatus.FINISHED and c.line_closed_at for c in books.conversations
    ) and not any(
        s.state == State.IN_FLIGHT
        or (s.state == State.PENDING and (s.next_attempt_at is None or s.next_attempt_at <= now))
        or (s.state == State.PENDING and s.attempts == 0)
        for s in books.submissions
    )


def broken(books: Books, calls: Sequence[Call], npa: NpaEmulator) -> list[str]:
    """Return everything that does not hold; [] is what a campaign wants."""
    return [
        *_wrong_stages(books),
        *_wrong_transitions(books),
        *_doubled(books),
        *_wrong_calls(books, calls),
        *_wrong_turns(books),
        *_wrong_submissions(books, npa),
        *_lost_or_doubled_leads(books, npa),
        *_wrong_merges(books),
    ]


def _wrong_stages(books: Books) -> Iterable[str]:
    """The stage is what the fields say; a merged lead has no fields any more, only a history."""
    for lead in _not_merged(books):
        wanted = profile_stages.stage_of(load_profile(lead.profile), books.known[lead.id])
        if lead.stage != wanted:
            yield f"lead {lead.id}: stage {lead.stage}, its fields say {wanted}"


def _wrong_transitions(books: Books) -> Iterable[str]:
    """Each axis moves without a gap, from the first stage on, to where the lead stands now."""
    moves = _by(books.transitions, lambda row: (row.lead_id, row.axis))
    for lead in books.leads:
        first = moves[lead.id, Axis.STAGE][:1]
        if [row.to_value for row in first] != [load_profile(lead.profile).stages[0]]:
            yield f"lead {lead.id}: the first move is {first}"
        for axis, column in (("stage", lead.stage), ("lifecycle", lead.lifecycle)):
            yield from _wrong_axis(f"lead {lead.id}, {axis}", moves[lead.id, axis], column)
        yield from _wrong_axis(f"lead {lead.id}, status", moves[lead.id, "status"], lead.status)


def _wrong_axis(where: str, unordered: Sequence[Transition], column: str) -> Iterable[str]:
    moves = sorted(unordered, key=lambda row: row.seq)
    if [row.seq for row in moves] != list(range(1, len(moves) + 1)):
        yield f"{where}: numbers {[row.seq for row in moves]}"
    if moves and moves[-1].to_value != column:
        yield f"{where}: is {column}, moved last to {moves[-1].to_value}"
    for before, after in zip(moves, moves[1:], strict=False):
        if after.from_value != before.to_value:
            yield f"{where}: {after.seq} leaves from {after.from_value}, not {before.to_value}"
        if after.at < before.at:
            yield f"{where}: {after.seq} is {before.at - after.at} before {before.seq}"


def _doubled(books: Books) -> Iterable[str]:
    """One open lead a person and profile, one owner a number, one conversation a call.

    And each event of the telephone has had its outcome.
    """
    open_leads = (
        (row.tenant_id, row.contact_id, row.profile) for row in books.leads if not row.closed_at
    )
    yield from _twice("open leads of one person", open_leads)
    yield from _twice("points", ((p.tenant_id, p.kind, p.value) for p in books.points))
    yield from _twice("conversations of one call", (c.session_key for c in books.conversations))
    yield from _twice("events", ((e.kind, e.provider_id) for e in books.events))
    events = {event.provider_id for event in books.events}
    outcomes = {conversation.session_key for conversation in books.conversations}
    if events != outcomes:
        yield f"events without an outcome, or the reverse: {events ^ outcomes}"


def _wrong_calls(books: Books, calls: Sequence[Call]) -> Iterable[str]:
    """Who was connected has a finished conversation and a lead with their number."""
    by_key = {row.session_key: row for row in books.conversations}
    contact_of = {lead.id: lead.contact_id for lead in books.leads}
    numbers = {(point.contact_id, point.value) for point in books.points}
    for call in calls:
        row = by_key.get(call.sid)
        if row is None:
            if any(webhook.status == 200 for webhook in call.webhooks):
                yield f"{call.sid}: answered, and not written down\n{call.story()}"
            continue
        if row.status != ConversationStatus.FINISHED or not (row.finished_at and row.ended_at):
            yield f"{call.sid}: {row.status}, due {row.finish_after}\n{call.story()}"
        if row.line_closed_at is None:
            yield f"{call.sid}: nobody knows that the call itself is over\n{call.story()}"
        if row.streaming:
            yield f"{call.sid}: still streaming for the database\n{call.story()}"
        if (contact_of.get(row.lead_id), call.from_) not in numbers:
            yield f"{call.sid}: its lead has not the number of its caller"
        if not call.over or any(stream.is_open for stream in call.streams):
            yield f"{call.sid}: left open at Twilio\n{call.story()}"


def _wrong_turns(books: Books) -> Iterable[str]:
    yield from _twice("turns", ((t.conversation_id, t.item_id) for t in books.turns))
    yield from _twice("positions", ((t.conversation_id, t.position) for t in books.turns))


# requests that the buyer took, succeeded_leads, open failed_leads, open reviews
_RIGHT = {
    State.SUCCEEDED: {(1, 1, 0, 0)},
    State.AMBIGUOUS: {(0, 0, 1, 1), (1, 0, 1, 1)},
    State.FAILED: {(0, 0, 1, 0)},
    State.HELD: {(0, 0, 1, 0)},
    State.PENDING: {(0, 0, 1, 0)},  # was tried, and will be again
    State.RESOLVED: {(0, 0, 0, 0)},
}


def _wrong_submissions(books: Books, npa: NpaEmulator) -> Iterable[str]:
    """A lead is sent once and booked once: row by row, and against what the buyer has."""
    taken = Counter(str(lead["refNumber"]) for lead in npa.leads)
    succeeded = Counter(row.submission_id for row in books.succeeded)
    failed = Counter(row.submission_id for row in books.failed if not row.resolved)
    asked = Counter(row.submission_id for row in books.reviews if row.resolved_at is None)
    for row in books.submissions:
        got = (taken[row.reference], succeeded[row.id], failed[row.id], asked[row.id])
        if got not in _RIGHT.get(State(row.state), set()):
            yield (
                f"submission {row.id}, {row.state} after {row.attempts} attempts "
                f"({row.last_error}): taken, succeeded, failed, reviews = {got}"
            )
    strangers = taken.keys() - {row.reference for row in books.submissions}
    if strangers:
        yield f"the buyer has what nobody knows: {strangers}"


def _lost_or_doubled_leads(books: Books, npa: NpaEmulator) -> Iterable[str]:
    taken = Counter(str(lead["refNumber"]) for lead in npa.leads)
    own = _by(books.submissions, lambda row: row.lead_id)
    for lead in _not_merged(books):
        if sum(taken[row.reference] for row in own[lead.id]) > 1:
            yield f"lead {lead.id}: the buyer took it twice"
        if not any(row.state in State.open_states() | {State.SUCCEEDED} for row in own[lead.id]):
            yield f"lead {lead.id}: lost, {[row.state for row in own[lead.id]]}"


def _wrong_merges(books: Books) -> Iterable[str]:
    """A merged lead's fate is that of the lead that it went into: it left nothing behind."""
    into = {
        entry["lead"]: entry["into"]
        for record in books.merges
        if record.split_at is None
        for entry in record.moved["absorbed"]
    }
    alive = {str(lead.id) for lead in _not_merged(books)}
    left = Counter(row.lead_id for row in books.conversations)
    left.update(row.lead_id for row in books.values)
    left.update(row.lead_id for row in books.submissions)
    for lead in books.leads:
        if lead.lifecycle != Lifecycle.MERGED:
            continue
        end = str(lead.id)
        for _ in books.merges:
            end = into.get(end, end)
        if end not in alive:
            yield f"lead {lead.id}: merged into {end}, which is not there"
        if left[lead.id] or not lead.closed_at:
            yield f"lead {lead.id}: merged, and {left[lead.id]} rows were left with it"


def _not_merged(books: Books) -> list[Lead]:
    return [lead for lead in books.leads if lead.lifecycle != Lifecycle.MERGED]


def _by(found: Iterable[Row], key: Any) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in found:
        groups[key(row)].append(row)
    return groups


def _twice(what: str, keys: Iterable[Hashable]) -> Iterable[str]:
    more = [key for key, count in Counter(keys).items() if count > 1]
    if more:
        yield f"{what}, more than one: {more}"
