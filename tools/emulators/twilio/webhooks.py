"""Twilio's HTTP requests: signed for the public URL, sent to the local server, retried.

Retries, limits and their options in the URL fragment: Twilio, webhooks connection overrides.
"""

import asyncio
import secrets
import time
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

import httpx

from tools.emulators.twilio.faults import Faults
from tools.emulators.twilio.signing import signed_url


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came back; `status` None: nothing did, and `error_code` says why."""

    method: str
    url: str
    fields: dict[str, str]
    idempotency_token: str
    status: int | None
    content_type: str = ""
    body: bytes = b""
    error_code: str = ""  # 11200 HTTP failure or no answer in time, 11205 no connection
    tries: int = 1

    @property
    def is_failure(self) -> bool:
        """Tell whether Twilio would call the fallback now."""
        return bool(self.error_code)


@dataclass(frozen=True, slots=True)
class Options:
    """What the fragment `#ct=..&rt=..&tt=..&rc=..&rp=..` may override."""

    connect_s: float = 5.0
    read_s: float = 15.0
    total_s: float = 15.0  # with all retries
    retries: int = 1
    policy: frozenset[str] = frozenset({"ct"})

    def may_retry(self, exchange: Exchange) -> bool:
        """Tell whether the failure is one that the policy covers."""
        if not exchange.is_failure:
            return False
        if exchange.error_code == "11205":
            kind = "ct"
        else:
            kind = f"{exchange.status // 100}xx" if exchange.status else "rt"
        return bool({kind, "all"} & self.policy)


_MILLISECONDS = {"ct": (100, 10_000), "rt": (100, 15_000), "tt": (100, 15_000)}
_RETRIES = (0, 5)
_POLICIES = frozenset({"4xx", "5xx", "ct", "rt", "all"})


class WrongOverride(ValueError):
    """The fragment of a URL says what Twilio does not understand."""


def parse_options(fragment: str, read_s: float) -> Options:
    """Read a fragment, `read_s` is the longest anybody waits here; raises WrongOverride."""
    try:
        words = dict(parse_qsl(fragment, keep_blank_values=True, strict_parsing=bool(fragment)))
        numbers = {name: int(words[name]) for name in ("ct", "rt", "tt", "rc") if name in words}
    except ValueError as error:
        raise WrongOverride(f"{fragment!r}: {error}") from error
    if unknown := words.keys() - {"ct", "rt", "tt", "rc", "rp", "e", "sni"}:
        raise WrongOverride(f"unknown connection override {sorted(unknown)}")
    for name, number in numbers.items():
        low, high = _RETRIES if name == "rc" else _MILLISECONDS[name]
        if not low <= number <= high:
            raise WrongOverride(f"{name}={number} is not in {low}-{high}")
    policy = frozenset(words.get("rp", "ct").split(","))
    if unknown_policies := policy - _POLICIES:
        raise WrongOverride(f"unknown retry policy {sorted(unknown_policies)}")
    return Options(
        connect_s=numbers.get("ct", 5000) / 1000,
        read_s=min(numbers.get("rt", 15_000) / 1000, read_s),
        total_s=min(numbers.get("tt", 15_000) / 1000, read_s),
        retries=numbers.get("rc", 1),
        policy=policy,
    )


class UnknownHost(Exception):
    """The server named an address that is not the public one, so nobody is there."""


@dataclass(slots=True)
class Address:
    """The public origin that is signed, and the local one that is connected to."""

    public: str  # https://ivr.example.test
    local: str  # http://127.0.0.1:8000

    @property
    def public_host(self) -> str:
        """Host (and port) as it stands in the Host header."""
        return urlsplit(self.public).netloc

    def public_url(self, url: str) -> str:
        """Return the public form of a path or of a local URL; options in its fragment stay."""
        return urljoin(self.public, urlunsplit(("", "", *urlsplit(url)[2:])))

    def local_url(self, url: str) -> str:
        """Return where to connect for a public URL; raises UnknownHost."""
        parts = urlsplit(url)
        if parts.netloc != self.public_host:
            raise UnknownHost(f"{url} is not on {self.public}")
        scheme, netloc = urlsplit(self.local)[:2]
        return urlunsplit((scheme, netloc, parts.path or "/", parts.query, ""))


class Webhooks:
    """Sends webhooks; knows nothing of calls."""

    def __init__(self, address: Address, token: str, faults: Faults, *, timeout_s: float) -> None:
        self.address = address
        self._token = token
        self._faults = faults
        self._timeout_s = timeout_s
        # A connection of its own for each request: a kept one would hide a restarted server.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.AsyncClient(trust_env=False, limits=limits)

    async def close(self) -> None:
        """Drop the connections."""
        await self._http.aclose()

    async def send(
        self,
        url: str,
        fields: dict[str, str],
        *,
        method: str = "POST",
        idempotency_token: str | None = None,
    ) -> Exchange:
        """Request `url`, again where the rules say so; the last exchange is returned."""
        options = parse_options(urlsplit(url).fragment, self._timeout_s)
        idempotency_token = idempotency_token or secrets.token_hex(16)
        give_up_at = time.monotonic() + options.total_s
        exchange = await self._once(url, fields, method, idempotency_token, options)
        for tries in range(2, options.retries + 2):
            if not options.may_retry(exchange) or time.monotonic() >= give_up_at:
                break
            exchange = await self._once(url, fields, method, idempotency_token, options)
            exchange = replace(exchange, tries=tries)
        return exchange

    async def _once(
        self, url: str, fields: dict[str, str], method: str, token: str, options: Options
    ) -> Exchange:
        def failed(code: str, status: int | None = None) -> Exchange:
            return Exchange(method, url, fields, token, status, error_code=code)

        request = self._request(url, fields, method, token, options)
        try:
            async with asyncio.timeout(options.connect_s + options.read_s):
                answer = await self._http.send(request)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            return failed("11205")
        except (httpx.TransportError, TimeoutError):
            return failed("11200")
        if not answer.is_success:
            return failed("11200", answer.status_code)
        kind = answer.headers.get("content-type", "")
        return Exchange(method, url, fields, token, answer.status_code, kind, answer.content)

    def _request(
        self, url: str, fields: dict[str, str], method: str, token: str, options: Options
    ) -> httpx.Request:
        if method == "GET":
            url, body = _with_query(url, fields), ""
        else:
            body = urlencode(fields)
        headers = {
            "Host": self.address.public_host,
            "User-Agent": "TwilioProxy/1.1",
            "Accept": "*/*",
            "I-Twilio-Idempotency-Token": token,
        }
        if method != "GET":
            headers["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
        signature = self._faults.signature(
            "webhook", self._token, signed_url(url), fields.items() if method != "GET" else ()
        )
        if signature is not None:
            headers["X-Twilio-Signature"] = signature
        timeout = httpx.Timeout(options.read_s, connect=options.connect_s)
        return self._http.build_request(
            method, self.address.local_url(url), content=body, headers=headers, timeout=timeout
        )


def _with_query(url: str, fields: dict[str, str]) -> str:
    scheme, netloc, path, query, _ = urlsplit(url)
    query = "&".join(filter(None, [query, urlencode(fields)]))
    return urlunsplit((scheme, netloc, path, query, ""))
