"""How often somebody may ask: per key, per address, and how often a key may be wrong.

A request with a secret key counts for that key, much more generously at the doors that bring leads;
until the key was right, for its address as well: anybody can think of another key each time.
One with a publishable key counts for the key and its address, one without a key for its address.
Wrong keys and wrong signatures count for their address; when it has used these up, only keys that
have lately been right are looked at, so that nobody is shut out by who guesses from the same place.
The telephony doors count no requests (Twilio's addresses are those of all its customers), and
neither does /health. Who is refused (429) is told when to come again.
"""

import hashlib
import math
import time
from collections.abc import Callable

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ivr.api_keys import BEGINNINGS
from ivr.db.tables import KeyKind
from ivr.doors import credentials, problems
from ivr.doors.allowance import MINUTE, Allowance, Left
from ivr.doors.client_address import Address, Networks, client_address, home
from ivr.doors.twilio_form import SIGNATURE
from ivr.errors import TooMany
from ivr.settings import Settings

# They bring leads in, and so are counted apart.
INTAKE = frozenset(
    {
        *("/chat", "/api/v1/leads", "/webhooks/live-chat"),
        *("/webhooks/web-form", "/webhooks/missed-call"),
    }
)
_TELEPHONY = ("/twilio/", "/webhooks/sms/", "/webhooks/whatsapp/")
_HEALTH = "/health"
MOST_KNOWN = 10_000  # keys that were right; a digest of each is kept
TOLD_PER_MINUTE = 6  # log lines about each kind of refusal

log = structlog.get_logger(__name__)


class RateLimits:
    """Counts requests before they cost anything, for both applications."""

    def __init__(
        self, app: ASGIApp, settings: Settings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._trusted: Networks = settings.trusted_networks
        self._clock = clock
        self._keys = Allowance("key", settings.rate_limit_key_per_minute)
        self._intake = Allowance("intake", settings.rate_limit_intake_per_minute)
        self._visitors = Allowance("address", settings.rate_limit_address_per_minute)
        self._failures = Allowance("failures", settings.rate_limit_failures_per_minute)
        self._told = Allowance("told", TOLD_PER_MINUTE)
        self._known: dict[str, None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_HEALTH):
            await self._app(scope, receive, send)
            return
        headers, address = Headers(scope=scope), client_address(scope, self._trusted)
        place = home(address)
        if _is_telephony(scope["path"], headers):
            await self._app(scope, receive, self._watched(scope, send, place, "", None))
            return
        key = credentials.given(headers) or ""
        digest = hashlib.sha256(key.encode()).hexdigest() if key else ""
        left = self._judge(place, key, digest, is_intake=_brings_leads(scope))
        if left.wait_seconds:
            self._tell(left, address)
            await problems.refusal(_refusal(left), left.headers)(scope, receive, send)
            return
        await self._app(scope, receive, self._watched(scope, send, place, digest, left))

    def _judge(self, place: str, key: str, digest: str, *, is_intake: bool) -> Left:
        """Count the request; return the allowance that refuses it, or the one that it came from."""
        now, is_known = self._clock(), digest in self._known
        is_public = key.startswith(BEGINNINGS[KeyKind.PUBLISHABLE])
        own = self._intake if is_intake or is_public else self._keys
        if is_known and not is_public:
            return own.take(digest, now=now)
        if key and not is_known:
            failed = self._failures.look(place, now=now)
            if failed.wait_seconds:
                return failed
        visitor = self._visitors.take(place, now=now)
        if visitor.wait_seconds or not key:
            return visitor
        left = own.take(digest, now=now)
        return visitor if is_public and not left.wait_seconds else left

    def _watched(
        self, scope: Scope, send: Send, place: str, digest: str, left: Left | None
    ) -> Send:
        """Return a `send` that learns from the answer whether key or signature was right."""

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._learn(scope, message["status"], place, digest)
                if left is not None and left.quota:
                    MutableHeaders(scope=message).update(left.headers)
            await send(message)

        return watch

    def _learn(self, scope: Scope, status: int, place: str, digest: str) -> None:
        if digest and credentials.was_right(scope):
            self._known.pop(digest, None)  # the one used last stands last
            self._known[digest] = None
            if len(self._known) > MOST_KNOWN:
                del self._known[next(iter(self._known))]
        elif status == 401 or (status == 403 and not digest):  # 403: of who had to sign
            self._known.pop(digest, None)
            if digest or status == 403:
                self._failures.take(place, now=self._clock())

    def _tell(self, left: Left, address: Address | None) -> None:
        """Say so in the log, though not each time; a limit on a proxy's address is a mistake."""
        if not self._told.take(left.policy, now=self._clock()).wait_seconds:
            is_private = address is None or address.is_private
            hint = "if this is a proxy's address, set TRUSTED_PROXIES" if is_private else ""
            log.warning("too many requests", limit=left.policy, quota=left.quota, hint=hint)


def _brings_leads(scope: Scope) -> bool:
    return scope["method"] == "POST" and scope["path"] in INTAKE


def _is_telephony(path: str, headers: Headers) -> bool:
    return path.startswith(_TELEPHONY) or (path == "/webhooks/missed-call" and SIGNATURE in headers)


def _refusal(left: Left) -> TooMany:
    what = "wrong keys" if left.policy == "failures" else "requests"
    seconds = math.ceil(left.wait_seconds)
    message = f"too many {what}: at most {left.quota} in {MINUTE:.0f} s; come again in {seconds} s"
    return TooMany(message, retry_after=left.wait_seconds)
