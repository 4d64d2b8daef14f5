"""What must be in the database after crashes: all that was promised before, and nothing twice."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlmodel import SQLModel

from ivr.db import Database
from ivr.db.tables import (
    Conversation,
    ConversationStatus,
    FailedLead,
    FieldValue,
    Lead,
    ReviewItem,
    Submission,
    SubmissionState,
    SucceededLead,
    Turn,
)
from tests.crash.world import CrashWorld
from tests.leads.cast import rows
from tools.emulators.openai.session import Session
from tools.emulators.twilio.call import Call

TRANSCRIBED = "conversation.item.input_audio_transcription.completed"
_NUMBER = re.compile(r"\((\+\d+)\)")
# How a submission may end when its process dies: sent, or for a person to find out.
DECIDED = frozenset({SubmissionState.SUCCEEDED, SubmissionState.AMBIGUOUS})
UNDER_WAY = frozenset({SubmissionState.PENDING, SubmissionState.IN_FLIGHT})


# What a resumed call told its new model session of the old one (`voice.script`).
REPLAYED = "before_"


@dataclass(slots=True)
class Promises:
    """What the model was told or has heard so long ago that it must be written; keys: caller."""

    turns: set[tuple[str, str]] = field(default_factory=set)
    saved: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def note_turns(self, world: CrashWorld) -> None:
        """What was said until now must be found if nobody dies for so long."""
        for session in world.openai.sessions:
            if not session.closed:  # else of an earlier life, which lasted so long or did not
                said = [item for item in _said(session) if not item.startswith(REPLAYED)]
                self.turns |= {(_caller(session), item_id) for item_id in said}

    def note_saved(self, world: CrashWorld) -> None:
        """The model hears "saved" only after the commit."""
        self.saved = Counter(
            (_caller(session), str(answer["field"]), str(answer["value"]))
            for session in world.openai.sessions
            for answer in _answers(session)
            if answer.get("saved") is True
        )


@dataclass(frozen=True, slots=True)
class Books:
    """Every row that matters."""

    conversations: Sequence[Conversation]
    leads: Sequence[Lead]
    turns: Sequence[Turn]
    values: Sequence[FieldValue]
    submissions: Sequence[Submission]
    succeeded: Sequence[SucceededLead]
    failed: Sequence[FailedLead]
    reviews: Sequence[ReviewItem]


TABLES: tuple[type[SQLModel], ...] = (
    Conversation,
    Lead,
    Turn,
    FieldValue,
    Submission,
    SucceededLead,
    FailedLead,
    ReviewItem,
)


async def read_books(db: Database) -> Books:
    """Read all of it."""
    return Books(*[await rows(db, table) for table in TABLES])


def find_faults(
    world: CrashWorld, books: Books, calls: Sequence[Call], told: Promises
) -> list[str]:
    """Return every broken promise in words; [] is what a test wants."""
    return [
        *_lost_calls(books, calls),
        *_lost_words(books, told),
        *_wrong_leads(world, books),
        *_wrong_submissions(world, books),
    ]


def _lost_calls(books: Books, calls: Sequence[Call]) -> list[str]:
    known = {conversation.session_key: conversation for conversation in books.conversations}
    faults = []
    for call in calls:
        answered = bool(call.webhooks) and call.webhooks[0].status == 200
        conversation = known.get(call.sid)
        refused = [webhook for webhook in call.webhooks if (webhook.status or 0) >= 400]
        if refused:
            faults.append(f"{call.sid}: refused, {[webhook.status for webhook in refused]}")
        if answered and conversation is None:
            faults.append(f"{call.sid}: answered, and not written down\n{call.story()}")
        if conversation and conversation.status != ConversationStatus.FINISHED:
            faults.append(f"{call.sid}: not finished\n{call.story()}")
    return faults


def _lost_words(books: Books, told: Promises) -> list[str]:
    caller_of = {row.id: row.from_number for row in books.conversations}
    # Behind "~" stands what we add to a service's name for an item.
    turns = {
        (str(caller_of[turn.conversation_id]), turn.item_id.partition("~")[0])
        for turn in books.turns
    }
    saved = Counter(
        (str(caller_of[row.conversation_id]), row.name, str(row.value)) for row in books.values
    )
    return [f"lost turn {turn}" for turn in sorted(told.turns - turns)] + [
        f"lost value {value}" for value in sorted(told.saved - saved)
    ]


def _wrong_leads(world: CrashWorld, books: Books) -> list[str]:
    requests = requests_by_reference(world)
    submissions: dict[object, list[Submission]] = defaultdict(list)
    for submission in books.submissions:
        submissions[submission.lead_id].append(submission)
    faults = []
    for lead in books.leads:
        own = submissions[lead.id]
        if sum(requests[submission.reference] for submission in own) > 1:
            faults.append(f"lead {lead.id} was sent twice: {own}")
        if not any(submission.state in DECIDED for submission in own):
            faults.append(f"lead {lead.id} was lost: {own}")
    return faults


def _wrong_submissions(world: CrashWorld, books: Books) -> list[str]:
    requests = requests_by_reference(world)
    taken = Counter(row.submission_id for row in books.succeeded)
    failed = Counter(row.submission_id for row in books.failed if not row.resolved)
    asked = Counter(row.submission_id for row in books.reviews if row.resolved_at is None)
    strangers = requests.keys() - {row.reference for row in books.submissions}
    faults = [f"nobody knows the request {reference}" for reference in sorted(strangers)]
    for row in books.submissions:
        got = (requests[row.reference], taken[row.id], failed[row.id], asked[row.id])
        if got not in _RIGHT.get(SubmissionState(row.state), ()):
            faults.append(
                f"submission {row.id}, {row.state}: {dict(zip(_COLUMNS, got, strict=True))}"
            )
    return faults


_COLUMNS = ("requests", "succeeded", "failed", "reviews")
_RIGHT = {
    SubmissionState.SUCCEEDED: ((1, 1, 0, 0),),
    SubmissionState.AMBIGUOUS: ((1, 0, 1, 1), (0, 0, 1, 1)),
    SubmissionState.HELD: ((0, 0, 1, 0),),  # the same person's earlier one is ambiguous
    SubmissionState.RESOLVED: ((0, 0, 0, 0),),  # the same person's later one replaced it
}


def requests_by_reference(world: CrashWorld) -> Counter[str]:
    """Return how many requests the buyer has had for each `refNumber`."""
    return Counter(str(request.lead["refNumber"]) for request in world.npa.requests if request.lead)


def _caller(session: Session) -> str:
    found = _NUMBER.search(str(session.config.view.get("instructions", "")))
    return found[1] if found else ""


def _said(session: Session) -> list[str]:
    """Return the items up to the caller's last one that was transcribed."""
    heard = {event["item_id"] for event in session.sent.of(TRANSCRIBED) if event["transcript"]}
    spoken = [item for item in session.items if item.view["type"] == "message"]
    last = max((at for at, item in enumerate(spoken) if item.id in heard), default=-1)
    return [item.id for item in spoken[: last + 1]]


def _answers(session: Session) -> list[dict[str, object]]:
    created = [event["item"] for event in session.received.of("conversation.item.create")]
    return [
        json.loads(item["output"]) for item in created if item["type"] == "function_call_output"
    ]
