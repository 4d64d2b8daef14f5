"""Whoever picks up a <Dial>ed phone: a call of its own, whose document runs before both are joined.

Twilio: twiml/number, url. A document that ends joins them; one that hangs up does not.
"""

from collections.abc import Awaitable, Callable
from urllib.parse import urljoin

from tools.emulators.twilio.record import Record
from tools.emulators.twilio.twiml import Verb

Step = tuple[str, str, dict[str, str]]  # a document to ask for: URL, method, further fields
Ask = Callable[[str, str, dict[str, str]], Awaitable[tuple[Verb, ...] | None]]
MOST_DOCUMENTS = 20
NOT_HERE = frozenset({"Dial", "Connect", "Record", "Reject"})  # <Dial> is forbidden, others unused


class Callee:
    """Runs what the number's `url` answers; `presses` is the key of a person, "" a machine."""

    def __init__(self, record: Record, fields: dict[str, str], ask: Ask, *, presses: str) -> None:
        self._record = record
        self._fields = fields
        self._ask = ask
        self._presses = presses
        self._url = ""

    async def listen(self, url: str, method: str) -> bool:
        """Hear everything; return whether they are connected to the caller."""
        step: Step = (url, method, {})
        for _ in range(MOST_DOCUMENTS):
            then = await self._run(*step)
            if isinstance(then, bool):
                return then
            step = then
        self._record.violation(f"more than {MOST_DOCUMENTS} documents in a whisper")
        return False

    async def _run(self, url: str, method: str, fields: dict[str, str]) -> Step | bool:
        """Run a document; return the next one, or whether they are connected."""
        self._url = url.partition("#")[0]
        verbs = await self._ask(url, method, {**self._fields, **fields})
        if verbs is None:
            return False
        for verb in verbs:
            if verb.name == "Hangup":
                self._record.note("whisper", "hung up")
                return False
            if (step := await self._execute(verb)) is not None:
                return step
        return True

    async def _execute(self, verb: Verb) -> Step | None:
        """Run a verb; return the document that it leads to."""
        match verb.name:
            case "Say":
                for _ in range(max(1, int(verb.get("loop", "1")))):
                    await self._hear(verb.text)
            case "Pause":
                await self._record.clock.sleep(1000 * float(verb.get("length", "1")))
            case "Gather":
                return await self._gather(verb)
            case "Redirect":
                return urljoin(self._url, verb.text), verb.get("method", "POST"), {}
            case _ if verb.name in NOT_HERE:
                self._record.violation(f"<{verb.name}> in a whisper")
        return None

    async def _hear(self, text: str) -> None:
        self._record.whispers.append(text)
        self._record.note("whisper", text)
        await self._record.clock.sleep(len(text) * self._record.account.say_ms_per_character)

    async def _gather(self, verb: Verb) -> Step | None:
        """Let who picked up press their key, once all is said; silence leads to the next verb."""
        for prompt in verb.children:
            await self._execute(prompt)
        keys = self._presses if "dtmf" in verb.get("input", "dtmf") else ""
        if not keys:
            await self._record.clock.sleep(1000 * float(verb.get("timeout", "5")))
            if verb.get("actionOnEmptyResult", "false") == "false":
                return None
        self._record.note("key", keys or "none")
        digits = {"Digits": keys[: int(verb.get("numDigits", "0")) or None]} if keys else {}
        url = urljoin(self._url, verb.get("action")) if verb.get("action") else self._url
        return url, verb.get("method", "POST"), digits
