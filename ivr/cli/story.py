"""Everything the rows know about one call, and what follows: five checks, what happens next.

Reads only. How it looks on a terminal is `explain`'s work.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.agent.tool_schemas import END_REASONS
from ivr.cli.terminal import Clock
from ivr.conversations import transcript
from ivr.db.tables import (
    Conversation,
    ConversationStatus,
    Escalation,
    FailedLead,
    FieldValue,
    Lead,
    ReviewItem,
    ReviewKind,
    Role,
    Source,
    Submission,
    SubmissionAttempt,
    SubmissionState,
    SucceededLead,
    Task,
    Tenant,
    Transition,
    Turn,
    UsageLog,
)
from ivr.errors import NotFound, ProfileError
from ivr.leads import values
from ivr.leads.attention import escalations, tasks
from ivr.leads.delivery.handover import profile_of
from ivr.leads.profile import Profile, load_profile
from ivr.leads.progress import funnel
from ivr.voice.commands import EndReason

MANAGE = "python manage_failed_leads.py"
SHORT_ID = 8  # characters; as many as commands show
LATEST = 5  # how many calls are named to somebody who mistyped one

# The ends we decide on; GOODBYE MESSAGE DETECTED is logged at each, also without a model.
GOODBYES = frozenset(
    {*END_REASONS, EndReason.GOODBYE, EndReason.SILENCE, EndReason.LENGTH, EndReason.TRANSFER}
)

Row = TypeVar("Row", bound=SQLModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """The rows of one conversation; `values` are all of its lead's, oldest first."""

    conversation: Conversation
    lead: Lead
    profile: Profile | None
    turns: Sequence[Turn]
    values: Sequence[FieldValue]
    transitions: Sequence[Transition]
    submissions: Sequence[Submission]
    attempts: Sequence[SubmissionAttempt]
    succeeded: Sequence[SucceededLead]
    failed: Sequence[FailedLead]
    reviews: Sequence[ReviewItem]
    tasks: Sequence[Task]
    escalations: Sequence[Escalation]
    costs: Sequence[UsageLog]

    @property
    def is_open(self) -> bool:
        """Say whether the finaliser has still to run."""
        return self.conversation.status == ConversationStatus.OPEN

    @property
    def fields(self) -> list[str]:
        """Return the names of the fields: the profile's order, then what else has values."""
        asked = [item.key for item in self.profile.fields] if self.profile else []
        return list(dict.fromkeys([*asked, *(row.name for row in self.values)]))

    @property
    def missing(self) -> list[str]:
        """Return the required fields that have no value."""
        known = values.choose(self.values)
        required = self.profile.required if self.profile else ()
        return [item.key for item in required if item.key not in known]

    @property
    def extractions(self) -> list[dict[str, Any]]:
        """Return what the model or the rules read in the transcript: of the last episode, for the
        row keeps no earlier one; none before a first one was read.
        """
        kept = self.conversation.state.get("extraction")
        return [] if kept is None else [kept]


@dataclass(frozen=True, slots=True)
class Check:
    """One of the five questions of the owner's troubleshooting page (S3.39)."""

    id: str
    question: str
    ok: bool
    answer: str


async def read(session: AsyncSession, tenant: Tenant, name: str) -> Story:
    """Return the story of a conversation, by its id or key; `NotFound` names the latest ones."""
    try:
        conversation, lead = await funnel.conversation_of(session, tenant.id, name)
    except NotFound:
        raise NotFound(await _unknown(session, tenant, name)) from None
    submissions = await _rows(session, Submission, conversation_id=conversation.id)
    numbers = [submission.id for submission in submissions]
    attempts = select(SubmissionAttempt).where(col(SubmissionAttempt.submission_id).in_(numbers))
    return Story(
        conversation=conversation,
        lead=lead,
        profile=profile_or_none(tenant, lead),
        turns=await transcript(session, conversation.id),
        values=await values.history(session, lead.id),
        transitions=await _rows(session, Transition, lead_id=lead.id),
        submissions=sorted(submissions, key=lambda row: row.episode),
        attempts=(await session.exec(attempts.order_by(col(SubmissionAttempt.id)))).all(),
        succeeded=await _rows(session, SucceededLead, session_id=conversation.id),
        failed=await _rows(session, FailedLead, session_id=conversation.id),
        reviews=await _rows(session, ReviewItem, conversation_id=conversation.id),
        tasks=await tasks.of_lead(session, lead.id),
        escalations=await escalations.of_conversation(session, conversation.id),
        costs=await _rows(session, UsageLog, conversation_id=conversation.id),
    )


async def _rows(session: AsyncSession, table: type[Row], **equals: Any) -> Sequence[Row]:
    query = select(table).filter_by(**equals).order_by("id")
    return (await session.exec(query)).all()


async def _unknown(session: AsyncSession, tenant: Tenant, session_key: str) -> str:
    query = (
        select(Conversation.session_key)
        .where(Conversation.tenant_id == tenant.id)
        .order_by(col(Conversation.started_at).desc())
        .limit(LATEST)
    )
    latest = (await session.exec(query)).all()
    if not latest:
        return f"no call {session_key}: nobody has called yet"
    return f"no call {session_key}; the latest are {', '.join(latest)}"


def profile_or_none(tenant: Tenant, lead: Lead) -> Profile | None:
    """Return a lead's profile, None when none can be loaded: its leads must still be shown."""
    with suppress(ProfileError):
        return profile_of(load_profile, tenant, lead)
    with suppress(ProfileError):  # the tenant's is gone, or its path begins in another folder
        return load_profile(lead.profile)
    return None


def five_checks(story: Story) -> list[Check]:
    """Answer the questions of the owner's troubleshooting page, in its order."""
    return [
        _goodbye(story),
        _extraction(story),
        _transcript(story),
        _fields(story),
        _saved(story),
    ]


def _goodbye(story: Story) -> Check:
    reason = story.conversation.end_reason
    question = "goodbye detected?"
    if reason in GOODBYES:
        return Check("goodbye", question, True, f"yes: {ending(reason)}")
    if reason is None and story.is_open:
        return Check("goodbye", question, False, "not yet: the call is going on")
    return Check("goodbye", question, False, f"no: {ending(reason)}")


def _extraction(story: Story) -> Check:
    question = "extraction attempted?"
    if not story.extractions:
        when = "not yet: it begins when the call is over" if story.is_open else "no"
        return Check("extraction", question, False, when)
    last = story.extractions[-1]
    tries = len(last.get("requests", []))
    words = {
        "model": f"yes: by a model, {count(tries, 'request')}",
        "rules": f"yes: by the rules, after {count(tries, 'request')} to models"
        if tries
        else "yes: by the rules, no model is set up",
        "nothing": "yes: but it failed; the log has ERROR IN LEAD EXTRACTION"
        if any(turn.role == Role.CALLER and turn.text.strip() for turn in story.turns)
        else "yes: but the caller said nothing",
    }
    return Check("extraction", question, True, words.get(last.get("by", ""), "yes"))


def _transcript(story: Story) -> Check:
    callers = sum(turn.role == Role.CALLER for turn in story.turns)
    ours = len(story.turns) - callers
    answer = f"{count(ours, 'turn')} of the assistant, {callers} of the caller"
    return Check("transcript", "transcript there?", bool(story.turns), answer)


def _fields(story: Story) -> Check:
    known = values.choose(story.values)
    if story.profile is None:
        answer = f"{len(known)}; what is required is not known: no profile {story.lead.profile!r}"
        return Check("fields", "fields extracted?", False, answer)
    required = len(story.profile.required)
    answer = f"{required - len(story.missing)} of {required} required"
    if story.missing:
        answer += f"; missing: {', '.join(story.missing)}"
    return Check("fields", "fields extracted?", bool(known) and not story.missing, answer)


def _saved(story: Story) -> Check:
    question = "saved?"
    if story.succeeded:
        return Check("saved", question, True, f"succeeded_leads, id {story.succeeded[-1].id}")
    if story.failed:
        return Check("saved", question, True, f"failed_leads, id {story.failed[-1].id}")
    if story.is_open:
        answer = "the lead is (since before the greeting); it is handed over when the call is over"
        return Check("saved", question, True, answer)
    if story.submissions:
        state = story.submissions[-1].state
        return Check("saved", question, True, f"the lead is; its submission is {state}")
    return Check("saved", question, True, "the lead is; it was not handed to a target")


def next_steps(story: Story, clock: Clock) -> list[str]:
    """Return in words what will happen by itself and what waits for a person."""
    steps = [_conversation_step(story, clock)] if story.is_open else []
    steps += [_submission_step(story, row, clock) for row in story.submissions]
    if not story.is_open and not story.submissions:
        steps.append("Nothing: another call of this person hands the lead over, or has done so.")
    steps += [
        _review_step(row)
        for row in story.reviews
        if row.resolved_at is None and row.kind == ReviewKind.EXTRACTION
    ]
    steps += [_task_step(task, clock) for task in story.tasks if task.done_at is None]
    steps += [_escalation_step(row) for row in story.escalations if row.resolved_at is None]
    return steps


def _escalation_step(row: Escalation) -> str:
    number = str(row.id)[:SHORT_ID]
    if row.assignee is None:
        return f"A person is to take over: {row.reason}. `ivr escalations take {number}`."
    return f"{row.assignee} has it. `ivr escalations give-back {number}` lets the assistant answer."


def task_word(task: Task) -> str:
    """Return what is to be done, e.g. "call back: the caller asked for a person"."""
    return f"{task.kind.replace('_', ' ')}: {task.reason}"


def _task_step(task: Task, clock: Clock) -> str:
    since = clock.relative(task.created_at)
    return f"To do, since {since}: {task_word(task)}. `ivr tasks done {short_id(task)}` ends that."


def short_id(task: Task) -> str:
    """Return as much of a task's id as names it."""
    return str(task.id)[:SHORT_ID]


def _review_step(row: ReviewItem) -> str:
    answers = " ".join(f"{name}=..." for name in row.detail.get("fields", {}))
    return f"Two readings disagree: `ivr review decide {row.id} {answers}` settles it."


def _conversation_step(story: Story, clock: Clock) -> str:
    moment = story.conversation.finish_after
    if moment is None or moment > clock.now:
        when = f" at {clock.zoned(moment)} unless it goes on" if moment else " when it ends"
        return f"The call is still open; its lead is finished{when}."
    return (
        f"The lead should have been finished {clock.relative(moment)}: is the server running? "
        "It catches up when it starts."
    )


def _submission_step(story: Story, row: Submission, clock: Clock) -> str:
    failed = next((item.id for item in story.failed if item.submission_id == row.id), None)
    match row.state:
        case SubmissionState.SUCCEEDED:
            return f"Nothing: {row.target.upper()} has the lead."
        case SubmissionState.RESOLVED:
            return "Nothing: an operator closed it."
        case SubmissionState.PENDING:
            return _pending(row.next_attempt_at, clock)
        case SubmissionState.IN_FLIGHT:
            return (
                "A request is under way. Should the server have died in it, a review item appears."
            )
        case SubmissionState.AMBIGUOUS:
            return (
                f"{row.target.upper()} may have the lead already: look there, then "
                f"`{MANAGE} resolve {failed} --note ...`, or `{MANAGE} retry {failed} --force`."
            )
        case SubmissionState.HELD:
            why = row.last_error or "the policy of this business holds the lead back"
            return f"Waits for an operator: {why}. `{MANAGE} retry {failed} --force` sends it."
    return f"Waits for an operator: mend the cause, then `{MANAGE} retry {failed}`."


def _pending(moment: datetime | None, clock: Clock) -> str:
    if moment is None:
        return "The first attempt is due."
    if moment > clock.now:
        return f"The next attempt is at {clock.both(moment)}."
    return f"The next attempt was due {clock.relative(moment)}: is the server running?"


ENDINGS = {
    "goodbye": "the assistant said goodbye",
    "complete": "the assistant said goodbye with everything collected",
    "incomplete": "the assistant said goodbye with something missing",
    "caller_goodbye": "the caller said goodbye",
    "wrong_number": "goodbye, it was a wrong number",
    "opted_out": "the contact wants no more messages",
    "silence": "goodbye, nobody spoke any more",
    "length_cap": "goodbye, the call reached its longest time",
    "caller_hung_up": "the caller hung up",
    "transfer": "handed to a person",
    "model_silent": "the voice model did not answer",
    "model_failed": "the voice model reported an error",
    "model_refused": "the voice model refused the session",
    "model_unreachable": "the voice model could not be reached",
    "model_lost": "the connection to the voice model was lost",
    "model_stuck": "the voice model took no more audio",
    "phone_stuck": "the phone line took no more audio",
    "phone_lost": "the phone line sent nothing any more",
    "overdue": "the call was cut off at its longest time",
    "server_stopped": "the server stopped during the call",
    "internal_error": "an error in this program",
}

SOURCES = {
    Source.STAFF: "entered by staff",
    Source.CONFIRMED: "confirmed aloud",
    Source.CALLER_ID: "caller ID",
    Source.TYPED: "keyed in",
    Source.TOOL: "said to the assistant",
    Source.EXTRACTED: "read in the transcript",
    Source.INFERRED: "inferred",
}


def ending(reason: str | None) -> str:
    """Return in words how a call ended."""
    return "it is not known how the call ended" if reason is None else ENDINGS.get(reason, reason)


def count(number: int, one: str, many: str | None = None) -> str:
    """Return e.g. `1 request`, `2 requests`."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"
