"""Makes sure that no phone call stays open which nobody cares for any more.

The row says until when somebody does; after that Twilio is asked. A call that is still there is
brought back to us if its caller may be waiting for a word, else hung up; then Twilio is asked
again, until it has said that the call is over. Any process may do this, also after a restart.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from ivr.db.tables import Conversation, utc_now
from ivr.errors import DatabaseDown, NotFound, Unavailable
from ivr.runtime import State
from ivr.vendors.twilio import TERMINAL, TwilioRest
from ivr.voice import line, transfer
from ivr.voice.commands import INTERRUPTED, LOST_STREAM, EndReason
from ivr.voice.reception import AFTER_PATH
from ivr.voice.twiml import ASK_AGAIN

SWEEP_SECONDS = 5.0
BATCH = 20  # requests to Twilio at once
DUE = 500  # looked through for these: more than are carried at once, and need nobody else
ASK_AGAIN_AFTER = timedelta(seconds=10)  # a redirect or a hang-up that nothing came of
CLAIM = timedelta(minutes=1)  # longer than two requests take
FIRST_RETRY = timedelta(seconds=10)
LONGEST_RETRY = timedelta(minutes=10)
GIVE_UP = timedelta(hours=25)  # Twilio itself ends every call within 24 hours

log = structlog.get_logger(__name__)


@asynccontextmanager
async def sweeping(state: State) -> AsyncIterator[None]:
    """Sweep while the block runs; without an account there is nobody to ask."""
    twilio = state["twilio"]
    if twilio is None:
        log.warning("no Twilio account: calls are not hung up over REST")
        yield
        return
    task = asyncio.create_task(_sweep_for_ever(Sweeper(state, twilio)), name="sweeper")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _sweep_for_ever(sweeper: "Sweeper") -> None:
    while True:
        try:
            await sweeper.sweep()
        except DatabaseDown as exc:
            log.warning("calls not looked after yet", problem=str(exc))
        except Exception:
            log.exception("sweep failed")
        await asyncio.sleep(SWEEP_SECONDS)


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Looks after the calls of all processes on one database."""

    state: State
    twilio: TwilioRest
    clock: Callable[[], datetime] = utc_now

    async def sweep(self) -> None:
        """Look after every call that is due, but those that a living process carries."""
        now = self.clock()
        await self._bring_near(now)
        async with self.state["db"].read() as session:
            due = await line.due(session, now, limit=DUE)
        elsewhere = await self.state["road"].carried_elsewhere(due, now=now)
        neglected = [
            call
            for call in due
            if call.session_key not in self.state["live"] and call.id not in elsewhere
        ][:BATCH]
        results = await asyncio.gather(*map(self._look_after, neglected), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                log.error("call not looked after", exc_info=result)

    async def _bring_near(self, now: datetime) -> None:
        """Have no call wait for hours because the clock was put back by hours."""
        grace = timedelta(seconds=self.state["settings"].episode_grace_seconds)
        farthest, end_of_dial = now + LONGEST_RETRY + grace, now + line.LONGEST_DIAL
        async with self.state["db"].read() as session:
            far = await line.far(session, than=farthest, dialling_than=end_of_dial)
        if not far:
            return
        log.warning("the clock was put back", calls=len(far))
        for call in far:
            is_dialling = call.end_reason == EndReason.TRANSFER
            await self._set(call, end_of_dial if is_dialling else farthest)

    async def _look_after(self, call: Conversation) -> None:
        if not await self._set(call, self.clock() + CLAIM):
            return
        try:
            await self._ask(call)
        except DatabaseDown:
            raise
        except NotFound:
            log.warning("call unknown to Twilio", call_sid=call.session_key)
            await self._close(call, {})
        except Unavailable as exc:
            await self._ask_later(call, str(exc), exc.retry_after or 0.0)

    async def _ask(self, call: Conversation) -> None:
        told = await self.twilio.status(call.session_key)
        if told.get("CallStatus") in TERMINAL:
            await self._close(call, told)
            return
        # Whoever cares for it again meanwhile has moved the time.
        if not await self._set(call, self.clock() + CLAIM):
            return
        url = self._door_for(call)
        log.warning("call left open", call_sid=call.session_key, brought_back=url is not None)
        if url is not None:
            await self.twilio.redirect(call.session_key, url)
        else:
            await self.twilio.hang_up(call.session_key)
        await self._set(call, self.clock() + ASK_AGAIN_AFTER)

    def _door_for(self, call: Conversation) -> str | None:
        """Return where Twilio is to ask how the call goes on; None when it is to end."""
        settings = self.state["settings"]
        age = self.clock() - call.started_at
        is_waiting = call.end_reason is None or call.end_reason in INTERRUPTED | LOST_STREAM
        is_young = age < timedelta(seconds=settings.max_call_seconds)
        if settings.public_base_url is None or not (is_waiting and is_young):
            return None
        return f"{settings.public_base_url}{AFTER_PATH}{ASK_AGAIN}"

    async def _close(self, call: Conversation, told: Mapping[str, str]) -> None:
        now, longest = self.clock(), timedelta(seconds=self.state["settings"].max_call_seconds)
        async with self.state["db"].write() as session:
            await line.closed(session, call, told, now=now, longest=longest)
            if call.end_reason == EndReason.TRANSFER:
                await transfer.hung_up(session, call, told, now=now)

    async def _ask_later(self, call: Conversation, problem: str, retry_after_s: float) -> None:
        now = self.clock()
        if now - call.started_at > GIVE_UP:
            log.error("call given up: look for it at Twilio", call_sid=call.session_key)
            await self._set(call, None)
            return
        wait = min(FIRST_RETRY * 2 ** min(call.line_tries, 10), LONGEST_RETRY)
        wait = max(wait, timedelta(seconds=retry_after_s))
        log.warning("Twilio not asked yet", call_sid=call.session_key, problem=problem)
        await self._set(call, now + wait, tries=call.line_tries + 1)

    async def _set(self, call: Conversation, due_at: datetime | None, *, tries: int = 0) -> bool:
        async with self.state["db"].write() as session:
            return await line.move(session, call, due_at, tries=tries or call.line_tries)
