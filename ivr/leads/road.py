"""The road of a finished conversation: read it, merge what it says, move the lead, send it, close.

One durable job per episode, `finish:<conversation>:<episode>`. Every step may run twice: what it
writes stands under a condition or a unique key. Should the jobs themselves be lost, the
scheduler finds the conversation by its own row (`finish_after` has passed, not finished) and
starts again. Sending is `submissions`' work, here only called.
"""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import structlog
from sqlalchemy import and_, func, or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import conversations
from ivr.costs import budget
from ivr.db import Database
from ivr.db.tables import Channel, Conversation, ConversationStatus, Lead, Tenant, utc_now
from ivr.jobs import Jobs
from ivr.leads import conclusion, follow_up, seat, values
from ivr.leads.delivery import next_due
from ivr.leads.delivery.handover import Profiles, profile_of
from ivr.leads.delivery.submissions import Submissions
from ivr.leads.extraction import Extraction, Material, Model, conversation_text, extract
from ivr.leads.people import forgetting, identity
from ivr.messages import opt_out
from ivr.settings import Settings
from ivr.vendors.llm import TextModels

JOB = forgetting.JOB
SCHEDULE_SECONDS = 1.0
# A job that ended with an error keeps its id for ever; this long after its time the conversation
# gets another one.
PATIENCE = timedelta(minutes=5)
# Longer than anybody keeps a call open at once; who writes has hours.
FARTHEST = timedelta(minutes=10)
# Beyond the longest call; its carrier has cut the stream off long before.
OVERTIME = timedelta(minutes=2)
BATCH = 20
# Between two starts: a crowd that hung up at once must not be heard by those who still talk.
PACE_SECONDS = SCHEDULE_SECONDS / BATCH
PRUNE_SECONDS = 10.0
KEPT = timedelta(days=1)

Sending = dict[asyncio.Task[None], uuid.UUID]  # what the schedule sends, and for which client

log = structlog.get_logger(__name__)


class Road:
    """Finishes conversations for one process; `open` is the way to get one."""

    def __init__(
        self,
        settings: Settings,
        db: Database,
        jobs: Jobs,
        submissions: Submissions,
        models: tuple[Model, ...],
        profiles: Profiles,
        *,
        is_live: Callable[[str], bool] = lambda session_key: False,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.submissions = submissions
        self.executor_id = settings.executor_id  # the one really taken
        self.last_tick = time.monotonic()  # when the schedule had last been through all its work
        self._seen: tuple[datetime | None, uuid.UUID] | None = None
        self._prune_at = time.monotonic()
        self._settings = settings
        self._db = db
        self._jobs = jobs
        self._models = models
        self._profiles = profiles
        self._is_live = is_live
        self._clock = clock
        self.opened_at = clock()
        jobs.register(JOB, self._finish)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: Settings,
        db: Database,
        http: httpx.AsyncClient,
        profiles: Profiles,
        *,
        is_live: Callable[[str], bool] = lambda session_key: False,
        models: TextModels | None = None,
    ) -> AsyncIterator["Road"]:
        """Continue what a dead process left and keep the schedule while the block runs.

        `models` are loaded and closed here, whoever else uses them meanwhile.
        `is_live` says of a session key whether this process carries that conversation right now:
        no clock that jumps, and no machine that was paused, ends it.
        """
        async with seat.take(db, settings.executor_id) as executor_id:
            settings = settings.model_copy(update={"executor_id": executor_id})
            jobs = Jobs(settings.database_url, executor_id=executor_id)
            submissions = Submissions(db, http, settings, profiles)
            models = models or TextModels(settings)
            readers = models.for_role("extract")
            road = cls(settings, db, jobs, submissions, readers, profiles, is_live=is_live)
            async with road._running(models):
                yield road

    @asynccontextmanager
    async def _running(self, models: TextModels) -> AsyncIterator[None]:
        try:
            await self.submissions.recover(opened_at=self.opened_at)
            await self._jobs.open()
            tasks = [
                asyncio.create_task(run_scheduler(self), name="schedule"),
                asyncio.create_task(models.load(), name="text models"),
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            await self._jobs.close()
            await models.close()

    async def start_finish(self, conversation_id: uuid.UUID, episode: int) -> None:
        """Have an episode finished and return once that is written down; again does nothing."""
        await self._jobs.start(
            JOB, f"{JOB}:{conversation_id}:{episode}", str(conversation_id), episode
        )

    async def start_due(self) -> int:
        """Finish the conversations whose time has come, and return how many were started."""
        now = self._clock()
        await self._bring_near(now=now)
        async with self._db.read() as session:
            found = await self._next_due(session, now=now)
        elsewhere = await self.carried_elsewhere(found, now=now)
        started = 0
        for conversation in found:
            if self._is_live(conversation.session_key) or conversation.id in elsewhere:
                continue
            started += await self._start_again(conversation, now=now)
            await asyncio.sleep(PACE_SECONDS)
        return started

    async def carried_elsewhere(
        self, calls: Iterable[Conversation], *, now: datetime
    ) -> set[uuid.UUID]:
        """Return those with an open stream that another living process carries.

        Its word in the row may be late, or our clock ahead. No call is left to it for ever.
        """
        begun = now - timedelta(seconds=self._settings.max_call_seconds) - OVERTIME
        streams = [call for call in calls if call.streaming and call.started_at > begun]
        carriers = {call.carried_by for call in streams} - {None, self.executor_id}
        alive = {one for one in carriers if one and await seat.is_taken(self._db, one)}
        return {call.id for call in streams if call.carried_by in alive}

    async def _next_due(self, session: AsyncSession, *, now: datetime) -> Sequence[Conversation]:
        """Return the longest overdue; after a full batch those behind it, that nobody starves."""
        moment, key = col(Conversation.finish_after), col(Conversation.id)
        query = select(Conversation).where(
            Conversation.status == ConversationStatus.OPEN, moment <= now
        )
        if self._seen is not None:
            seen_moment, seen_key = self._seen
            is_level = and_(moment == seen_moment, key > seen_key)
            query = query.where(or_(moment > seen_moment, is_level))
        found = (await session.exec(query.order_by(moment, key).limit(BATCH))).all()
        last = found[-1] if len(found) == BATCH else None
        self._seen = (last.finish_after, last.id) if last else None
        return found

    async def prune(self) -> None:
        """Forget, every few seconds, a few of the jobs that ended long ago."""
        if time.monotonic() >= self._prune_at:
            self._prune_at = time.monotonic() + PRUNE_SECONDS
            await self._jobs.prune(older_than=KEPT)

    async def _bring_near(self, *, now: datetime) -> None:
        """Have no call wait for hours because the clock was put back by hours."""
        farthest = now + FARTHEST + timedelta(seconds=self._settings.episode_grace_seconds)
        far = and_(
            col(Conversation.channel) == Channel.VOICE,
            col(Conversation.status) == ConversationStatus.OPEN,
            col(Conversation.finish_after) > farthest,
        )
        async with self._db.read() as session:
            found = (await session.exec(select(Conversation.id).where(far))).all()
        if not found:
            return
        log.warning("the clock was put back", conversations=len(found))
        async with self._db.write() as session:
            await session.exec(update(Conversation).where(far).values(finish_after=farthest))

    async def _start_again(self, conversation: Conversation, *, now: datetime) -> bool:
        """Start the job, under another name where the first one is used up without a result."""
        assert conversation.finish_after is not None, "compared in the query"
        # What was due while nobody ran is not late: its own job is being continued.
        late = now - max(conversation.finish_after, self.opened_at)
        names = [JOB, str(conversation.id), str(conversation.episode)]
        if resumed := conclusion.times_resumed(conversation):
            names.append(f"resumed-{resumed}")
        if tries := late // PATIENCE:
            names.append(f"again-{tries}")
        try:
            await self._jobs.start(JOB, ":".join(names), str(conversation.id), conversation.episode)
        except Exception:  # the next second it is tried again, and the others are not held up
            log.exception("finish not started", conversation_id=str(conversation.id))
            return False
        return True

    async def _finish(self, conversation_id: str, episode: int) -> None:
        """Run the road; only a reading, which was paid for, is kept for a job that is continued."""
        reading = await self._jobs.step("read", self._read, conversation_id, episode)
        if reading is None:
            return
        concluded = await self._jobs.step(
            "conclude", self._conclude, conversation_id, episode, reading, kept=False
        )
        if concluded is None:
            return
        if concluded["submission_id"]:
            submission_id = concluded["submission_id"]
            await self._jobs.step("submit", self._submit, submission_id, kept=False)
        await self._jobs.step("close", self._close, conversation_id, episode, kept=False)

    async def _read(self, conversation_id: str, episode: int) -> dict[str, Any] | None:
        """Return what the transcript holds; None when the episode is closed already."""
        async with self._db.read() as session:
            conversation, tenant, lead = await conclusion.look(session, uuid.UUID(conversation_id))
            if not conclusion.is_open(conversation, episode):
                return None
            if conclusion.is_concluded(conversation, episode):
                return Extraction(by="nothing").dump()  # conclude looks at its own mark first
            material = await self._material(session, conversation, tenant, lead)
        may_spend = await budget.may_spend(self._db, tenant, self._clock())
        log.info("=== EXTRACTING LEAD DATA FROM CONVERSATION ===", conversation_id=conversation_id)
        _log_marker("=== CONVERSATION TEXT:\n", conversation_text(material.turns))
        reading = await self._extract(material, self._models if may_spend else ())
        return reading.dump()

    async def _material(
        self, session: AsyncSession, conversation: Conversation, tenant: Tenant, lead: Lead
    ) -> Material:
        started = conversation.started_at.astimezone(ZoneInfo(tenant.timezone))
        turns = await conversations.transcript(session, conversation.id)
        is_by_message = conversation.channel in Channel.by_message()
        return Material(
            profile=profile_of(self._profiles, tenant, lead),
            turns=[
                it
                for it in turns
                if not identity.is_anothers(conversation, it.said_at)
                and not (is_by_message and opt_out.read(it.text) == "stop")  # answers nothing
            ],
            caller_number=conversation.from_number,
            today=started.date(),
            given=await values.given(session, lead.id),
        )

    async def _extract(self, material: Material, models: Sequence[Model]) -> Extraction:
        """Extract; whatever goes wrong, the lead goes on with what the call collected (S3.41)."""
        try:
            return await extract(
                material,
                models,
                runs=self._settings.extraction_runs,
                timeout_seconds=self._settings.extraction_timeout_seconds,
            )
        except Exception:
            log.exception("ERROR IN LEAD EXTRACTION")
            return Extraction(by="nothing")

    async def _conclude(
        self, conversation_id: str, episode: int, reading: Mapping[str, Any]
    ) -> dict[str, str | None] | None:
        """Write down what follows, in one transaction; return the submission's id if it may go."""
        async with self._db.write() as session:
            concluded = await conclusion.conclude(
                session,
                self._profiles,
                uuid.UUID(conversation_id),
                episode,
                Extraction.load(reading),
                now=self._clock(),
                policy=_follow_up(self._settings),
            )
        if concluded is None:
            return None
        _log_marker("=== EXTRACTED LEAD DATA: ", concluded.as_json(), " ===")
        concluded.warn()
        submission_id = concluded.submission_id
        return {"submission_id": str(submission_id) if submission_id else None}

    async def _submit(self, submission_id: str) -> str | None:
        outcome = await self.submissions.first_attempt(uuid.UUID(submission_id))
        return outcome.state if outcome else None

    async def _close(self, conversation_id: str, episode: int) -> None:
        """Finish the episode; a caller who came back while the lead was sent is in the next one."""
        this = update(Conversation).where(
            col(Conversation.id) == uuid.UUID(conversation_id),
            col(Conversation.episode) == episode,
            col(Conversation.status) == ConversationStatus.OPEN,
        )
        finish_after = col(Conversation.finish_after)
        async with self._db.write() as session:
            # Locked before the clock is read: the call's status, noted while this waited, moves
            # `finish_after` to its own now, and that is nobody coming back.
            await conversations.lock(session, uuid.UUID(conversation_id))
            now = self._clock()
            finished = await session.exec(
                this.where(or_(finish_after.is_(None), finish_after <= now)).values(
                    status=ConversationStatus.FINISHED,
                    streaming=False,  # else of a process that died with the stream
                    finished_at=now,
                    ended_at=func.coalesce(col(Conversation.ended_at), now),
                )
            )
            if finished.rowcount == 0:
                await session.exec(this.values(episode=episode + 1))


def _follow_up(settings: Settings) -> follow_up.Policy | None:
    """Return how to go on with a call that broke off; None where we may not, or cannot, write."""
    if not settings.follow_up_sms or settings.twilio_auth_token is None:
        return None
    return follow_up.Policy(
        wait=timedelta(minutes=settings.follow_up_wait_minutes),
        silence=timedelta(hours=settings.text_silence_hours),
    )


async def run_scheduler(road: Road) -> None:
    """Finish what is over, send what is due and find lost attempts, every second and for ever."""
    sending: Sending = {}
    try:
        while True:
            await _tick(road, sending)
            road.last_tick = time.monotonic()
            await asyncio.sleep(SCHEDULE_SECONDS)
    finally:
        # A request that has left must not be cut off: its answer would become a question to a
        # person.
        await asyncio.gather(*sending, return_exceptions=True)


async def _tick(road: Road, sending: Sending) -> None:
    """Do all of it; what goes wrong in one stops neither the others nor the next tick."""
    parts = (
        road.start_due(),
        road.submissions.recover(opened_at=road.opened_at),
        _send_due(road, sending),
        road.prune(),
    )
    for result in await asyncio.gather(*parts, return_exceptions=True):
        if isinstance(result, BaseException):
            log.error("the schedule missed a beat", exc_info=result)


async def _send_due(road: Road, sending: Sending) -> None:
    for task in [task for task in sending if task.done()]:
        del sending[task]
    room, load = next_due.AT_ONCE - len(sending), Counter(sending.values())
    for submission_id, tenant_id in await road.submissions.due(limit=room, load=load):
        sending[asyncio.create_task(_attempt(road, submission_id))] = tenant_id


async def _attempt(road: Road, submission_id: uuid.UUID) -> None:
    try:
        await road.submissions.attempt(submission_id)
    except Exception:
        log.exception("attempt failed", submission_id=str(submission_id))


def _log_marker(head: str, payload: str, tail: str = "") -> None:
    """Write one of the owner's marker lines; `ivr.logs` decides what is seen of the payload."""
    event = f"{head}{payload}{tail}"
    log.info(event)
