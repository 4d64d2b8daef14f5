"""The buyer's API: `POST /api/Lead/LeadCreate`, as strict as its schema, with faults on demand.

It never deduplicates: two requests are two leads, so that tests can count.
"""

import asyncio
import base64
import binascii
import json
import re
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tools.emulators.serving import serve

CONTENT_TYPE = "application/json-patch+json"
FOREVER_S = 3600.0  # until the client gives up, or the emulator closes

Check = Callable[[Any], bool]


class NpaViolation(AssertionError):
    """The server under test sent what the buyer's API would refuse."""


@dataclass
class NpaFaults:
    """What goes wrong; `times` limits how many requests are spoilt (None: all)."""

    status: int | None = None  # answered instead of taking the lead
    retry_after: str | None = None  # sent with `status`
    unauthorized_status: int = 200  # 401: wrong credentials are an HTTP error
    rejection: str | None = None  # 200 {"success": false} with this message
    timeout_before: bool = False  # no answer, nothing taken
    timeout_after: bool = False  # the lead is taken, no answer
    drop_after: bool = False  # the lead is taken, the connection breaks
    garbage: bool = False  # the lead is taken, the answer is JSON of another shape
    not_json: bool = False  # the lead is taken, the answer is a web page
    slow_s: float = 0.0
    times: int | None = None

    def take(self) -> "NpaFaults":
        """Return the faults for one request, and count it."""
        if self.times is None or not self._is_any():
            return self
        if self.times == 0:
            return NpaFaults(unauthorized_status=self.unauthorized_status)
        self.times -= 1
        return self

    def _is_any(self) -> bool:
        flags = (self.timeout_before, self.timeout_after, self.drop_after, self.garbage)
        return any(flags) or self.not_json or bool(self.status or self.rejection or self.slow_s)


@dataclass(frozen=True, slots=True)
class NpaRequest:
    """A request as it came, and what became of it."""

    content_type: str
    body: bytes
    lead: dict[str, Any] | None = field(default=None)  # the parsed body, if it was an object


class NpaEmulator:
    """One buyer with one account; `username` and `password` may be changed while it runs."""

    def __init__(self, *, username: str, password: str) -> None:
        self.username, self.password = username, password
        self.faults = NpaFaults()
        self.base_url = ""  # known inside the block
        self.requests: list[NpaRequest] = []
        self.leads: list[dict[str, Any]] = []  # what was taken, in order, never deduplicated
        self.violations: list[str] = []
        self._allowed: list[str] = []
        route = Route("/api/Lead/LeadCreate", self._lead_create, methods=["POST"])
        self.app = Starlette(routes=[route])
        self._closing = asyncio.Event()
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        port = await self._resources.enter_async_context(serve(self.app))
        self.base_url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        await self._resources.aclose()
        unforgiven = [v for v in self.violations if not any(w in v for w in self._allowed)]
        if error is not None:
            for violation in unforgiven:
                error.add_note(f"NPA violation: {violation}")
        elif unforgiven:
            raise NpaViolation("\n".join(unforgiven))

    def allow(self, fragment: str) -> None:
        """Forgive violations whose text contains `fragment`."""
        self._allowed.append(fragment)

    async def _lead_create(self, request: Request) -> Response:
        body = await request.body()
        kind = request.headers.get("content-type", "")
        lead, problem = _read(kind, body)
        self.requests.append(NpaRequest(kind, body, lead))
        if problem is not None:
            self.violations.append(problem)
        faults = self.faults.take()
        if faults.timeout_before:
            return await self._silence(FOREVER_S)
        await self._wait(faults.slow_s)
        if faults.status is not None:
            headers = {"Retry-After": faults.retry_after} if faults.retry_after else None
            return JSONResponse({"message": "told to fail"}, faults.status, headers)
        if lead is None or problem is not None:
            return JSONResponse({"success": False, "message": problem}, status_code=400)
        if refusal := self._refusal(lead, faults):
            return refusal
        self.leads.append(lead)
        return await self._answer(faults)

    def _refusal(self, lead: dict[str, Any], faults: NpaFaults) -> Response | None:
        if (lead["username"], lead["password"]) != (self.username, self.password):
            body = {"success": False, "message": "Unauthorized"}
            return JSONResponse(body, status_code=faults.unauthorized_status)
        if faults.rejection is not None:
            return JSONResponse({"success": False, "message": faults.rejection})
        return None

    async def _answer(self, faults: NpaFaults) -> Response:
        if faults.timeout_after:
            return await self._silence(FOREVER_S)
        if faults.drop_after:
            return Broken()
        if faults.garbage:
            return JSONResponse({"result": {"ok": 1}})
        if faults.not_json:
            return Response("<html><body>Welcome</body></html>", media_type="text/html")
        return JSONResponse({"success": True, "message": "", "recordID": str(uuid.uuid4())})

    async def _silence(self, seconds: float) -> Response:
        await self._wait(seconds)
        return Broken()

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            return


class Broken(Response):
    """Announces a body that never comes, so that the server breaks the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"64"), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})


def _is(kind: type) -> Check:
    return lambda value: type(value) is kind


def _only(*values: object) -> Check:
    return lambda value: any(type(value) is type(v) and value == v for v in values)


def _matches(pattern: str) -> Check:
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def _is_image(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    if value.keys() != {"url", "base64", "name", "id", "data", "length"}:
        return False
    if (value["url"], value["id"], value["data"]) != ("", None, ""):
        return False
    if not (isinstance(value["name"], str) and value["name"] and type(value["length"]) is int):
        return False
    try:
        return bool(base64.b64decode(value["base64"], validate=True))
    except (binascii.Error, TypeError, ValueError):
        return False


def _are_images(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_image, value))


# The buyer's words and what each may be; the body has exactly these keys.
FIELDS: dict[str, tuple[str, Check]] = {
    "username": ("a string", _is(str)),
    "password": ("a string", _is(str)),
    "sessionToken": ('""', _only("")),
    "dataProviderDealerToken": ('""', _only("")),
    "email": ("a string", _is(str)),
    "phone": ("a non-empty string", _matches(r"\S.*")),
    "firstName": ("a string", _is(str)),
    "lastName": ("a string", _is(str)),
    "zip": ('five digits or ""', _matches(r"(\d{5})?")),
    "state": ('two capital letters or ""', _matches(r"([A-Z]{2})?")),
    "year": ("an integer", _is(int)),
    "make": ("a string", _is(str)),
    "model": ("a string", _is(str)),
    "vin": ("a non-empty string", _matches(r"\S.*")),
    "milesHours": ("digits in a string", _matches(r"\d+")),
    "askingPrice": ("the integer 1", _only(1)),
    "images": ("a list of {url, base64, name, id, data, length}", _are_images),
    "resizeImages": ("false", _only(False)),
    "lastStartDate": ("null", _only(None)),
    "isFinanced": ("false", _only(False)),
    "financedBankName": ('""', _only("")),
    "financedAmount": ("0", _only(0)),
    "refNumber": ("a non-empty string", _matches(r"\S+")),
    "gclid": ('""', _only("")),
    "additionalNotes": ("a string", _is(str)),
    "condition": ('""', _only("")),
    "okToText": ('"true" or "false"', _only("true", "false")),
    "leadSource": ("a non-empty string", _matches(r"\S.*")),
}


def _read(content_type: str, body: bytes) -> tuple[dict[str, Any] | None, str | None]:
    """Return the lead and what is wrong with it."""
    try:
        lead = json.loads(body)
    except ValueError:
        return None, "body is not JSON"
    if not isinstance(lead, dict):
        return None, "body is not a JSON object"
    return lead, _problem(content_type, lead)


def _problem(content_type: str, lead: dict[str, Any]) -> str | None:
    if content_type.partition(";")[0].strip() != CONTENT_TYPE:
        return f"Content-Type {content_type!r} is not {CONTENT_TYPE}"
    if missing := FIELDS.keys() - lead.keys():
        return f"missing fields {sorted(missing)}"
    if unknown := lead.keys() - FIELDS.keys():
        return f"unknown fields {sorted(unknown)}"
    for name, (wanted, is_right) in FIELDS.items():
        if not is_right(lead[name]):
            return f"{name}: {wanted} expected, not {repr(lead[name])[:60]}"
    return None
