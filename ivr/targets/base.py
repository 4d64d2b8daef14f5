"""What every target shares: what it gets, what it gives back, and one POST that judges failures.

Knows no database, no settings and no target in particular. The one question that matters after a
failure is whether the target may have taken the lead; `errors.Failure` has the three answers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import httpx

from ivr.errors import Failure, SubmitError

KEPT_CHARACTERS = 2000  # of a refusal or an unreadable answer: enough to see what it was
# Of the time limit, for each of a free place, TCP and TLS: together they end before the whole does,
# so that a lead that has not left is never taken for one that has.
CONNECT_SHARE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """A finished lead in the target's words; a field that nobody knows is absent."""

    fields: Mapping[str, str]
    reference: str  # the same on every attempt, so that a target can notice a second one
    notes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The target took the lead; `response` is its answer as it came."""

    status_code: int
    response: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a request to an address really goes, and what must be said there besides."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    extensions: Mapping[str, Any] = field(default_factory=dict)


Resolve = Callable[[str], Awaitable[Destination]]  # raises `SubmitError` for what must not be


class Target(Protocol):
    """Where a finished lead goes."""

    async def submit(
        self, http: httpx.AsyncClient, config: Mapping[str, Any], handover: Handover
    ) -> Receipt:
        """Hand the lead over once; raise `SubmitError`, whose `kind` says what may be done next."""


async def post(
    http: httpx.AsyncClient,
    url: str,
    *,
    timeout_seconds: float,
    content: bytes,
    headers: Mapping[str, str],
    resolve: Resolve | None = None,
) -> httpx.Response:
    """POST once on a connection of its own and return any answer; raise `SubmitError` without one.

    A kept-alive connection that the peer has just closed looks like a request that was lost on
    the way, hence `Connection: close`. The limit is for the whole exchange, not per read.
    `resolve` says where an address leads that is not ours to trust; else it is asked as it is.
    """
    to_connect = timeout_seconds * CONNECT_SHARE
    to = await _found(url, resolve, to_connect) if resolve else Destination(url)
    try:
        async with asyncio.timeout(timeout_seconds):
            return await http.post(
                to.url,
                content=content,
                headers={**headers, **to.headers, "Connection": "close"},
                extensions=dict(to.extensions),
                timeout=httpx.Timeout(timeout_seconds, connect=to_connect, pool=to_connect),
                follow_redirects=False,
            )
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as exc:
        raise SubmitError(f"{_host(url)} cannot be reached: {_words(exc)}") from exc
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as exc:
        raise SubmitError(f"{url} is no usable address", kind=Failure.PERMANENT) from exc
    except (TimeoutError, httpx.TransportError) as exc:
        message = f"{_host(url)} gave no answer after the lead was sent: {_words(exc)}"
        raise SubmitError(message, kind=Failure.AMBIGUOUS) from exc


def failure_of(status_code: int) -> Failure:
    """Return what a refusing HTTP status means for the next attempt.

    408, 425, 429 and 503 say that the request was not worked on (RFC 9110 15.5.9 and 15.6.4, RFC
    8470 5.2, RFC 6585 4). 501 and 505 say that it never will be. Any other 5xx may come after
    the lead was stored: 500 from a crash behind the insert, 502 and 504 from a proxy that lost
    the answer.
    """
    if status_code in {408, 425, 429, 503}:
        return Failure.TRANSIENT
    if status_code >= 500 and status_code not in {501, 505}:
        return Failure.AMBIGUOUS
    return Failure.PERMANENT


def retry_after(response: httpx.Response, *, now: datetime | None = None) -> float | None:
    """Return the seconds of a `Retry-After` header, a number or a date; None if unreadable."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


async def _found(url: str, resolve: Resolve, seconds: float) -> Destination:
    try:
        async with asyncio.timeout(seconds):
            return await resolve(url)
    except TimeoutError as exc:
        raise SubmitError(f"{_host(url)} is not found in time") from exc


def _host(url: str) -> str:
    return httpx.URL(url).host


def _words(exc: Exception) -> str:
    return str(exc) or type(exc).__name__
