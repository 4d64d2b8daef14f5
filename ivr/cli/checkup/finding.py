"""What an examination says, and what it is given. Examines nothing."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

import httpx

from ivr.settings import Settings

TIMEOUT_SECONDS = 5.0


class Level(StrEnum):
    """How bad it is; `BROKEN` makes the command fail."""

    FINE = "fine"
    WARNING = "warning"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line about one link; `id` is stable for programs, `hint` says what to do about it."""

    link: str
    id: str
    level: Level
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Visit:
    """What the examinations share; `skews`: seconds by which neighbours' clocks are ahead."""

    settings: Settings
    http: httpx.AsyncClient
    now: datetime
    skews: list[float] = field(default_factory=list)

    async def get(self, url: str, **options: Any) -> httpx.Response:
        """GET once and note the neighbour's clock; raises httpx's errors."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                response = await self.http.get(url, **options)
        except TimeoutError as exc:
            raise httpx.ReadTimeout(f"no answer in {TIMEOUT_SECONDS:g} s") from exc
        said = response.headers.get("date", "")
        try:
            theirs = parsedate_to_datetime(said)
        except ValueError:
            return response
        self.skews.append((theirs - datetime.now(UTC)).total_seconds())
        return response


@dataclass(frozen=True, slots=True)
class Link:
    """Words findings about one link."""

    name: str

    def fine(self, id_: str, message: str) -> Finding:
        """Say that something is well."""
        return Finding(self.name, f"{self.name}.{id_}", Level.FINE, message)

    def warning(self, id_: str, message: str, hint: str) -> Finding:
        """Say that something may become a problem, or cannot be told."""
        return Finding(self.name, f"{self.name}.{id_}", Level.WARNING, message, hint)

    def broken(self, id_: str, message: str, hint: str) -> Finding:
        """Say that calls or leads are hurt now."""
        return Finding(self.name, f"{self.name}.{id_}", Level.BROKEN, message, hint)


@contextmanager
def no_answer(findings: list[Finding], link: Link, url: str, hint: str) -> Iterator[None]:
    """Turn a connection that fails inside the block into a finding."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        words = str(exc) or type(exc).__name__
        host = httpx.URL(url).netloc.decode("ascii", "replace")
        findings.append(link.broken("unreachable", f"{host} does not answer: {words}", hint))
