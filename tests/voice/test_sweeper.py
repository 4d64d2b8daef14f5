"""What is done about calls that nobody cares for; whole calls are in `tests/calls`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ivr import conversations
from ivr.db import Database
from ivr.db.tables import Conversation, ConversationStatus, UsageLog
from ivr.jobs import Jobs
from ivr.leads import seat
from ivr.leads.delivery.submissions import Submissions
from ivr.leads.profile import load_profile
from ivr.leads.road import Road
from ivr.vendors.twilio import TwilioRest
from ivr.voice import line
from ivr.voice import sweeper as sweeper_module
from ivr.voice.commands import EndReason
from ivr.voice.sweeper import ASK_AGAIN_AFTER, CLAIM, FIRST_RETRY, GIVE_UP, LONGEST_RETRY, Sweeper
from tests.leads.cast import NOW, Clock, call, carried, reread, rows, settings_for
from tools.emulators.serving import serve

PUBLIC = "https://ivr.example.test"
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


@dataclass
class Account:
    """Twilio's side: what it says of its one call, and what it was asked."""

    status: str = "in-progress"
    duration: str | None = None
    failure: int | None = None
    retry_after: str | None = None
    meanwhile: Callable[[], Awaitable[None]] | None = None
    asked: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)

    async def answer(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode())
        self.asked.append((request.method, form))
        if self.meanwhile is not None:
            await self.meanwhile()
        if self.failure is not None:
            headers = {"Retry-After": self.retry_after} if self.retry_after else None
            return JSONResponse({"code": 20500}, status_code=self.failure, headers=headers)
        if request.method == "POST" and "Status" in form:
            self.status = "completed"
        return JSONResponse({"status": self.status, "duration": self.duration})

    @property
    def told(self) -> list[str]:
        """What the call was to do, without the questions."""
        return [next(iter(form)) for method, form in self.asked if method == "POST"]


@dataclass
class World:
    account: Account
    clock: Clock
    sweeper: Sweeper
    live: set[str]

    async def after(self, wait: timedelta) -> None:
        """Let time pass, and sweep."""
        self.clock.advance(wait)
        await self.sweeper.sweep()


@asynccontextmanager
async def sweeping(db: Database, **settings: Any) -> AsyncIterator[World]:
    account, clock, live = Account(), Clock(), set[str]()
    given = settings_for(db.url, **{"public_base_url": PUBLIC, **settings})
    app = Starlette(routes=[Route("/{path:path}", account.answer, methods=["GET", "POST"])])
    async with serve(app) as port, httpx.AsyncClient() as http:
        submissions = Submissions(db, http, given, load_profile)
        jobs = Jobs(db.url, executor_id=given.executor_id)
        road = Road(given, db, jobs, submissions, (), load_profile)
        state: Any = {"db": db, "settings": given, "live": live, "road": road}
        twilio = TwilioRest(http, "AC1", "secret", api_base_url=f"http://127.0.0.1:{port}")
        yield World(account, clock, Sweeper(state, twilio, clock), live)


async def line_due(db: Database, conversation: Conversation, at: datetime = NOW) -> None:
    async with db.write() as session:
        await line.expect_end(session, conversation.id, by=at)


async def ended(db: Database, reason: str) -> Conversation:
    """A call whose stream ended for this reason, and of which Twilio has said nothing since."""
    conversation = await call(db)
    async with db.write() as session:
        row = await conversations.by_id(session, conversation.id)
        row.end_reason = reason
    return conversation


async def test_a_call_that_is_over_is_written_down_once(db: Database) -> None:
    conversation = await call(db)
    async with sweeping(db) as w:
        w.account.status = "completed"
        await w.after(SECOND)
        await w.after(timedelta(days=1))

    row = await reread(db, conversation)
    assert row.line_closed_at == NOW + SECOND and row.line_due_at is None
    assert row.ended_at is not None
    assert w.account.asked == [("GET", {})]


async def test_nobody_is_asked_of_a_call_that_is_cared_for(db: Database) -> None:
    conversation = await call(db)
    async with sweeping(db) as w:
        await line_due(db, conversation, NOW + 60 * SECOND)
        await w.after(59 * SECOND)
        assert w.account.asked == []
        await w.after(SECOND)

    assert len(w.account.asked) > 0


async def test_a_call_that_this_process_carries_is_left_alone(db: Database) -> None:
    conversation = await call(db)
    async with sweeping(db) as w:
        w.live.add(conversation.session_key)
        await w.after(timedelta(hours=1))

    assert w.account.asked == []


async def test_a_call_that_a_living_process_carries_is_left_to_it(db: Database) -> None:
    conversation = await call(db)
    await carried(db, conversation, by="other")
    async with sweeping(db) as w:
        async with seat.take(db, "other"):
            await w.after(timedelta(minutes=15))
            assert w.account.asked == []
        await w.after(SECOND)

    assert len(w.account.asked) > 0


async def test_a_carrier_that_keeps_a_call_far_too_long_is_not_trusted(db: Database) -> None:
    await carried(db, await call(db), by="other")
    async with sweeping(db, max_call_seconds=900) as w, seat.take(db, "other"):
        await w.after(timedelta(minutes=18))

    assert w.account.told == ["Status"]


async def test_calls_that_others_carry_do_not_keep_us_from_the_next(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper_module, "BATCH", 1)
    await carried(db, await call(db), by="other")
    behind = await call(db, sid="CA2", now=NOW + SECOND)
    async with sweeping(db) as w, seat.take(db, "other"):
        w.account.status = "completed"
        await w.after(2 * SECOND)

    assert (await reread(db, behind)).line_closed_at is not None


async def test_a_clock_that_is_put_back_by_hours_leaves_no_call_open_for_hours(
    db: Database,
) -> None:
    conversation = await ended(db, EndReason.MODEL_LOST)
    await line_due(db, conversation, NOW + timedelta(hours=4))
    async with sweeping(db) as w:
        await w.sweeper.sweep()
        assert w.account.asked == []
        await w.after(LONGEST_RETRY + 20 * SECOND)

    assert len(w.account.asked) > 0


async def test_a_caller_who_talks_to_a_person_is_let_talk(db: Database) -> None:
    conversation = await ended(db, EndReason.TRANSFER)
    await line_due(db, conversation, NOW + line.LONGEST_DIAL)
    async with sweeping(db) as w:
        await w.sweeper.sweep()
        assert (await reread(db, conversation)).line_due_at == NOW + line.LONGEST_DIAL
        await line_due(db, conversation, NOW + timedelta(hours=9))
        await w.sweeper.sweep()

    assert (await reread(db, conversation)).line_due_at == NOW + line.LONGEST_DIAL
    assert w.account.asked == []


@pytest.mark.parametrize("reason", [EndReason.GOODBYE, EndReason.TRANSFER, EndReason.OVERDUE])
async def test_a_call_that_was_to_end_is_hung_up_and_asked_for_again(
    db: Database, reason: str
) -> None:
    conversation = await ended(db, reason)
    async with sweeping(db) as w:
        await w.after(SECOND)
        assert w.account.told == ["Status"]
        assert (await reread(db, conversation)).line_closed_at is None, "not confirmed yet"
        await w.after(ASK_AGAIN_AFTER)

    assert (await reread(db, conversation)).line_closed_at == NOW + SECOND + ASK_AGAIN_AFTER
    assert w.account.told == ["Status"]


@pytest.mark.parametrize("reason", [EndReason.MODEL_LOST, EndReason.PHONE_LOST, None])
async def test_a_caller_who_may_wait_for_a_word_is_brought_back(
    db: Database, reason: str | None
) -> None:
    conversation = await ended(db, reason) if reason else await call(db)
    async with sweeping(db) as w:
        await w.after(SECOND)

    door = {"Url": [f"{PUBLIC}/twilio/voice/after#rc=3&rp=all"], "Method": ["POST"]}
    assert w.account.asked == [("GET", {}), ("POST", door)]
    assert (await reread(db, conversation)).status == ConversationStatus.OPEN


async def test_a_call_beyond_its_longest_time_is_hung_up(db: Database) -> None:
    await ended(db, EndReason.MODEL_LOST)
    async with sweeping(db, max_call_seconds=900) as w:
        await w.after(timedelta(seconds=901))

    assert w.account.told == ["Status"]


async def test_where_our_address_is_not_known_the_call_is_hung_up(db: Database) -> None:
    await ended(db, EndReason.MODEL_LOST)
    async with sweeping(db, public_base_url=None) as w:
        await w.after(SECOND)

    assert w.account.told == ["Status"]


async def test_who_cares_for_the_call_meanwhile_is_not_disturbed(db: Database) -> None:
    conversation = await ended(db, EndReason.MODEL_LOST)

    async def after_is_asked() -> None:
        async with db.write() as session:
            await conversations.continue_until(session, conversation.id, NOW + 90 * SECOND)

    async with sweeping(db) as w:
        w.account.meanwhile = after_is_asked
        await w.after(SECOND)

    assert w.account.asked == [("GET", {})]
    assert (await reread(db, conversation)).line_due_at == NOW + 90 * SECOND


async def test_of_two_processes_one_asks(db: Database) -> None:
    await call(db)
    async with sweeping(db) as one, sweeping(db) as other:
        await one.sweeper.sweep()
        await other.sweeper.sweep()

    assert len(one.account.asked) > 0 and other.account.asked == []


async def test_what_a_process_that_died_had_claimed_is_done_by_the_next(db: Database) -> None:
    conversation = await call(db)
    async with db.write() as session:
        assert await line.move(session, conversation, NOW + CLAIM, tries=0)
    async with sweeping(db) as w:
        w.account.status = "completed"
        await w.after(CLAIM)

    assert (await reread(db, conversation)).line_closed_at is not None


async def test_an_account_that_fails_is_asked_less_and_less_often(db: Database) -> None:
    conversation = await call(db)
    async with sweeping(db) as w:
        w.account.failure = 503
        waits = []
        for _ in range(9):
            await w.sweeper.sweep()
            due = (await reread(db, conversation)).line_due_at
            assert due is not None
            waits.append(due - w.clock.now)
            w.clock.now = due
        w.account.failure, w.account.status = None, "completed"
        await w.sweeper.sweep()

    assert waits[:4] == [FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY, 8 * FIRST_RETRY]
    assert waits[-1] == LONGEST_RETRY
    assert (await reread(db, conversation)).line_closed_at is not None


async def test_an_account_that_is_busy_says_when_it_is_asked_again(db: Database) -> None:
    conversation = await call(db)
    async with sweeping(db) as w:
        w.account.failure, w.account.retry_after = 429, "45"
        await w.sweeper.sweep()

    assert (await reread(db, conversation)).line_due_at == NOW + 45 * SECOND


async def test_a_call_that_twilio_does_not_know_is_over(db: Database) -> None:
    conversation = await call(db)
    async with sweeping(db) as w:
        w.account.failure = 404
        await w.sweeper.sweep()

    assert (await reread(db, conversation)).line_closed_at == NOW


async def test_in_the_end_the_call_is_given_up_and_an_operator_told(db: Database) -> None:
    conversation = await call(db)
    async with sweeping(db) as w:
        w.account.failure = 401
        with structlog.testing.capture_logs() as logs:
            await w.after(GIVE_UP)
            assert "error" not in [entry["log_level"] for entry in logs]
            await w.after(timedelta(days=1))

    row = await reread(db, conversation)
    assert row.line_due_at is None and row.line_closed_at is None
    errors = [entry for entry in logs if entry["log_level"] == "error"]
    assert [entry["call_sid"] for entry in errors] == [conversation.session_key]


async def test_a_call_that_is_over_is_not_taken_up_again(db: Database) -> None:
    conversation = await call(db)
    async with db.write() as session:
        await line.closed(session, conversation, {}, now=NOW, longest=HOUR)
        await line.closed(session, conversation, {}, now=NOW + SECOND, longest=HOUR)
        await conversations.continue_until(session, conversation.id, NOW + 90 * SECOND)
        await line.expect_end(session, conversation.id, by=NOW + SECOND)

    row = await reread(db, conversation)
    assert row.line_closed_at == NOW and row.line_due_at is None
    assert row.finish_after == NOW + SECOND and row.episode == 1


# how long a call was that ended unseen


async def billed(db: Database) -> dict[str, float] | None:
    """What was written down of time on the line; None: nothing."""
    found = [row.quantities for row in await rows(db, UsageLog) if row.purpose == "call"]
    assert len(found) <= 1
    return found[0] if found else None


async def test_a_call_that_ended_while_we_were_away_took_as_long_as_twilio_says(
    db: Database,
) -> None:
    await call(db)
    async with sweeping(db) as w:
        w.account.status, w.account.duration = "completed", "120"
        await w.after(8 * HOUR)

    assert await billed(db) == {"seconds": 120, "minutes": 2}


@pytest.mark.parametrize("failure", [None, 404])
async def test_a_call_of_unknown_length_was_no_longer_than_calls_may_be(
    db: Database, failure: int | None
) -> None:
    await call(db)
    async with sweeping(db, max_call_seconds=900) as w:
        w.account.status, w.account.failure = "completed", failure
        await w.after(8 * HOUR)

    assert await billed(db) == {"seconds": 900, "minutes": 15}


async def test_a_transferred_call_of_unknown_length_was_no_longer_than_two_may_talk(
    db: Database,
) -> None:
    conversation = await ended(db, EndReason.TRANSFER)
    async with db.write() as session:
        row = await conversations.by_id(session, conversation.id)
        row.ended_at = NOW + 60 * SECOND  # when somebody picked up: they talked on
    async with sweeping(db, max_call_seconds=900) as w:
        w.account.status = "completed"
        await w.after(8 * HOUR)

    longest = timedelta(seconds=900) + line.LONGEST_DIAL
    assert await billed(db) == {"seconds": longest.total_seconds(), "minutes": 260}


async def test_a_call_of_unknown_length_that_was_hung_up_lasted_until_then(db: Database) -> None:
    conversation = await call(db)
    async with db.write() as session:
        await conversations.call_over(
            session, conversation.id, reason=EndReason.GOODBYE, now=NOW + 130 * SECOND
        )
    async with sweeping(db) as w:
        w.account.status = "completed"
        await w.after(8 * HOUR)

    assert await billed(db) == {"seconds": 130, "minutes": 3}


async def test_a_call_that_was_never_answered_took_no_time(db: Database) -> None:
    await call(db)
    async with sweeping(db) as w:
        w.account.status = "no-answer"
        await w.after(8 * HOUR)

    assert await billed(db) is None


async def test_what_twilio_counted_stands_in_the_place_of_what_we_did(db: Database) -> None:
    conversation = await call(db)
    ours, theirs = {"CallStatus": "completed"}, {"CallStatus": "completed", "CallDuration": "121"}
    for form, minutes in [(ours, 2), (theirs, 3), (theirs, 3), (ours, 3)]:
        async with db.write() as session:
            row = await conversations.by_id(session, conversation.id)
            await line.closed(session, row, form, now=NOW + 119 * SECOND, longest=HOUR)
        found = await billed(db)
        assert found is not None and found["minutes"] == minutes
