"""Sends finished leads to their targets, for the road, the scheduler and the operator alike.

The row is the lock and the memory. A request leaves only after its attempt is committed; an
attempt without an end is one of which we never learnt what became of it, and such a lead is
never sent again by itself. Nothing here starts jobs, so a command may use it beside a running
server.

Whose business changes its target while a lead waits wants the lead at the new one, in its words:
each attempt goes where leads go when it leaves. One that a target may have goes nowhere by itself.
"""

import random
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import structlog
from sqlalchemy import and_, or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db import Database
from ivr.db.engine import patiently
from ivr.db.tables import (
    Lead,
    Submission,
    SubmissionAttempt,
    SubmissionState,
    Tenant,
    utc_now,
)
from ivr.errors import Conflict, DatabaseDown, Failure, IvrError, SubmitError
from ivr.leads.attention import review
from ivr.leads.delivery import delays, fitness, ledger, next_due, texting
from ivr.leads.delivery.handover import Profiles, fingerprint, handover, profile_of
from ivr.leads.delivery.ledger import OPERATOR, failed, resolve, succeeded
from ivr.leads.delivery.next_due import Due
from ivr.leads.delivery.target_configs import TargetConfigs, without_password
from ivr.leads.progress import stages
from ivr.settings import Settings
from ivr.targets import TARGETS, Handover, Receipt

__all__ = ["OPERATOR", "Outcome", "Submissions", "failed", "resolve", "succeeded"]

LEASE = timedelta(seconds=60)  # on top of the target's time limit
PUT_OFF = timedelta(minutes=5)  # one whose profile is broken, say
SETTLE_SECONDS = 30

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one attempt came to; `message` is the target's or our own word on it."""

    state: SubmissionState
    message: str
    next_attempt_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """A submission that is ours to send, once."""

    submission_id: uuid.UUID
    target: str
    number: int
    tenant: Tenant
    handover: Handover


class Submissions:
    """Sends leads for one process; `executor_id` tells its attempts from those of others."""

    def __init__(
        self,
        db: Database,
        http: httpx.AsyncClient,
        settings: Settings,
        profiles: Profiles,
        *,
        clock: Callable[[], datetime] = utc_now,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._db = db
        self._http = http
        self._configs = TargetConfigs(settings)
        self._executor_id = settings.executor_id
        self._lease = LEASE + timedelta(seconds=settings.npa_timeout_seconds)
        self._profiles = profiles
        self._clock = clock
        self._chance = chance

    async def first_attempt(self, submission_id: uuid.UUID) -> Outcome | None:
        """Send a new submission at once; None when somebody has taken it in hand."""
        fresh = and_(
            col(Submission.state) == SubmissionState.PENDING, col(Submission.attempts) == 0
        )
        return await self._send(submission_id, fresh, actor=f"{self._executor_id}:road")

    async def attempt(self, submission_id: uuid.UUID) -> Outcome | None:
        """Send a submission whose time has come; None when it is not due or somebody was first."""
        is_due = and_(
            col(Submission.state) == SubmissionState.PENDING,
            col(Submission.next_attempt_at) <= self._clock(),
        )
        try:
            return await self._send(submission_id, is_due, actor=f"{self._executor_id}:scheduler")
        except DatabaseDown:
            raise
        except Exception as exc:
            await self._put_off(submission_id, is_due, exc)
            raise

    async def _put_off(self, submission_id: uuid.UUID, is_due: Any, exc: Exception) -> None:
        """Have one that cannot even be packed wait, where a person sees it and not at the head."""
        now = self._clock()
        query = select(Submission).where(Submission.id == submission_id, is_due)
        async with self._db.write() as session:
            found = await session.exec(query.with_for_update(key_share=True))
            submission = found.one_or_none()
            if submission is None:
                return
            submission.last_error = str(exc) if isinstance(exc, IvrError) else type(exc).__name__
            submission.next_attempt_at, submission.updated_at = now + PUT_OFF, now
            await ledger.enter_failure(session, submission, submission.last_error, now=now)

    async def retry(
        self, tenant_id: uuid.UUID, failed_lead_id: int, *, force: bool = False
    ) -> Outcome:
        """Send a failed lead on an operator's word; safe to call twice and beside the scheduler.

        Raises `NotFound`, or `Conflict` when it was submitted, is being sent or closed, and also
        when only `force` may send it: the target may have it already, or it is held back.
        """
        async with self._db.read() as session:
            _, submission = await ledger.find_failed(session, tenant_id, failed_lead_id)
            unfit = await fitness.against(session, await session.get_one(Lead, submission.lead_id))
        if problem := ledger.refusal(submission, failed_lead_id, force=force, unfit=unfit):
            raise Conflict(problem)
        # Exactly what we have just seen: whoever sends in between changes one of the two.
        as_seen = and_(
            col(Submission.state) == submission.state,
            col(Submission.attempts) == submission.attempts,
        )
        outcome = await self._send(submission.id, as_seen, actor=OPERATOR)
        if outcome is None:
            raise Conflict(await self._lost_race(tenant_id, failed_lead_id))
        return outcome

    async def due(
        self, *, limit: int = next_due.AT_ONCE, load: Mapping[uuid.UUID, int] | None = None
    ) -> Sequence[Due]:
        """Return submissions whose next attempt is due, with whose they are; `load` as `turns`."""
        async with self._db.read() as session:
            return await next_due.due(session, now=self._clock(), limit=limit, load=load or {})

    async def recover(self, *, opened_at: datetime) -> int:
        """Hand attempts of dead processes to a person and return how many there were.

        Dead are those of our own id from before this process opened, and those of anybody that are
        older than any request may take. Should one be alive after all, its answer still counts.
        """
        ours = and_(
            col(SubmissionAttempt.actor).startswith(f"{self._executor_id}:", autoescape=True),
            col(SubmissionAttempt.started_at) < opened_at,
        )
        overdue = col(SubmissionAttempt.started_at) < self._clock() - self._lease
        query = (
            select(Submission.id, SubmissionAttempt.number)
            .join(SubmissionAttempt, col(SubmissionAttempt.submission_id) == col(Submission.id))
            .where(
                Submission.state == SubmissionState.IN_FLIGHT,
                SubmissionAttempt.number == Submission.attempts,
                or_(ours, overdue),
            )
        )
        async with self._db.read() as session:
            lost = (await session.exec(query)).all()
        for submission_id, number in lost:
            try:
                await self._give_up(submission_id, number)
            except Exception:  # one that cannot be written does not hide the others
                log.exception("lost attempt not written", submission_id=str(submission_id))
        return len(lost)

    async def _give_up(self, submission_id: uuid.UUID, number: int) -> None:
        message = "the process ended while the lead was being sent; the target may have taken it"
        async with self._db.write() as session:
            submission = await _take(session, submission_id, number, {SubmissionState.IN_FLIGHT})
            if submission is None:
                return
            await self._ambiguous(session, submission, message, now=self._clock())
        log.warning("submission needs a person", submission_id=str(submission_id))

    async def _send(
        self, submission_id: uuid.UUID, condition: Any, *, actor: str
    ) -> Outcome | None:
        claim = await self._claim(submission_id, condition, actor=actor)
        if claim is None:
            return None
        result = await self._submit(claim)
        # The answer is known only here: lost, it would become a question to a person.
        return await patiently(lambda: self._settle(claim, result), seconds=SETTLE_SECONDS)

    async def _claim(
        self, submission_id: uuid.UUID, condition: Any, *, actor: str
    ) -> _Claim | None:
        """Commit the attempt before the request leaves; hold back one whose lead must not go."""
        now, hold = self._clock(), fitness.hold_unfit
        async with self._db.write() as session:
            if actor != OPERATOR and await hold(session, submission_id, condition, now=now):
                return None
            changed = await session.exec(
                update(Submission)
                .where(col(Submission.id) == submission_id, condition)
                .values(
                    state=SubmissionState.IN_FLIGHT,
                    attempts=col(Submission.attempts) + 1,
                    next_attempt_at=None,
                    updated_at=now,
                )
            )
            if changed.rowcount != 1:
                return None
            submission, tenant, parcel = await self._pack(session, submission_id)
            session.add(
                SubmissionAttempt(
                    tenant_id=submission.tenant_id,
                    submission_id=submission_id,
                    number=submission.attempts,
                    actor=actor,
                    request_hash=fingerprint(parcel),
                    started_at=now,
                )
            )
            return _Claim(
                submission_id=submission_id,
                target=submission.target,
                number=submission.attempts,
                tenant=tenant,
                handover=parcel,
            )

    async def _pack(
        self, session: AsyncSession, submission_id: uuid.UUID
    ) -> tuple[Submission, Tenant, Handover]:
        query = (
            select(Submission, Tenant, Lead)
            .join(Tenant, col(Tenant.id) == col(Submission.tenant_id))
            .join(Lead, col(Lead.id) == col(Submission.lead_id))
            .where(Submission.id == submission_id)
        )
        submission, tenant, lead = (await session.exec(query)).one()
        profile = profile_of(self._profiles, tenant, lead)
        submission.target = profile.target
        refused, name = await texting.is_refused(session, submission, lead), submission.reference
        parcel = handover(profile, submission.lead_data, reference=name, refused_texts=refused)
        return submission, tenant, parcel

    async def _submit(self, claim: _Claim) -> Receipt | SubmitError:
        target = TARGETS.get(claim.target)
        if target is None:
            message = f"there is no target {claim.target!r}; known are {', '.join(TARGETS)}"
            return SubmitError(message, kind=Failure.PERMANENT)
        config: dict[str, Any] = {}
        try:
            config = self._configs.of(claim.tenant, claim.target)
            receipt = await target.submit(self._http, config, claim.handover)
            return without_password(receipt, config)
        except SubmitError as exc:
            return without_password(exc, config)
        except Exception as exc:  # a bug of ours: nobody can say how far the request got
            log.exception(
                "ERROR IN LEAD EXTRACTION",
                during="submission",
                submission_id=str(claim.submission_id),
            )
            return SubmitError(f"unexpected {type(exc).__name__}", kind=Failure.AMBIGUOUS)

    async def _settle(self, claim: _Claim, result: Receipt | SubmitError) -> Outcome:
        """Write what became of an attempt, all of it in one transaction."""
        now = self._clock()
        async with self._db.write() as session:
            lead = await ledger.lock_lead(session, claim.submission_id)
            await _end_attempt(session, claim, result, now=now)
            submission = await _take(session, claim.submission_id, claim.number, review.UNDECIDED)
            if submission is None:
                return await _decided_meanwhile(session, claim.submission_id)
            if isinstance(result, Receipt):
                outcome = await self._succeeded(session, lead, submission, result, now=now)
            else:
                outcome = await self._failed(session, submission, result, now=now)
        _report(claim, outcome)
        return outcome

    async def _succeeded(
        self,
        session: AsyncSession,
        lead: Lead,
        submission: Submission,
        receipt: Receipt,
        *,
        now: datetime,
    ) -> Outcome:
        submission.state, submission.last_error = SubmissionState.SUCCEEDED, None
        submission.updated_at = now
        await ledger.enter_success(session, submission, receipt.response, now=now)
        await review.close_for_submission(session, submission.id, "the target took it", now=now)
        await stages.submitted(session, lead, actor=submission.target, now=now)
        return Outcome(state=SubmissionState.SUCCEEDED, message="submitted")

    async def _failed(
        self, session: AsyncSession, submission: Submission, error: SubmitError, *, now: datetime
    ) -> Outcome:
        message = str(error)
        if error.kind is Failure.AMBIGUOUS:
            return await self._ambiguous(session, submission, message, now=now)
        submission.state, submission.last_error = SubmissionState.FAILED, message
        submission.updated_at = now
        wait = delays.after(submission.attempts, error.retry_after, chance=self._chance())
        if error.kind is Failure.TRANSIENT and wait is not None:
            submission.state = SubmissionState.PENDING
            submission.next_attempt_at = now + wait
        await ledger.enter_failure(session, submission, message, now=now)
        return Outcome(
            state=SubmissionState(submission.state),
            message=message,
            next_attempt_at=submission.next_attempt_at,
        )

    async def _ambiguous(
        self, session: AsyncSession, submission: Submission, message: str, *, now: datetime
    ) -> Outcome:
        submission.state, submission.last_error = SubmissionState.AMBIGUOUS, message
        submission.updated_at = now
        await ledger.enter_failure(session, submission, message, now=now)
        await review.ask_about_submission(session, submission, message, now=now)
        return Outcome(state=SubmissionState.AMBIGUOUS, message=message)

    async def _lost_race(self, tenant_id: uuid.UUID, failed_lead_id: int) -> str:
        async with self._db.read() as session:
            _, submission = await ledger.find_failed(session, tenant_id, failed_lead_id)
        problem = ledger.refusal(submission, failed_lead_id, force=True)
        return problem or f"failed lead {failed_lead_id} was just tried by somebody else"


async def _take(
    session: AsyncSession, submission_id: uuid.UUID, number: int, states: Collection[str]
) -> Submission | None:
    """Return the submission, locked, if attempt `number` is still its latest and undecided."""
    query = select(Submission).where(
        Submission.id == submission_id,
        Submission.attempts == number,
        col(Submission.state).in_(states),
    )
    return (await session.exec(query.with_for_update(key_share=True))).one_or_none()


async def _end_attempt(
    session: AsyncSession, claim: _Claim, result: Receipt | SubmitError, *, now: datetime
) -> None:
    if isinstance(result, Receipt):
        became: dict[str, Any] = {"outcome": "success"}
    else:
        became = {"outcome": result.kind, "error": str(result), "response": result.response}
    this = update(SubmissionAttempt).where(
        col(SubmissionAttempt.submission_id) == claim.submission_id,
        col(SubmissionAttempt.number) == claim.number,
    )
    await session.exec(this.values(finished_at=now, status_code=result.status_code, **became))


async def _decided_meanwhile(session: AsyncSession, submission_id: uuid.UUID) -> Outcome:
    """Return how a person, or a later attempt, decided while the request was away."""
    submission = await session.get_one(Submission, submission_id)
    log.warning("late answer of a target", submission_id=str(submission_id))
    state = SubmissionState(submission.state)
    return Outcome(state=state, message=submission.last_error or "decided meanwhile")


def _report(claim: _Claim, outcome: Outcome) -> None:
    """Write the owner's marker lines."""
    ids = {"submission_id": str(claim.submission_id), "attempt": claim.number}
    if outcome.state is SubmissionState.SUCCEEDED:
        log.info("=== LEAD SUBMITTED SUCCESSFULLY ===", **ids)
        return
    event = f"=== LEAD SUBMISSION FAILED: {outcome.message} ==="
    log.warning(event, **ids, state=outcome.state)
