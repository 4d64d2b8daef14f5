"""Executes TwiML: fetches documents, runs their verbs in order, follows what they point to.

It knows nothing of hanging up from outside; whoever runs it cancels it for that.
"""

import asyncio
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import urljoin

from tools.emulators.twilio.account import new_sid
from tools.emulators.twilio.callee import Callee
from tools.emulators.twilio.record import Question, Record
from tools.emulators.twilio.stream import Stream
from tools.emulators.twilio.twiml import TwimlError, Verb, parse_answer
from tools.emulators.twilio.webhooks import Exchange, UnknownHost, WrongOverride

MOST_DOCUMENTS = 500  # in one call; more is a loop of redirects

# The number's place of origin; the toll-free side has none, so those fields are sent empty.
GEOGRAPHY = {
    "FromCity": "ATLANTA",
    "FromState": "GA",
    "FromZip": "30301",
    "FromCountry": "US",
    "CallerCity": "ATLANTA",
    "CallerState": "GA",
    "CallerZip": "30301",
    "CallerCountry": "US",
    "ToCity": "",
    "ToState": "",
    "ToZip": "",
    "ToCountry": "US",
    "CalledCity": "",
    "CalledState": "",
    "CalledZip": "",
    "CalledCountry": "US",
}


class Then(Enum):
    """What follows a verb that asks for no new document."""

    NEXT = "next verb"
    OVER = "the call is over"


@dataclass(frozen=True, slots=True)
class Fetch:
    """A document to ask the server for."""

    url: str
    method: str = "POST"
    fields: dict[str, str] = field(default_factory=dict)


class Interpreter:
    """Runs the documents of one call."""

    def __init__(self, record: Record, extra_fields: dict[str, str]) -> None:
        self._record = record
        self._account = record.account
        self._extra = extra_fields
        self._url = record.account.voice_url  # the current document's, relative URLs start here

    async def follow(self, step: Fetch | tuple[Verb, ...]) -> None:
        """Run a document and all that it leads to; returns when there is nothing left to run."""
        for _ in range(MOST_DOCUMENTS):
            verbs = await self._fetch(step) if isinstance(step, Fetch) else step
            then = await self._run(verbs)
            if not isinstance(then, Fetch):
                return
            step = then
        self._record.violation(f"more than {MOST_DOCUMENTS} documents in one call")

    def call_fields(self) -> dict[str, str]:
        """Return the parameters that every request about the call carries."""
        record = self._record
        fields = {
            "AccountSid": self._account.sid,
            "ApiVersion": "2010-04-01",
            "CallSid": record.sid,
            "CallStatus": record.status,
            "Called": record.to,
            "Caller": record.from_,
            "Direction": "inbound",
            "From": record.from_,
            "To": record.to,
        }
        return {**fields, **GEOGRAPHY, **self._extra}

    # documents

    async def _fetch(self, fetch: Fetch) -> tuple[Verb, ...]:
        """Return the document's verbs; after a failure the fallback's, or none: the call drops."""
        exchange = await self._request(fetch)
        verbs = self._read(exchange)
        if verbs is None and self._account.fallback_url is not None:
            failure = {"ErrorCode": self._record.errors[-1], "ErrorUrl": self._url}
            fallback = Fetch(self._account.fallback_url, fields={**fetch.fields, **failure})
            verbs = self._read(await self._request(fallback))
        if verbs is None:
            self._record.note("dropped", "an application error has occurred")
            return ()
        if self._record.status == "ringing" and not _is_rejection(verbs):
            self._record.status = "in-progress"
        return verbs

    async def _request(self, fetch: Fetch) -> Exchange | None:
        self._url = fetch.url.partition("#")[0]
        fields = {**self.call_fields(), **fetch.fields}
        try:
            return await self._send(fetch, fields)
        except (UnknownHost, WrongOverride) as error:
            self._record.violation(str(error))
            self._record.error("11205", str(error))
            return None

    async def _send(self, fetch: Fetch, fields: dict[str, str]) -> Exchange:
        webhooks, faults = self._account.webhooks, self._account.faults
        token = new_sid("")

        async def once() -> Exchange:
            return await webhooks.send(
                fetch.url, fields, method=fetch.method, idempotency_token=token
            )

        if faults.duplicate_webhook == "together":
            exchanges = list(await asyncio.gather(once(), once()))
        else:
            exchanges = [await once() for _ in range(2 if faults.duplicate_webhook else 1)]
        for exchange in exchanges:
            self._record.webhooks.append(exchange)
            self._record.note(
                "webhook", f"{fetch.method} {fetch.url.partition('#')[0]} -> {exchange.status}"
            )
        return exchanges[0]

    def _read(self, exchange: Exchange | None) -> tuple[Verb, ...] | None:
        if exchange is None:
            return None
        if exchange.is_failure:
            self._record.error(exchange.error_code, f"no usable answer, {exchange.status}")
            return None
        try:
            return parse_answer(exchange.content_type, exchange.body)
        except TwimlError as error:
            self._record.violation(f"TwiML of {self._url}: {error}")
            self._record.error(error.code, str(error))
            return None

    # verbs

    async def _run(self, verbs: tuple[Verb, ...]) -> Fetch | Then:
        for verb in verbs:
            then = await self._execute(verb)
            if then is not Then.NEXT:
                return then
        return Then.OVER

    async def _execute(self, verb: Verb) -> Fetch | Then:
        match verb.name:
            case "Say":
                await self._say(verb)
            case "Pause":
                await self._record.clock.sleep(1000 * float(verb.get("length", "1")))
            case "Gather":
                return await self._gather(verb)
            case "Record":
                return await self._record_message(verb)
            case "Connect":
                return await self._connect(verb)
            case "Dial":
                return await self._dial(verb)
            case "Redirect":
                return Fetch(self._absolute(verb.text), verb.get("method", "POST"))
            case "Reject":
                # Status words for a rejected inbound call: from memory of Twilio's console.
                self._record.status = "busy" if verb.get("reason") == "busy" else "no-answer"
                self._record.note("reject", verb.get("reason", "rejected"))
                return Then.OVER
            case _:
                self._record.note("hangup")
                return Then.OVER
        return Then.NEXT

    async def _say(self, verb: Verb) -> None:
        for _ in range(max(1, int(verb.get("loop", "1")))):
            self._record.sayings.append(verb.text)
            self._record.note("say", verb.text)
            await self._record.clock.sleep(len(verb.text) * self._account.say_ms_per_character)

    async def _gather(self, verb: Verb) -> Fetch | Then:
        for prompt in verb.children:
            await self._execute(prompt)
        answer = await self._ask(verb)
        if not answer and verb.get("actionOnEmptyResult", "false") == "false":
            return Then.NEXT
        return self._action(verb, answer) or Fetch(self._url, fields=answer)

    async def _record_message(self, verb: Verb) -> Fetch | Then:
        answer = await self._ask(verb)
        if not answer:
            return Then.NEXT
        return self._action(verb, answer) or Fetch(self._url, fields=answer)

    async def _ask(self, verb: Verb) -> dict[str, str]:
        """Wait for the caller; an empty answer is silence."""
        question = Question(verb, asyncio.get_running_loop().create_future())
        self._record.question = question
        self._record.note(verb.name.lower(), verb.get("input", "dtmf"))
        try:
            return await self._answered(question)
        finally:
            self._record.question = None

    async def _answered(self, question: Question) -> dict[str, str]:
        if not self._account.gather_timeouts:
            return await question.answer
        timeout_s = float(question.verb.get("timeout", "5")) / self._account.speed
        try:
            return await asyncio.wait_for(question.answer, timeout_s)
        except TimeoutError:
            self._record.note("answer", "nothing")
            return {}

    async def _connect(self, verb: Verb) -> Fetch | Then:
        noun = verb.children[0]
        callback = noun.get("statusCallback")
        stream = Stream(self._record, noun, self._absolute(callback) if callback else None)
        self._record.streams.append(stream)
        await stream.run()
        if self._account.faults.action_never:
            await asyncio.Event().wait()
        return self._action(verb, {}) or Then.NEXT

    async def _dial(self, verb: Verb) -> Fetch | Then:
        numbers = [child.text for child in verb.children] or [verb.text]
        status, sid = self._account.dial_status, new_sid("CA")
        clock = self._record.clock
        self._record.note("dial", " ".join(numbers))
        await clock.sleep(self._account.ring_ms)
        fields = {"DialCallStatus": status, "DialCallSid": sid}
        if status in {"completed", "answered"}:
            answered_at = clock.now_ms()
            has_taken = await self._whisper(verb, sid)
            if is_joined := has_taken and not self._account.faults.callee_gone:
                self._record.note("joined", " ".join(numbers))
                await clock.sleep(self._account.dial_ms)
            # Hung up on while the whisper ran: answered all the same, says public code.
            fields["DialBridged"] = "true" if is_joined else "false"
            fields["DialCallDuration"] = str(int((clock.now_ms() - answered_at) / 1000))
        self._record.note("dialled", status)
        return self._action(verb, fields) or Then.NEXT

    async def _whisper(self, verb: Verb, sid: str) -> bool:
        """Run what the number's `url` says for who picked up; return whether they are connected."""
        number = next((child for child in verb.children if child.get("url")), None)
        if number is None:
            return True
        fields = {
            **self.call_fields(),
            "CallSid": sid,
            "ParentCallSid": self._record.sid,
            "CallStatus": "in-progress",
            "Direction": "outbound-dial",
            **dict.fromkeys(("To", "Called"), number.text),
        }
        callee = Callee(self._record, fields, self._ask_for_callee, presses=self._account.presses)
        url = self._absolute(number.get("url"))
        return await callee.listen(url, number.get("method", "POST"))

    async def _ask_for_callee(
        self, url: str, method: str, fields: dict[str, str]
    ) -> tuple[Verb, ...] | None:
        return self._read(await self._send(Fetch(url, method), fields))

    def _action(self, verb: Verb, fields: dict[str, str]) -> Fetch | None:
        if not verb.get("action"):
            return None
        return Fetch(self._absolute(verb.get("action")), verb.get("method", "POST"), fields)

    def _absolute(self, url: str) -> str:
        return urljoin(self._url, url) if url else self._url


def _is_rejection(verbs: tuple[Verb, ...]) -> bool:
    return bool(verbs) and verbs[0].name == "Reject"
