"""Durable jobs: a job that was started runs to its end, also over a `kill -9`. The one module that
knows DBOS.

A job is a coroutine function under a fixed name; its arguments are texts and numbers, its steps
are checkpointed and run at least once, so each step must be harmless when it runs again. What a
job is for, nothing here knows. DBOS keeps its rows in a file of their own beside a SQLite
database, or in schema `dbos` of the PostgreSQL one. Losing them loses no work: whoever starts
jobs must be able to tell from its own rows what is still to do.
"""

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
import structlog
from dbos import DBOS, DBOSClient, DBOSConfig, SetWorkflowID, StepOptions

from ivr.db.engine import database_path, libpq_url
from ivr.errors import Unavailable

# Set by hand: with DBOS's own, a hash of the source, a new release would leave the jobs of the old
# one lying.
# Raise it only when the steps of a job change so that a half-done one cannot be continued.
VERSION = "1"
STEP_TRIES = 6
STEP_WAIT_SECONDS = 0.2
SHUTDOWN_SECONDS = 10
# How often DBOS looks for notifications, which no job of ours sends; the end of `close` waits for
# such a look.
LISTEN_SECONDS = 1.0
PRUNED_AT_ONCE = 100
ENDED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]

log = structlog.get_logger(__name__)

Result = TypeVar("Result")
Job = Callable[..., Coroutine[Any, Any, None]]


class Jobs:
    """The durable jobs of one process; `executor_id` must be this process's alone among those that
    run.
    """

    def __init__(self, database_url: str, *, executor_id: str) -> None:
        self._url = system_url(database_url)
        self._executor_id = executor_id
        self._jobs: dict[str, Job] = {}
        self._engine: sa.Engine | None = None
        self._running: set[str] = set()

    def register(self, name: str, job: Job) -> None:
        """Make `job` known under `name`; all of them before `open`, which continues what was left
        half done.
        """
        self._jobs[name] = job

    async def open(self) -> None:
        """Launch DBOS in this event loop and continue what a dead process of our id left."""
        assert self._engine is None, "open once"
        self._engine = _sqlite_engine(self._url) if self._url.startswith("sqlite") else None
        DBOS(config=self._config())
        self._workflows = {name: self._workflow(name, job) for name, job in self._jobs.items()}
        self._workflows["warm-up"] = self._workflow("warm-up", _nothing)
        DBOS.launch()
        # The first workflow of a process holds up the event loop for about 50 ms: now, not in a
        # call.
        with SetWorkflowID(f"warm-up:{uuid.uuid4()}"):
            warming_up = await DBOS.start_workflow_async(self._workflows["warm-up"])
        await warming_up.get_result()  # else a stop right after the start would cut it off

    async def start(self, name: str, job_id: str, *args: str | int) -> None:
        """Start a job and return once it is written down; a `job_id` that was ever started does
        nothing.
        """
        if job_id in self._running:
            return
        try:
            with SetWorkflowID(job_id):
                await DBOS.start_workflow_async(self._workflows[name], *args)
        except sa.exc.OperationalError as exc:
            raise Unavailable("the job could not be written down") from exc

    async def step(
        self,
        name: str,
        function: Callable[..., Coroutine[Any, Any, Result]],
        *args: object,
        kept: bool = True,
    ) -> Result:
        """Run one step of the job we are in, again when it raises.

        What it returned is `kept` and not redone when the job is continued. A step that sees from
        the rows what is done already needs no such note, which costs two transactions.
        """
        if not kept:
            return await _again_and_again(function, *args)
        options: StepOptions = {
            "name": name,
            "retries_allowed": True,
            "interval_seconds": STEP_WAIT_SECONDS,  # doubled after each try
            "max_attempts": STEP_TRIES,
        }
        return await DBOS.run_step_async(options, function, *args)

    async def prune(self, *, older_than: timedelta) -> int:
        """Forget some jobs that have ended and were started so long ago; return how many."""
        ended = await DBOS.list_workflows_async(
            status=ENDED,
            end_time=(datetime.now(UTC) - older_than).isoformat(),
            limit=PRUNED_AT_ONCE,
            load_input=False,
            load_output=False,
        )
        if ended:
            await DBOS.delete_workflows_async([job.workflow_id for job in ended])
        return len(ended)

    async def close(self) -> None:
        """Let running jobs end for up to 10 s; the rest is continued at the next start."""
        wait = SHUTDOWN_SECONDS if self._running else 0  # DBOS sleeps a second before it looks
        await asyncio.to_thread(
            DBOS.destroy, destroy_registry=True, workflow_completion_timeout_sec=wait
        )
        # DBOS made its own, now closed pool the loop's default one.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def _config(self) -> DBOSConfig:
        config: DBOSConfig = {
            "name": "ivr",
            "system_database_url": self._url,
            "executor_id": self._executor_id,
            "application_version": VERSION,
            "log_level": "WARNING",
            "notification_listener_polling_interval_sec": LISTEN_SECONDS,
        }
        if self._engine is not None:
            config["system_database_engine"] = self._engine
        return config

    def _workflow(self, name: str, job: Job) -> Job:
        async def run(*args: str | int) -> None:
            job_id = str(DBOS.workflow_id)
            self._running.add(job_id)
            try:
                await job(*args)
            except Exception:
                log.exception("job failed", job_id=job_id)
                raise
            finally:
                self._running.discard(job_id)

        run.__qualname__ = run.__name__ = name
        return DBOS.workflow(name=name)(run)


def system_url(database_url: str) -> str:
    """Return where DBOS keeps its own rows for the database at `database_url`."""
    path = database_path(database_url)
    if path is not None:
        return f"sqlite:///{jobs_path(path)}"
    url = libpq_url(database_url)
    is_postgresql = sa.make_url(database_url).get_backend_name() == "postgresql"
    assert is_postgresql, "a database in memory cannot have durable jobs"
    return url.render_as_string(hide_password=False)


def prepare(owner_url: str, *, serving: str) -> None:
    """Make the tables of jobs as their owner, for a PostgreSQL role that may make none."""
    DBOS.migrate(system_url(owner_url), application_role=serving)


def forget(database_url: str, *, prefixes: Sequence[str]) -> int:
    """Delete all that is noted of the jobs whose ids begin so; return how many there were.

    Waits for the disk: to be called in a thread. Works beside a server and without one.
    """
    engine = _engine_of(database_url) if prefixes else None
    if engine is None:
        return 0
    try:
        client = DBOSClient(system_database_engine=engine)
        begun_so = client.list_workflows(
            workflow_id_prefix=list(prefixes), load_input=False, load_output=False
        )
        client.delete_workflows([job.workflow_id for job in begun_so])
        client.destroy()
        if engine.dialect.name == "sqlite":
            with engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()
        return len(begun_so)
    finally:
        engine.dispose()


def _engine_of(database_url: str) -> sa.Engine | None:
    """Return where the jobs are noted; None where no server has made the place yet."""
    path = database_path(database_url)
    if path is not None:
        is_there = jobs_path(path).exists()
        return _sqlite_engine(system_url(database_url)) if is_there else None
    url = sa.make_url(system_url(database_url)).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url)
    if sa.inspect(engine).has_table("workflow_status", schema="dbos"):
        return engine
    engine.dispose()
    return None


def jobs_path(path: Path) -> Path:
    """Return the file beside the SQLite database at `path`."""
    return path.with_name(f"{path.stem}.jobs{path.suffix}")


async def _again_and_again(
    function: Callable[..., Coroutine[Any, Any, Result]], *args: object
) -> Result:
    for tried in range(1, STEP_TRIES):
        try:
            return await function(*args)
        except Exception as exc:
            log.warning("step tried again", step=function.__name__, problem=type(exc).__name__)
        await asyncio.sleep(STEP_WAIT_SECONDS * 2 ** (tried - 1))
    return await function(*args)


async def _nothing() -> None:
    pass


def _sqlite_engine(url: str) -> sa.Engine:
    """Return an engine with a write-ahead log, which DBOS does not ask for by itself."""
    engine = sa.create_engine(url)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in _PRAGMAS:
            connection.execute(pragma)

    return engine


_PRAGMAS = (
    "PRAGMA busy_timeout=30000",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",
)
