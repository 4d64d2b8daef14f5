"""Durable jobs through their real door: DBOS on a SQLite file and on PostgreSQL."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from ivr.jobs import Jobs, jobs_path, system_url
from tests.leads.cast import until


class Work:
    """A job of two steps that writes down what it did, and may be told to die in the middle."""

    def __init__(self, jobs: Jobs) -> None:
        self.done: list[str] = []
        self.finished = asyncio.Event()
        self.dies = False
        self._jobs = jobs
        jobs.register("work", self.run)

    async def run(self, name: str, number: int) -> None:
        first = await self._jobs.step("first", self._first, name, number)
        if self.dies:
            raise asyncio.CancelledError  # what a job feels of the end of its process
        await self._jobs.step("second", self._second, first)
        self.finished.set()

    async def _first(self, name: str, number: int) -> str:
        self.done.append("first")
        return f"{name}-{number}"

    async def _second(self, result: str) -> None:
        self.done.append(f"second {result}")


async def test_a_job_runs_once_however_often_it_is_started(database_url: str) -> None:
    jobs = Jobs(database_url, executor_id="web")
    work = Work(jobs)
    await jobs.open()
    for _ in range(3):
        await jobs.start("work", "work:1", "lead", 7)
    async with asyncio.timeout(30):
        await work.finished.wait()
    await jobs.start("work", "work:1", "lead", 7)
    await jobs.close()
    assert work.done == ["first", "second lead-7"]


async def test_a_job_cut_off_goes_on_where_it_was_in_the_next_process(database_url: str) -> None:
    jobs = Jobs(database_url, executor_id="web")
    killed = Work(jobs)
    killed.dies = True
    await jobs.open()
    await jobs.start("work", "work:1", "lead", 7)
    await until(lambda: killed.done == ["first"])
    await jobs.close()

    jobs = Jobs(database_url, executor_id="web")
    work = Work(jobs)
    await jobs.open()
    async with asyncio.timeout(30):
        await work.finished.wait()
    await jobs.close()
    assert work.done == ["second lead-7"]


async def test_another_process_leaves_our_jobs_alone(sqlite_url: str) -> None:
    jobs = Jobs(sqlite_url, executor_id="one")
    killed = Work(jobs)
    killed.dies = True
    await jobs.open()
    await jobs.start("work", "work:1", "lead", 7)
    await until(lambda: killed.done == ["first"])
    await jobs.close()

    jobs = Jobs(sqlite_url, executor_id="two")
    work = Work(jobs)
    await jobs.open()
    await jobs.start("work", "work:2", "lead", 8)
    async with asyncio.timeout(30):
        await work.finished.wait()
    await jobs.close()
    assert work.done == ["first", "second lead-8"]


async def test_a_step_that_fails_is_tried_again(sqlite_url: str) -> None:
    jobs = Jobs(sqlite_url, executor_id="web")
    tries: list[int] = []
    finished = asyncio.Event()

    async def flaky() -> str:
        tries.append(len(tries))
        if len(tries) < 2:
            raise RuntimeError("not yet")
        return "done"

    async def job() -> None:
        assert await jobs.step("flaky", flaky) == "done"
        finished.set()

    jobs.register("work", job)
    await jobs.open()
    await jobs.start("work", "work:1")
    async with asyncio.timeout(30):
        await finished.wait()
    await jobs.close()
    assert tries == [0, 1]


async def test_a_step_that_is_not_kept_is_tried_again_and_redone_by_the_next_process(
    sqlite_url: str,
) -> None:
    tries: list[int] = []
    finished = asyncio.Event()

    async def flaky() -> int:
        tries.append(len(tries))
        if len(tries) == 1:
            raise RuntimeError("not yet")
        return len(tries)

    async def job() -> None:
        number = await jobs.step("flaky", flaky, kept=False)
        if number == 2:
            raise asyncio.CancelledError  # what a job feels of the end of its process
        finished.set()

    for count in (2, 3):
        jobs = Jobs(sqlite_url, executor_id="web")
        jobs.register("work", job)
        await jobs.open()
        await jobs.start("work", "work:1")
        await until(lambda count=count: len(tries) == count)  # type: ignore[misc]
        await jobs.close()
    await finished.wait()
    assert tries == [0, 1, 2]


async def test_jobs_that_ended_long_ago_are_forgotten_and_no_others(database_url: str) -> None:
    jobs = Jobs(database_url, executor_id="web")
    work, held = Work(jobs), asyncio.Event()
    jobs.register("wait", held.wait)
    await jobs.open()
    await jobs.start("wait", "wait:1")
    await jobs.start("work", "work:1", "lead", 7)
    async with asyncio.timeout(30):
        await work.finished.wait()
    assert await jobs.prune(older_than=timedelta(days=1)) == 0
    pruned = 0

    async def both() -> bool:  # the warm-up and the work; the last note of a job comes after it
        nonlocal pruned
        pruned += await jobs.prune(older_than=timedelta(0))
        return pruned >= 2

    await until(both)
    assert await jobs.prune(older_than=timedelta(0)) == 0, "one is still under way"
    held.set()
    await jobs.close()
    assert pruned == 2


async def test_threads_can_be_used_after_the_jobs_are_closed(sqlite_url: str) -> None:
    jobs = Jobs(sqlite_url, executor_id="web")
    await jobs.open()
    await jobs.close()
    assert await asyncio.to_thread(lambda: "alive") == "alive"


async def test_the_jobs_of_a_sqlite_database_have_a_file_of_their_own_with_a_log(
    sqlite_url: str, tmp_path: Path
) -> None:
    jobs = Jobs(sqlite_url, executor_id="web")
    await jobs.open()
    path = jobs_path(tmp_path / "nps_ivr.db")
    assert path.exists()
    assert path.with_name(f"{path.name}-wal").exists()
    await jobs.close()


@pytest.mark.parametrize(
    ("database_url", "system"),
    [
        ("sqlite+aiosqlite:///./nps_ivr.db", "sqlite:///nps_ivr.jobs.db"),
        ("sqlite+aiosqlite:////srv/ivr.sqlite", "sqlite:////srv/ivr.jobs.sqlite"),
        ("postgresql+asyncpg://u:p@h:1/n", "postgresql://u:p@h:1/n"),
        ("postgresql+asyncpg://h/n?ssl=require", "postgresql://h/n?sslmode=require"),
        ("postgresql+asyncpg://h/n?ssl=true", "postgresql://h/n?sslmode=require"),
        ("postgresql+asyncpg://h/n?sslmode=verify-full", "postgresql://h/n?sslmode=verify-full"),
        ("postgresql+asyncpg://h/n?prepared_statement_cache_size=0", "postgresql://h/n"),
    ],
)
def test_the_jobs_lie_beside_the_database(database_url: str, system: str) -> None:
    assert system_url(database_url) == system
