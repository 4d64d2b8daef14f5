"""Somebody who is told of events: checks signature and time, counts ids, and fails on demand.

It checks with code of its own, from the words of Standard Webhooks, not with the product's.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import Set
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tools.emulators.npa import Broken
from tools.emulators.serving import serve

TOLERANCE_S = 300
FOREVER_S = 3600.0


class ReceiverViolation(AssertionError):
    """What was sent is not what Standard Webhooks says."""


@dataclass
class ReceiverFaults:
    """What goes wrong; `times` limits how many requests are spoilt (None: all)."""

    status: int | None = None  # 410: gone
    retry_after: str | None = None  # sent with `status`
    body: str = "told to fail"  # sent with `status`
    redirect: str | None = None  # where to
    hang: bool = False  # nothing taken, no answer
    hang_after: bool = False  # taken, no answer
    drop_after: bool = False  # taken, the connection breaks
    slow_s: float = 0.0
    times: int | None = None

    def take(self) -> "ReceiverFaults":
        """Return the faults for one request, and count it."""
        if self.times is None or not self._is_any():
            return self
        if self.times == 0:
            return ReceiverFaults()
        self.times -= 1
        return self

    def _is_any(self) -> bool:
        flags = (self.hang, self.hang_after, self.drop_after)
        return any(flags) or bool(self.status or self.redirect or self.slow_s)


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message that was taken."""

    message_id: str
    type: str
    data: dict[str, Any]
    headers: dict[str, str]
    body: bytes


class Receiver:
    """One endpoint at `url`; `secrets` are those it knows, any of which must have signed."""

    members: ClassVar[Set[str]] = {"type", "timestamp", "data"}
    content: ClassVar[str] = "data"  # the member whose shape is its sender's

    def __init__(self, *secrets: str) -> None:
        self.secrets = list(secrets)
        self.faults = ReceiverFaults()
        self.clock = time.time
        self.url = ""  # known inside the block
        self.requests = 0
        self.taken: list[Delivered] = []  # in order, never deduplicated
        self.violations: list[str] = []
        self._closing = asyncio.Event()
        self._resources = AsyncExitStack()
        self.app = Starlette(routes=[Route("/hook", self._hook, methods=["GET", "POST"])])

    async def __aenter__(self) -> Self:
        port = await self._resources.enter_async_context(serve(self.app))
        self.url = f"http://127.0.0.1:{port}/hook"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        await self._resources.aclose()
        if error is not None:
            for violation in self.violations:
                error.add_note(f"receiver violation: {violation}")
        elif self.violations:
            raise ReceiverViolation("\n".join(self.violations))

    def stop(self) -> None:
        """Break every connection that waits for an answer."""
        self._closing.set()

    @property
    def ids(self) -> Counter[str]:
        """How often each message was taken, by its id."""
        return Counter(one.message_id for one in self.taken)

    async def _hook(self, request: Request) -> Response:
        body = await request.body()
        self.requests += 1
        if (problem := self._problem(request, body)) is not None:
            self.violations.append(problem)
            return JSONResponse({"error": problem}, status_code=400)
        faults = self.faults.take()
        if faults.hang:
            return await self._wait(FOREVER_S)
        if faults.slow_s:
            await self._wait(faults.slow_s)
        if faults.redirect is not None:
            return RedirectResponse(faults.redirect, status_code=307)
        if faults.status is not None:
            headers = {"Retry-After": faults.retry_after} if faults.retry_after else None
            return Response(faults.body, faults.status, headers)
        self._take(request, body)
        if faults.hang_after:
            return await self._wait(FOREVER_S)
        return Broken() if faults.drop_after else Response(status_code=204)

    def _take(self, request: Request, body: bytes) -> None:
        document = json.loads(body)
        self.taken.append(
            Delivered(
                message_id=request.headers["webhook-id"],
                type=document.get("type", ""),
                data=document[self.content],
                headers=dict(request.headers),
                body=body,
            )
        )

    async def _wait(self, seconds: float) -> Response:
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            pass
        return Broken()

    def _problem(self, request: Request, body: bytes) -> str | None:
        headers = request.headers
        if request.method != "POST" or headers.get("content-type") != "application/json":
            return "not a POST of JSON"
        missing = {"webhook-id", "webhook-timestamp", "webhook-signature"} - set(headers.keys())
        if missing:
            return f"missing headers {sorted(missing)}"
        if abs(self.clock() - int(headers["webhook-timestamp"])) > TOLERANCE_S:
            return "webhook-timestamp is too far from now"
        if not any(self._is_signed(headers, body, secret) for secret in self.secrets):
            return "no signature that is ours"
        if headers.get("x-webhook-signature") is None:
            return "no X-Webhook-Signature"
        return self._shape_problem(body)

    def _is_signed(self, headers: Any, body: bytes, secret: str) -> bool:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return f"v1,{mac}" in headers["webhook-signature"].split(" ")

    def _shape_problem(self, body: bytes) -> str | None:
        try:
            document = json.loads(body)
        except ValueError:
            return "body is not JSON"
        if not isinstance(document, dict) or document.keys() != self.members:
            return f"body is not an object with {sorted(self.members)}"
        if not isinstance(document[self.content], dict):
            return f"{self.content} is not an object"
        return None


class LeadReceiver(Receiver):
    """Takes the leads of the target `webhook`: signed as events are, in a document of their own."""

    members = {"reference", "lead", "notes"}
    content = "lead"
