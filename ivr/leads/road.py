"""The road of a finished conversation: read it, merge what it says, move the lead, send it, close
the conversation.

One durable job per episode, `finish:<conversation>:<episode>`. Every step may run twice: what it
writes stands under a condition or a unique key. Should the jobs themselves be lost, the
scheduler finds the conversation by its own row (`finish_after` has passed, not finished) and
starts again. Sending is `submissions`' work, here only called.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import structlog
from sqlalchemy import func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import conversations
from ivr.db import Database
from ivr.db.tables import Conversation, ConversationStatus, Lead, Tenant, utc_now
from ivr.jobs import Jobs
from ivr.leads import conclusion
from ivr.leads.extraction import Extraction, Material, Model, conversation_text, extract
from ivr.leads.handover import Profiles, profile_of
from ivr.leads.submissions import Submissions
from ivr.settings import Settings
from ivr.vendors.llm import TextModels

JOB = "finish"
SCHEDULE_SECONDS = 1.0
# A job that ended with an error keeps its id for ever; this long after its time the conversation
# gets another one.
PATIENCE = timedelta(minutes=5)
BATCH = 50
AT_ONCE = 10  # requests to targets that the schedule keeps open

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
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.submissions = submissions
        self._settings = settings
        self._db = db
        self._jobs = jobs
        self._models = models
        self._profiles = profiles
        self._clock = clock
        self.opened_at = clock()
        jobs.register(JOB, self._finish)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: Settings, db: Database, http: httpx.AsyncClient, profiles: Profiles
    ) -> AsyncIterator["Road"]:
        """Continue what a dead process left and keep the schedule while the block runs."""
        models = TextModels(settings)
        jobs = Jobs(settings.database_url, executor_id=settings.executor_id)
        submissions = Submissions(db, http, settings, profiles)
        road = cls(settings, db, jobs, submissions, models.for_role("extract"), profiles)
        try:
            await submissions.recover(opened_at=road.opened_at)
            await jobs.open()
            schedule = asyncio.create_task(run_scheduler(road), name="schedule")
            try:
                yield road
            finally:
                schedule.cancel()
                await asyncio.gather(schedule, return_exceptions=True)
        finally:
            await jobs.close()
            await models.close()

    async def start_finish(self, conversation_id: uuid.UUID, episode: int) -> None:
        """Have an episode finished and return once that is written down; again does nothing."""
        await self._jobs.start(
            JOB, f"{JOB}:{conversation_id}:{episode}", str(conversation_id), episode
        )

    async def start_due(self) -> int:
        """Finish the conversations whose time has come, and return how many there were."""
        now = self._clock()
        query = (
            select(Conversation)
            .where(
                Conversation.status == ConversationStatus.OPEN,
                col(Conversation.finish_after) <= now,
            )
            .order_by(col(Conversation.finish_after))
            .limit(BATCH)
        )
        async with self._db.read() as session:
            found = (await session.exec(query)).all()
        for conversation in found:
            assert conversation.finish_after is not None, "compared in the query"
            # What was due while nobody ran is not late: its own job is being continued.
            since = max(conversation.finish_after, self.opened_at)
            await self._start_again(conversation, late=now - since)
        return len(found)

    async def _start_again(self, conversation: Conversation, *, late: timedelta) -> None:
        """Start the job, under another name where the first one is used up without a result."""
        names = [JOB, str(conversation.id), str(conversation.episode)]
        if resumed := conclusion.times_resumed(conversation):
            names.append(f"resumed-{resumed}")
        if tries := late // PATIENCE:
            names.append(f"again-{tries}")
        await self._jobs.start(JOB, ":".join(names), str(conversation.id), conversation.episode)

    async def _finish(self, conversation_id: str, episode: int) -> None:
        """Run the road; a recovered job skips the steps that are done."""
        reading = await self._jobs.step("read", self._read, conversation_id, episode)
        if reading is None:
            return
        concluded = await self._jobs.step(
            "conclude", self._conclude, conversation_id, episode, reading
        )
        if concluded is None:
            return
        if concluded["submission_id"]:
            await self._jobs.step("submit", self._submit, concluded["submission_id"])
        await self._jobs.step("close", self._close, conversation_id, episode)

    async def _read(self, conversation_id: str, episode: int) -> dict[str, Any] | None:
        """Return what the transcript holds; None when the episode is closed already."""
        async with self._db.read() as session:
            conversation = await conversations.by_id(session, uuid.UUID(conversation_id))
            if not conclusion.is_open(conversation, episode):
                return None
            if conclusion.is_concluded(conversation, episode):
                return Extraction(by="nothing").dump()  # conclude looks at its own mark first
            material = await self._material(session, conversation)
        log.info("=== EXTRACTING LEAD DATA FROM CONVERSATION ===", conversation_id=conversation_id)
        _log_marker("=== CONVERSATION TEXT:\n", conversation_text(material.turns))
        reading = await self._extract(material)
        return reading.dump()

    async def _material(self, session: AsyncSession, conversation: Conversation) -> Material:
        tenant = await session.get_one(Tenant, conversation.tenant_id)
        lead = await session.get_one(Lead, conversation.lead_id)
        started = conversation.started_at.astimezone(ZoneInfo(tenant.timezone))
        return Material(
            profile=profile_of(self._profiles, tenant, lead),
            turns=await conversations.transcript(session, conversation.id),
            caller_number=conversation.from_number,
            today=started.date(),
        )

    async def _extract(self, material: Material) -> Extraction:
        """Extract; whatever goes wrong, the lead goes on with what was collected in the call
        (S3.41).
        """
        try:
            return await extract(
                material,
                self._models,
                runs=self._settings.extraction_runs,
                timeout_seconds=self._settings.extraction_timeout_seconds,
            )
        except Exception:
            log.exception("ERROR IN LEAD EXTRACTION")
            return Extraction(by="nothing")

    async def _conclude(
        self, conversation_id: str, episode: int, reading: Mapping[str, Any]
    ) -> dict[str, str | None] | None:
        """Merge, move the lead and write the submission down, in one transaction; return its id if
        it may go.
        """
        async with self._db.write() as session:
            concluded = await conclusion.conclude(
                session,
                self._profiles,
                uuid.UUID(conversation_id),
                episode,
                Extraction.load(reading),
                now=self._clock(),
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
        now = self._clock()
        async with self._db.write() as session:
            await session.exec(
                update(Conversation)
                .where(
                    col(Conversation.id) == uuid.UUID(conversation_id),
                    col(Conversation.episode) == episode,
                    col(Conversation.status) == ConversationStatus.OPEN,
                )
                .values(
                    status=ConversationStatus.FINISHED,
                    finished_at=now,
                    ended_at=func.coalesce(col(Conversation.ended_at), now),
                )
            )


async def run_scheduler(road: Road) -> None:
    """Every second: finish conversations whose time has come, send what is due, find lost attempts.
    Runs for ever.
    """
    sending: set[asyncio.Task[Any]] = set()
    try:
        while True:
            try:
                await _tick(road, sending)
            except Exception:
                log.exception("the schedule missed a beat")
            await asyncio.sleep(SCHEDULE_SECONDS)
    finally:
        # A request that has left must not be cut off: its answer would become a question to a
        # person.
        await asyncio.gather(*sending, return_exceptions=True)


async def _tick(road: Road, sending: set[asyncio.Task[Any]]) -> None:
    await road.start_due()
    await road.submissions.recover(opened_at=road.opened_at)
    for submission_id in await road.submissions.due(limit=AT_ONCE - len(sending)):
        task = asyncio.create_task(_attempt(road, submission_id))
        sending.add(task)
        task.add_done_callback(sending.discard)


async def _attempt(road: Road, submission_id: uuid.UUID) -> None:
    try:
        await road.submissions.attempt(submission_id)
    except Exception:
        log.exception("attempt failed", submission_id=str(submission_id))


def _log_marker(head: str, payload: str, tail: str = "") -> None:
    """Write one of the owner's marker lines; what may be seen of the payload is decided in
    `ivr.logs`.
    """
    event = f"{head}{payload}{tail}"
    log.info(event)
