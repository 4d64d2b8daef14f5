"""What a person must decide: fields that two readings disagree on, leads a target may have taken.

Answers about fields are written here; a submission is decided by `submissions.retry` and
`ledger.resolve`, which close the question about it; who somebody is, and whether they refused
messages, by `merge_review` and `opt_out_review`.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import (
    Conversation,
    FieldValue,
    Lead,
    ReviewItem,
    ReviewKind,
    Source,
    Submission,
    SubmissionAttempt,
    SubmissionState,
    Tenant,
)
from ivr.errors import BadRequest, Conflict, Failure, NotFound
from ivr.leads import fields, values
from ivr.leads.delivery.handover import Profiles, held_because, lead_data, profile_of
from ivr.leads.delivery.held_back import may_go
from ivr.leads.fields import Accepted
from ivr.leads.profile import Profile
from ivr.leads.progress import stages

# The target may have the lead, or be about to get it.
UNDECIDED = frozenset({SubmissionState.IN_FLIGHT, SubmissionState.AMBIGUOUS})
# What a question is about, and how it is answered.
_ABOUT = {
    ReviewKind.EXTRACTION: "fields: decide it with FIELD=VALUE",
    ReviewKind.AMBIGUOUS_SUBMISSION: "a submission: retry or resolve that one",
    ReviewKind.MERGE: "who somebody is: answer same or different",
    ReviewKind.OPT_OUT: "whether we may write: answer yes or no",
}


async def open_items(session: AsyncSession, tenant_id: uuid.UUID) -> Sequence[ReviewItem]:
    """Return what waits for a person, oldest first."""
    query = (
        select(ReviewItem)
        .where(ReviewItem.tenant_id == tenant_id, col(ReviewItem.resolved_at).is_(None))
        .order_by(col(ReviewItem.id))
    )
    return (await session.exec(query)).all()


def ask_about_fields(
    session: AsyncSession,
    conversation: Conversation,
    disputed: Mapping[str, Sequence[str | None]],
    *,
    now: datetime,
) -> None:
    """Have a person decide fields on which readings of one conversation disagree."""
    session.add(
        ReviewItem(
            tenant_id=conversation.tenant_id,
            kind=ReviewKind.EXTRACTION,
            lead_id=conversation.lead_id,
            conversation_id=conversation.id,
            detail={"fields": {name: list(answers) for name, answers in disputed.items()}},
            created_at=now,
        )
    )


async def ask_about_submission(
    session: AsyncSession, submission: Submission, reason: str, *, now: datetime
) -> None:
    """Have a person find out whether the target took a lead; once per submission."""
    query = select(ReviewItem).where(
        ReviewItem.submission_id == submission.id, col(ReviewItem.resolved_at).is_(None)
    )
    if (await session.exec(query)).first() is not None:
        return
    session.add(
        ReviewItem(
            tenant_id=submission.tenant_id,
            kind=ReviewKind.AMBIGUOUS_SUBMISSION,
            lead_id=submission.lead_id,
            conversation_id=submission.conversation_id,
            submission_id=submission.id,
            detail={"reason": reason, "reference": submission.reference},
            created_at=now,
        )
    )


async def close_for_submission(
    session: AsyncSession, submission_id: uuid.UUID, resolution: str, *, now: datetime
) -> None:
    """Close the question about a submission: what became of it is known now."""
    await session.exec(
        update(ReviewItem)
        .where(
            col(ReviewItem.submission_id) == submission_id,
            col(ReviewItem.resolved_at).is_(None),
        )
        .values(resolved_at=now, resolution=resolution)
    )


async def decide_fields(
    session: AsyncSession,
    profiles: Profiles,
    tenant: Tenant,
    item_id: int,
    answers: Mapping[str, str],
    *,
    now: datetime,
) -> list[uuid.UUID]:
    """Write down what a person decided, move the lead, and return the submissions that may go now.

    Raises `NotFound`, `Conflict` for an item decided before, `BadRequest` for a value its field
    refuses. A lead that its target has already is not sent again; the values are kept all the
    same.
    """
    item = await open_item(session, tenant, item_id, ReviewKind.EXTRACTION)
    lead = await stages.lock(session, item.lead_id)
    profile = profile_of(profiles, tenant, lead)
    conversation = await session.get(Conversation, item.conversation_id)
    assert conversation is not None, "a foreign key"
    await _write_answers(session, profile, conversation, answers, now=now)
    item.resolved_at, item.resolution = now, "decided by an operator"
    known = await values.current(session, lead.id)
    await stages.assess(
        session, lead, profile, known, met=False, now=now, actor="operator", taken_back=True
    )
    return await let_go(session, lead, profile, now=now, known=known)


async def _write_answers(
    session: AsyncSession,
    profile: Profile,
    conversation: Conversation,
    answers: Mapping[str, str],
    *,
    now: datetime,
) -> None:
    for name, raw in answers.items():
        checked = fields.check(profile.field(name), raw, today=now.date(), insisted=True)
        if not isinstance(checked, Accepted):
            raise BadRequest(f"{name}: {getattr(checked, 'reason', 'not a usable value')}")
        await values.add(
            session,
            conversation,
            name=name,
            value=checked.value,
            raw=raw,
            source=Source.TYPED,
            details=checked.details,
            now=now,
        )


async def open_item(
    session: AsyncSession,
    tenant: Tenant,
    item_id: int,
    kind: ReviewKind,
    *,
    locked: bool = True,
) -> ReviewItem:
    """Return, locked, a question of this kind that waits for its answer.

    Raises `NotFound`, or `Conflict` for one that was decided before, or of another kind.
    """
    query = select(ReviewItem).where(ReviewItem.id == item_id, ReviewItem.tenant_id == tenant.id)
    if locked:
        query = query.with_for_update(key_share=True)
    fresh = query.execution_options(populate_existing=True)
    item = (await session.exec(fresh)).one_or_none()
    if item is None:
        raise NotFound(f"review item {item_id} not found")
    if item.resolved_at is not None:
        raise Conflict(f"review item {item_id} was decided before: {item.resolution}")
    if item.kind != kind:
        raise Conflict(f"review item {item_id} is about {_ABOUT[ReviewKind(item.kind)]}")
    return item


async def let_go(
    session: AsyncSession,
    lead: Lead,
    profile: Profile,
    *,
    now: datetime,
    known: Mapping[str, FieldValue] | None = None,
) -> list[uuid.UUID]:
    """Give what waits the values of now, and send what nothing speaks against any more.

    For whoever has changed a locked lead, its values or where it stands. What its target has, or
    may have, stays where it is.
    """
    known = await values.current(session, lead.id) if known is None else known
    held = held_because(profile, set(known)) is not None or await _may_be_taken(session, lead)
    return await _refresh(session, lead, lead_data(profile, known), held=held, now=now)


async def _may_be_taken(session: AsyncSession, lead: Lead) -> bool:
    """Whether a target took the lead, or we never learnt that it did not."""
    outcome = col(SubmissionAttempt.outcome)
    query = (
        select(SubmissionAttempt.id)
        .join(Submission, col(Submission.id) == col(SubmissionAttempt.submission_id))
        .where(
            Submission.lead_id == lead.id,
            or_(outcome.is_(None), outcome.in_(("success", Failure.AMBIGUOUS))),
        )
    )
    return (await session.exec(query.limit(1))).first() is not None


async def _refresh(
    session: AsyncSession, lead: Lead, data: dict[str, Any], *, held: bool, now: datetime
) -> list[uuid.UUID]:
    query = select(Submission).where(
        Submission.lead_id == lead.id,
        col(Submission.state).in_(SubmissionState.open_states()),
    )
    found = (await session.exec(query.with_for_update(key_share=True))).all()
    waiting = [submission for submission in found if submission.state not in UNDECIDED]
    held = held or lead.closed_at is not None or len(waiting) < len(found)
    freed = []
    for submission in waiting:
        submission.lead_data, submission.updated_at = data, now
        is_held = submission.state == SubmissionState.HELD
        if is_held and not held and may_go(lead, submission.last_error):
            submission.state, submission.next_attempt_at = SubmissionState.PENDING, now
            freed.append(submission.id)
    return freed
