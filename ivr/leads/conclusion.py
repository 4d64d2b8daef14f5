"""What follows from a conversation that was read: values, moves of the lead, a submission.

One transaction, once. Called by the road with a session; commits nothing and sends nothing.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import conversations
from ivr.costs import text, usage
from ivr.db.tables import (
    Channel,
    Conversation,
    ConversationStatus,
    FieldValue,
    Lead,
    Role,
    Source,
    Submission,
    SubmissionState,
    Tenant,
    Turn,
)
from ivr.leads import fields, follow_up, values
from ivr.leads.attention import review
from ivr.leads.delivery import earlier_submissions as earlier
from ivr.leads.delivery import fitness, held_back, ledger, waiting
from ivr.leads.delivery.handover import Profiles, held_because, lead_data, missing, profile_of
from ivr.leads.extraction import Extraction, Found
from ivr.leads.fields import Accepted, Doubtful, Refused
from ivr.leads.people import identity, naming
from ivr.leads.people.person import (
    CONCLUDED_AT,
    CONCLUDED_EPISODE,
    EXTRACTION,
    LEAD_DATA,
    RESUMED,
    since_of,
)
from ivr.leads.profile import Profile
from ivr.leads.progress import stages

# The road sends at once; this is when the scheduler does, should the road have died in between.
SECOND_CHANCE = timedelta(seconds=30)
# A conversation that should have been finished so long ago keeps no other from being submitted.
OVERDUE = timedelta(hours=1)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """What came out; `submission_id` is None when nothing may be sent."""

    lead_data: Mapping[str, str | None]
    missing: tuple[str, ...]
    submission_id: uuid.UUID | None
    held: str | None

    def as_json(self) -> str:
        """Return the lead's data for the owner's log line."""
        return json.dumps(dict(self.lead_data), ensure_ascii=False)

    def warn(self) -> None:
        """Say what is missing (S3.12)."""
        for name in self.missing:
            log.warning("required field missing", field=name)
        if self.held is not None:
            log.warning("lead held back", reason=self.held)


def is_open(conversation: Conversation, episode: int) -> bool:
    """Return whether this episode still waits for its end."""
    return conversation.status == ConversationStatus.OPEN and conversation.episode == episode


def is_concluded(conversation: Conversation, episode: int) -> bool:
    """Return whether `conclude` has run for this episode."""
    return bool(conversation.state.get(CONCLUDED_EPISODE) == episode)


async def look(
    session: AsyncSession, conversation_id: uuid.UUID
) -> tuple[Conversation, Tenant, Lead]:
    """Return a conversation with whose it is and what it is about."""
    query = (
        select(Conversation, Tenant, Lead)
        .join(Tenant, col(Tenant.id) == col(Conversation.tenant_id))
        .join(Lead, col(Lead.id) == col(Conversation.lead_id))
        .where(Conversation.id == conversation_id)
    )
    return (await session.exec(query)).one()


async def conclude(
    session: AsyncSession,
    profiles: Profiles,
    conversation_id: uuid.UUID,
    episode: int,
    extraction: Extraction,
    *,
    now: datetime,
    policy: follow_up.Policy | None = None,
) -> Conclusion | None:
    """Write everything that follows from a reading; a second time return the same.

    None when there is nothing to conclude: the episode is closed, or the caller is back. `policy`:
    how to go on with a call that broke off, None for not at all.
    """
    tenant = await _settle(session, profiles, conversation_id, episode, now=now)
    conversation = await conversations.lock(session, conversation_id)
    await _note_cost(session, conversation, episode, extraction, now=now)
    if not is_open(conversation, episode):
        return None
    is_again = is_concluded(conversation, episode)
    if not is_again and _goes_on(conversation, now=now):
        return None
    lead = await stages.lock(session, conversation.lead_id)
    profile = profile_of(profiles, tenant, lead)
    if is_again:
        known = await values.current(session, lead.id)
        submission = await earlier.own(session, conversation)
    else:
        known, submission = await _what_follows(
            session, tenant, profile, conversation, lead, extraction, policy, now=now
        )
    pending = submission is not None and submission.state == SubmissionState.PENDING
    may_go = submission is not None and pending and not waiting.is_waiting(submission)
    return Conclusion(
        lead_data=lead_data(profile, known),
        missing=tuple(item.key for item in missing(profile, set(known))),
        submission_id=submission.id if submission and may_go else None,
        held=submission.last_error if submission and not pending else None,
    )


async def _what_follows(
    session: AsyncSession,
    tenant: Tenant,
    profile: Profile,
    conversation: Conversation,
    lead: Lead,
    extraction: Extraction,
    policy: follow_up.Policy | None,
    *,
    now: datetime,
) -> tuple[dict[str, FieldValue], Submission | None]:
    """Write what follows; return all that is known of the lead, and what is to be sent, if any."""
    turns = await conversations.transcript(session, conversation.id)
    await _merge(session, tenant, profile, conversation, extraction, turns, now=now)
    known = await values.current(session, lead.id)
    met = {Role.ASSISTANT, Role.CALLER} <= {Role(turn.role) for turn in turns}
    await stages.assess(session, lead, profile, known, met=met, now=now)
    await naming.at_the_end(session, lead, profile, known)
    if policy is not None:
        lacking = missing(profile, set(known))
        await follow_up.after_call(
            session, tenant, profile, conversation, lead, lacking, turns, policy, now=now
        )
    wait = policy.wait if policy else follow_up.WAIT
    unfit = held_back.unwanted(conversation, turns, since=since_of(conversation))
    unfit = unfit or await fitness.against_at_the_end(session, lead, profile, known)
    data = lead_data(profile, known)
    submission = await _submission(
        session, conversation, lead, profile, data, unfit=unfit, wait=wait, now=now
    )
    _remember(conversation, data, extraction, now=now)
    return known, submission


async def _settle(
    session: AsyncSession,
    profiles: Profiles,
    conversation_id: uuid.UUID,
    episode: int,
    *,
    now: datetime,
) -> Tenant:
    """Find out with whom it was, before anything else is locked; return the business."""
    conversation, tenant, lead = await look(session, conversation_id)
    if is_open(conversation, episode) and not is_concluded(conversation, episode):
        profile = profile_of(profiles, tenant, lead)
        await identity.settle_at_the_end(session, conversation, profile, now=now)
    return tenant


async def _note_cost(
    session: AsyncSession,
    conversation: Conversation,
    episode: int,
    extraction: Extraction,
    *,
    now: datetime,
) -> None:
    """Write down what the reading took, also one that nothing follows from: it was paid for."""
    requests = [
        text.Request(purpose="extract", provider=it.provider, model=it.model, usage=it.usage)
        for it in extraction.requests
    ]
    name = extraction.id or f"{conversation.id}:{episode}"
    rows = text.rows(requests, key=f"reading:{name}")
    await usage.note(session, conversation.tenant_id, conversation.id, rows, now=now)


def times_resumed(conversation: Conversation) -> int:
    """Return how often the caller came back while this conversation was being finished."""
    return int(conversation.state.get(RESUMED, 0))


def _goes_on(conversation: Conversation, *, now: datetime) -> bool:
    """Return whether the conversation was taken up again while we read it, and count that.

    The count is part of the next job's name: this job's name is used up.
    """
    if conversation.finish_after is None or conversation.finish_after <= now:
        return False
    resumed = times_resumed(conversation) + 1
    conversation.state = {**conversation.state, RESUMED: resumed}
    return True


def _remember(
    conversation: Conversation,
    data: Mapping[str, str | None],
    extraction: Extraction,
    *,
    now: datetime,
) -> None:
    """Keep the lead's data as the conversation's state (S3.15), and what models were asked."""
    conversation.state = {
        **conversation.state,
        LEAD_DATA: dict(data),
        EXTRACTION: extraction.dump(),
        CONCLUDED_EPISODE: conversation.episode,
        CONCLUDED_AT: now.isoformat(),
    }
    conversation.usage = {**conversation.usage, "extraction": extraction.usage}


async def _merge(
    session: AsyncSession,
    tenant: Tenant,
    profile: Profile,
    conversation: Conversation,
    extraction: Extraction,
    turns: Sequence[Turn],
    *,
    now: datetime,
) -> None:
    """Add what was read as values of the lowest ranks; which value counts is `values`' decision."""
    today = conversation.started_at.astimezone(ZoneInfo(tenant.timezone)).date()
    source = Source.EXTRACTED if extraction.by == "model" else Source.INFERRED
    for name, found in extraction.found.items():
        entry = _checked(profile, name, found, today=today)
        await values.add(
            session,
            conversation,
            name=name,
            raw=found.value,
            source=source,
            quote=found.quote,
            turn_item_id=said_in(turns, found.quote),
            now=now,
            **entry,
        )
    await _disputes(session, conversation, extraction, now=now)


def _checked(profile: Profile, name: str, found: Found, *, today: date) -> dict[str, Any]:
    """Return the value with its details, or no value and the problem with it."""
    match fields.check(profile.field(name), found.value, today=today):
        case Accepted(value=value, details=details):
            return {"value": value, "details": details}
        case Doubtful(suggestion=suggestion):
            return {"value": None, "problem": f"perhaps {suggestion} was meant"}
        case Refused(reason=reason):
            return {"value": None, "problem": reason}


async def _disputes(
    session: AsyncSession, conversation: Conversation, extraction: Extraction, *, now: datetime
) -> None:
    """Ask a person about fields with two answers, unless the caller gave the value in the call."""
    if not extraction.disputed:
        return
    known = await values.current(session, conversation.lead_id)
    open_ones = {
        name: answers for name, answers in extraction.disputed.items() if name not in known
    }
    for name, answers in open_ones.items():
        await values.add(
            session,
            conversation,
            name=name,
            value=None,
            raw=" / ".join(answer or "nothing" for answer in answers),
            source=Source.EXTRACTED,
            problem="two readings of the conversation disagree",
            now=now,
        )
    if open_ones:
        review.ask_about_fields(session, conversation, open_ones, now=now)


def said_in(turns: Sequence[Turn], quote: str) -> str | None:
    """Return the item id of the caller's last turn with the quote; case and spaces are ignored."""
    wanted = _plain(quote)
    if not wanted:
        return None
    for turn in reversed(turns):
        if turn.role == Role.CALLER and wanted in _plain(turn.text):
            return turn.item_id
    return None


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


async def _submission(
    session: AsyncSession,
    conversation: Conversation,
    lead: Lead,
    profile: Profile,
    data: dict[str, str | None],
    *,
    unfit: str | None,
    wait: timedelta,
    now: datetime,
) -> Submission | None:
    """Write the lead's submission down, pending or held, if this conversation is to have one.

    `unfit`: why only a person may send it, however much is known.

    What lacks something waits while the contact may still write, and all waits while another call
    of the lead goes on. That conversation replaces it, unless it proves to be with somebody else.
    """
    known = {name for name, value in data.items() if value is not None}
    is_complete = not missing(profile, known)
    others = await _going_on(session, conversation, now=now)
    is_left = any(other.channel == Channel.VOICE for other in others)
    if is_left:
        log.info("submission left to another call", conversation_id=str(conversation.id))
    news = None
    if await earlier.is_handed_over(session, lead):
        news = await earlier.news(session, lead, profile, data)
        if news is None:
            return None
    if await earlier.is_undecided(session, lead, data):
        return None
    undecided = await earlier.supersede(session, lead, now=now)
    held = news or undecided or unfit or held_because(profile, known)
    waits = is_left or (bool(others) and not is_complete)
    submission = Submission(
        tenant_id=conversation.tenant_id,
        lead_id=lead.id,
        conversation_id=conversation.id,
        episode=conversation.episode,
        target=profile.target,
        channel=conversation.channel,
        lead_data=data,
        state=SubmissionState.HELD if held else SubmissionState.PENDING,
        next_attempt_at=None if held else now + (wait if waits else SECOND_CHANCE),
        last_error=held or (waiting.WAITING if waits else None),
        created_at=now,
        updated_at=now,
    )
    session.add(submission)
    await session.flush()
    if held:
        await ledger.enter_failure(session, submission, held, now=now)
    return submission


async def _going_on(
    session: AsyncSession, conversation: Conversation, *, now: datetime
) -> list[Conversation]:
    """Return the other conversations of the lead that go on: the last one to end submits.

    A call is over soon; whoever writes may do so again in hours.
    """
    query = select(Conversation).where(
        Conversation.lead_id == conversation.lead_id,
        Conversation.id != conversation.id,
        Conversation.status == ConversationStatus.OPEN,
        col(Conversation.finish_after) > now - OVERDUE,
    )
    others = (await session.exec(query)).all()
    return [other for other in others if not is_concluded(other, other.episode)]
