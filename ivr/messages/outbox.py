"""Sends the messages that wait in the database; any number of processes may do so at once.

A claim is committed before the request leaves. Whoever gets no answer, or finds the claim of a
process that is gone, asks Twilio whether the message was taken before it is sent again.
"""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import structlog
from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db import Database
from ivr.db.engine import is_ending, patiently
from ivr.db.tables import Channel, Message, MessageState, Tenant, utc_now
from ivr.errors import DatabaseDown, Failure, Unavailable
from ivr.messages import claims, consent, failures, postage, receipts, rules, window
from ivr.messages.store import Undeliverable
from ivr.settings import Settings
from ivr.tenants import by_called_number
from ivr.vendors.twilio_messages import WHATSAPP, MessageRefused, Outgoing, Taken, TwilioMessages

POLL_SECONDS = 1.0
AT_ONCE = 20
LEASE = timedelta(seconds=30)
# After a lost answer: Twilio may still be about to show the message in its list.
ASK_AFTER = timedelta(seconds=10)
ASK_AGAIN = timedelta(seconds=30)
ASK_FOR = timedelta(hours=24)
SLACK = timedelta(minutes=1)  # Twilio's dates are in seconds
DELAYS = tuple(timedelta(seconds=s) for s in (2, 10, 30, 120, 600, 1800, 3600))
LONGEST_DELAY = timedelta(hours=1)
PUT_OFF = timedelta(minutes=5)  # one that cannot even be judged
SETTLE_SECONDS = 20.0
LONGEST_END_SECONDS = 10.0 + SETTLE_SECONDS  # of a request that has left, and of its answer
RECEIPTS_PATH = "/twilio/message-status"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Letter:
    """A claimed message and what is asked for."""

    claim: claims.Claim
    message: Message
    outgoing: Outgoing


class Outbox:
    """Sends for one process; `twilio` None: everything waits until there is an account."""

    def __init__(
        self,
        db: Database,
        twilio: TwilioMessages | None,
        *,
        on_undeliverable: Undeliverable,
        policy: rules.Policy | None = None,
        public_base_url: str | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._db = db
        self._twilio = twilio
        self._on_undeliverable = on_undeliverable
        self._policy = policy or rules.Policy()
        self._public_base_url = public_base_url
        self._clock = clock
        self._wake = asyncio.Event()
        self._has_told = False

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: Settings,
        db: Database,
        http: httpx.AsyncClient,
        on_undeliverable: Undeliverable,
    ) -> AsyncIterator["Outbox"]:
        """Send while the block runs; a request that has left is waited for at its end."""
        outbox = cls(
            db,
            TwilioMessages.from_settings(settings, http),
            on_undeliverable=on_undeliverable,
            policy=rules.Policy.of(settings),
            public_base_url=settings.public_base_url,
        )
        sending = asyncio.create_task(outbox.run(), name="outbox")
        try:
            yield outbox
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    def poke(self) -> None:
        """Look at once: somebody has committed a message."""
        self._wake.set()

    async def send_due(self) -> int:
        """Do one round, and return for how many messages something was done."""
        async with self._db.read() as session:
            found = await claims.due(session, now=self._clock(), limit=AT_ONCE)
        return sum(await asyncio.gather(*(self.attempt(one) for one in found)))

    async def run(self) -> None:
        """Send what is due, every second and whenever poked, for ever."""
        sending: set[asyncio.Task[None]] = set()
        try:
            while True:
                self._wake.clear()
                try:
                    await self._start_due(sending)
                except Exception as exc:
                    if is_ending():
                        raise
                    _tell_missed_beat(exc)
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._wake.wait()
        finally:
            # A request that has left must not be cut off: nobody would know what became of it.
            await asyncio.gather(*sending, return_exceptions=True)

    async def _start_due(self, sending: set[asyncio.Task[None]]) -> None:
        if self._twilio is None and self._has_told:
            return
        async with self._db.read() as session:
            found = await claims.due(session, now=self._clock(), limit=AT_ONCE)
        if self._twilio is None:
            self._tell_once(len(found))
            return
        started = {task.get_name() for task in sending}
        for message_id in [one for one in found if str(one) not in started]:
            if len(sending) == AT_ONCE:
                return
            task = asyncio.create_task(self._attend(message_id), name=str(message_id))
            sending.add(task)
            task.add_done_callback(sending.discard)

    def _tell_once(self, waiting: int) -> None:
        if waiting:
            self._has_told = True
            log.warning("messages wait: TWILIO_SID or TWILIO_AUTH_TOKEN is not set")

    async def _attend(self, message_id: uuid.UUID) -> None:
        try:
            if await self.attempt(message_id):
                self.poke()  # the next one of the conversation
        except DatabaseDown as exc:
            log.warning("a message waits for the database", problem=str(exc))
        except Exception:
            log.exception("message not sent", message_id=str(message_id))
            await self._put_off(message_id)

    async def attempt(self, message_id: uuid.UUID) -> bool:
        """Do what is next with a due message; False when there was nothing to do."""
        assert self._twilio is not None, "asked only with an account"
        async with self._db.read() as session:
            message = await session.get_one(Message, message_id)
        if message.state == MessageState.IN_FLIGHT:
            return await self._find_out(self._twilio, message)
        letter = await self._claim(message_id)
        if letter is None:
            return False
        await self._send(self._twilio, letter)
        return True

    async def _claim(self, message_id: uuid.UUID) -> _Letter | None:
        """Take a message, if it may go; a verdict against it is written down as well."""
        now = self._clock()
        async with self._db.write() as session:
            message = await session.get_one(Message, message_id)
            tenant = await session.get_one(Tenant, message.tenant_id)
            await consent.lock(session, tenant.id, message.recipient or "")
            mine = await claims.take(session, message, now=now, lease=LEASE)
            if mine is None:
                return None
            await _keep_sender_ours(session, tenant, message)
            match await rules.judge(session, tenant, message, self._policy, now=now):
                case rules.Go(content_sid):
                    return _Letter(mine, message, self._outgoing(tenant, message, content_sid))
                case rules.Wait(until):
                    waits = {"attempts": mine.number - 1, "next_attempt_at": until}
                    await claims.settle(session, mine, MessageState.PENDING, now=now, **waits)
                case rules.Block(reason, needs_person):
                    log.info("message blocked", message_id=str(message_id), reason=reason)
                    await claims.settle(session, mine, MessageState.BLOCKED, now=now, error=reason)
                    if needs_person:
                        await session.refresh(message)
                        await self._on_undeliverable(session, message, reason, now)
        self.poke()
        return None

    def _outgoing(self, tenant: Tenant, message: Message, content_sid: str | None) -> Outgoing:
        prefix = WHATSAPP if message.channel == Channel.WHATSAPP else ""
        sender = message.sender or tenant.phone_number or ""
        callback = None
        if self._public_base_url:
            callback = f"{self._public_base_url}{RECEIPTS_PATH}?message={message.id}"
        return Outgoing(
            to=f"{prefix}{message.recipient}",
            sender=f"{prefix}{sender}",
            body=message.body,
            status_callback=callback,
            content_sid=content_sid,
            content_variables=window.variables(message.body) if content_sid else None,
        )

    async def _send(self, twilio: TwilioMessages, letter: _Letter) -> None:
        # Whoever was asleep since the claim has lost it: by now others may have asked.
        if self._clock() + timedelta(seconds=twilio.timeout_s) > letter.claim.lease_ends:
            return
        result: Taken | MessageRefused
        try:
            result = await twilio.send(letter.outgoing)
        except MessageRefused as exc:
            result = exc
        await patiently(lambda: self._settle(letter, result), seconds=SETTLE_SECONDS)

    async def _settle(self, letter: _Letter, result: Taken | MessageRefused) -> None:
        now, mine = self._clock(), letter.claim
        async with self._db.write() as session:
            if isinstance(result, Taken):
                await self._adopt(session, mine, letter.message, result, now=now)
            elif result.kind is Failure.AMBIGUOUS:
                log.warning("message in question", message_id=str(mine.message_id))
                question = {"next_attempt_at": now + ASK_AFTER, "error": str(result)}
                await claims.settle(session, mine, MessageState.IN_FLIGHT, now=now, **question)
            elif result.kind is Failure.TRANSIENT and mine.number <= len(DELAYS):
                again_at = now + self._delay(mine.number, result.retry_after)
                wait = {"next_attempt_at": again_at, "error": str(result)}
                await claims.settle(session, mine, MessageState.PENDING, now=now, **wait)
            elif other := await _other_sender(session, letter.message, result):
                again = {"next_attempt_at": now, "sender": other, "error": str(result)}
                await claims.settle(session, mine, MessageState.PENDING, now=now, **again)
            else:
                why = {"error": str(result), "error_code": result.code}
                await self._give_up(session, mine, now=now, **why)

    async def _give_up(
        self, session: AsyncSession, mine: claims.Claim, *, now: datetime, **why: Any
    ) -> None:
        if await claims.settle(session, mine, MessageState.FAILED, now=now, **why):
            log.warning(
                "message failed", message_id=str(mine.message_id), code=why.get("error_code")
            )
            message = await session.get_one(Message, mine.message_id, populate_existing=True)
            await failures.follow(session, message, self._on_undeliverable, now=now)

    def _delay(self, attempts: int, retry_after: float | None) -> timedelta:
        """Return the wait after so many attempts: with jitter, or as Twilio asked if longer."""
        planned = DELAYS[min(attempts, len(DELAYS)) - 1] * random.uniform(0.8, 1.2)
        return max(planned, min(timedelta(seconds=retry_after or 0), LONGEST_DELAY))

    async def _find_out(self, twilio: TwilioMessages, message: Message) -> bool:
        """Ask Twilio whether it took a message whose answer never came; only else send again."""
        now = self._clock()
        async with self._db.write() as session:
            mine = await claims.take_up(session, message, now=now, lease=LEASE)
            if mine is None:
                return False
            content_sid = await rules.template_for(
                session, message, self._policy, now=message.updated_at
            )
            tenant = await session.get_one(Tenant, message.tenant_id)
        outgoing = self._outgoing(tenant, message, content_sid)
        found: list[Taken] | None = None
        with suppress(Unavailable):
            found = await twilio.look_for(outgoing, within=now - message.updated_at + SLACK)
        await patiently(lambda: self._answered(mine, message, found), seconds=SETTLE_SECONDS)
        return True

    async def _answered(
        self, mine: claims.Claim, message: Message, found: list[Taken] | None
    ) -> None:
        """Write down what Twilio had like it; None: it could not be asked."""
        now = self._clock()
        async with self._db.write() as session:
            known = await claims.known(session, message.tenant_id, [t.sid for t in found or ()])
            taken = next((t for t in found or () if t.sid not in known), None)
            if taken is not None:
                log.info("message was taken", message_id=str(message.id))
                await self._adopt(session, mine, message, taken, now=now)
            elif found is not None and mine.number <= len(DELAYS):
                again = {"next_attempt_at": message.updated_at + self._delay(mine.number, None)}
                await claims.settle(session, mine, MessageState.PENDING, now=now, **again)
            elif found is not None:
                await self._give_up(session, mine, now=now, error="Twilio never took it")
            elif now - message.updated_at > ASK_FOR:
                await self._give_up(session, mine, now=now, error="it may have been sent")
            else:
                later = {"next_attempt_at": now + ASK_AGAIN, "updated_at": message.updated_at}
                await claims.settle(session, mine, MessageState.IN_FLIGHT, now=now, **later)

    async def _adopt(
        self,
        session: AsyncSession,
        mine: claims.Claim,
        message: Message,
        taken: Taken,
        *,
        now: datetime,
    ) -> None:
        """Write down that Twilio has it; a receipt may have told so before its answer did."""
        state = receipts.STATES.get(taken.status, MessageState.QUEUED)
        named = {"provider_id": taken.sid, "sent_at": now, "error_code": taken.error_code}
        if state in receipts.LOST:
            await self._give_up(session, mine, now=now, **named, error=taken.status)
        elif await claims.settle(session, mine, state, now=now, **named, error=None):
            await postage.note(session, message, now=now)

    async def _put_off(self, message_id: uuid.UUID) -> None:
        now = self._clock()
        with suppress(DatabaseDown):
            async with self._db.write() as session:
                await session.exec(
                    update(Message)
                    .where(
                        col(Message.id) == message_id, col(Message.state) == MessageState.PENDING
                    )
                    .values(next_attempt_at=now + PUT_OFF, updated_at=now)
                )


async def _keep_sender_ours(session: AsyncSession, tenant: Tenant, message: Message) -> None:
    """Have it go out from no number where an answer would come to another client.

    Its row says from which: the number may move before Twilio has told what became of it.
    """
    sender = message.sender
    if sender is None or (await by_called_number(session, sender)).id != tenant.id:
        message.sender = tenant.phone_number


async def _other_sender(
    session: AsyncSession, message: Message, refusal: MessageRefused
) -> str | None:
    """Return from where to send what Twilio does not send from the number that was written to.

    A number without a row is `default`'s, also once it was released, or the setting has changed.
    """
    if refusal.code not in failures.NO_SENDER:
        return None
    tenant = await session.get_one(Tenant, message.tenant_id)
    return tenant.phone_number if tenant.phone_number != message.sender else None


def _tell_missed_beat(error: Exception) -> None:
    if isinstance(error, DatabaseDown):
        log.warning("the outbox waits for the database", problem=str(error))
    else:
        log.error("the outbox missed a beat", exc_info=error)
