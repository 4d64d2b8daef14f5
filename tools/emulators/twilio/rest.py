"""The part of Twilio's REST API that the product uses: calls, the account itself.

Shapes and error bodies: twilio SDK rest/api/v2010 and base/exceptions. Unknown parameters are
violations. Outgoing calls are only recorded; messages have a file of their own.
"""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, urljoin

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tools.emulators.twilio.account import Account, new_sid
from tools.emulators.twilio.call import Call, HangUp, RunInstead
from tools.emulators.twilio.interpreter import Fetch
from tools.emulators.twilio.twiml import TwimlError, parse

E164 = re.compile(r"(whatsapp:)?\+[1-9]\d{6,14}")
UPDATE_WORDS = {
    "Status",
    "Twiml",
    "Url",
    "Method",
    "FallbackUrl",
    "FallbackMethod",
    "StatusCallback",
    "StatusCallbackMethod",
    "TimeLimit",
}
CREATE_WORDS = (UPDATE_WORDS - {"Status"}) | {
    "To",
    "From",
    "Timeout",
    "StatusCallbackEvent",
    "SendDigits",
    "Record",
    "RecordingChannels",
    "RecordingStatusCallback",
    "RecordingStatusCallbackEvent",
    "Trim",
    "MachineDetection",
    "AsyncAmd",
    "AsyncAmdStatusCallback",
    "CallerId",
}


@dataclass(frozen=True, slots=True)
class RestRequest:
    """A request as it came; `fields` keeps repeated names."""

    method: str
    path: str
    fields: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str | None:
        """Return the first value of a field."""
        return next((value for key, value in self.fields if key == name), None)

    def all(self, name: str) -> list[str]:
        """Return all values of a repeated field."""
        return [value for key, value in self.fields if key == name]


class RestError(Exception):
    """An error in Twilio's shape."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


Answer = tuple[int, dict[str, Any]]


class Rest:
    """The API of one account."""

    def __init__(self, account: Account, calls: dict[str, Call]) -> None:
        self.requests: list[RestRequest] = []
        self.outgoing_calls: list[dict[str, Any]] = []
        self._account = account
        self._calls = calls
        base = f"/2010-04-01/Accounts/{account.sid}"
        self.app = Starlette(
            routes=[
                self._route(f"{base}.json", "GET", self._show_account),
                self._route(f"{base}/Calls.json", "POST", self._create_call),
                self._route(f"{base}/Calls/{{sid}}.json", "GET", self._show_call),
                self._route(f"{base}/Calls/{{sid}}.json", "POST", self._update_call),
            ],
            exception_handlers={404: _not_found},
        )

    def _route(self, path: str, method: str, act: Callable[[RestRequest, str], Answer]) -> Route:
        async def endpoint(request: Request) -> JSONResponse:
            try:
                asked = await self.receive(request)
                status, body = act(asked, request.path_params.get("sid", ""))
            except RestError as error:
                return error_response(error, self._account.faults.rest_retry_after_s)
            return JSONResponse(body, status_code=status)

        return Route(path, endpoint, methods=[method])

    async def receive(self, request: Request) -> RestRequest:
        """Return the request, once it is written down; raises RestError unless it may ask."""
        body = (await request.body()).decode()
        fields = tuple(parse_qsl(body, keep_blank_values=True))
        asked = RestRequest(request.method, request.url.path, fields)
        self.requests.append(asked)
        if (status := self._account.faults.take_rest_status()) is not None:
            code = 20429 if status == 429 else 20500
            raise RestError(status, code, "told to fail")
        self._authenticate(request)
        kind = request.headers.get("content-type", "")
        if body and not kind.startswith("application/x-www-form-urlencoded"):
            raise self.refused(f"REST body is {kind!r}, not a form")
        return asked

    def _authenticate(self, request: Request) -> None:
        secret = f"{self._account.sid}:{self._account.token}".encode()
        wanted = "Basic " + base64.b64encode(secret).decode()
        if request.headers.get("authorization") != wanted:
            raise RestError(401, 20003, "Authenticate")

    def refused(self, reason: str, code: int = 20001) -> RestError:
        """Return the error for what no client should send, which is a violation as well."""
        self._account.violations.add(f"REST: {reason}")
        return RestError(400, code, reason)

    def check_words(self, asked: RestRequest, known: set[str]) -> None:
        """Raise RestError for parameters that Twilio does not know."""
        if unknown := {key for key, _ in asked.fields} - known:
            raise self.refused(f"unknown parameters {sorted(unknown)}")

    # resources

    def _show_account(self, _: RestRequest, __: str) -> Answer:
        sid = self._account.sid
        body = {"sid": sid, "friendly_name": "Emulated", "status": "active", "type": "Full"}
        return 200, {**body, "uri": f"/2010-04-01/Accounts/{sid}.json"}

    def _show_call(self, _: RestRequest, sid: str) -> Answer:
        return 200, self._call_body(self._call(sid))

    def _update_call(self, asked: RestRequest, sid: str) -> Answer:
        call = self._call(sid)
        self.check_words(asked, UPDATE_WORDS)
        given = [word for word in ("Status", "Twiml", "Url") if asked.get(word) is not None]
        if len(given) != 1:
            raise self.refused(f"one of Status, Twiml, Url expected, not {given}")
        if call.is_ending:
            raise RestError(400, 21220, "Call is not in-progress. Cannot redirect.")
        call.note("rest", f"{given[0]}={asked.get(given[0])}")
        call.interrupt(self._interruption(asked, given[0]))
        return 200, self._call_body(call)

    def _interruption(self, asked: RestRequest, word: str) -> HangUp | RunInstead:
        value = asked.get(word) or ""
        if word == "Status":
            if value != "completed":
                raise self.refused(f"Status={value!r} is not possible for this call")
            return HangUp("the REST API")
        if word == "Url":
            url = urljoin(self._account.webhooks.address.public, value)
            return RunInstead(Fetch(url, asked.get("Method") or "POST"))
        try:
            return RunInstead(parse(value))
        except TwimlError as error:
            raise self.refused(f"Twiml: {error}") from error

    def _create_call(self, asked: RestRequest, _: str) -> Answer:
        self.check_words(asked, CREATE_WORDS)
        self.check_number(asked, "To", 21211)
        self.check_number(asked, "From", 21212)
        if bool(asked.get("Twiml")) == bool(asked.get("Url")):
            raise self.refused("either Twiml or Url expected")
        body = {**self.common(asked, "CA", "Calls"), "direction": "outbound-api"}
        self.outgoing_calls.append(body)
        return 201, body

    def check_number(self, asked: RestRequest, word: str, code: int) -> None:
        """Raise RestError with `code` unless the parameter is a number."""
        if not E164.fullmatch(asked.get(word) or ""):
            raise RestError(400, code, f"The '{word}' number is not a valid phone number.")

    def common(self, asked: RestRequest, prefix: str, kind: str) -> dict[str, Any]:
        """Return what calls and messages have in common when they are made."""
        sid, account_sid = new_sid(prefix), self._account.sid
        return {
            "sid": sid,
            "account_sid": account_sid,
            "api_version": "2010-04-01",
            "to": asked.get("To"),
            "from": asked.get("From"),
            "status": "queued",
            "date_created": formatdate(usegmt=True),
            "uri": f"/2010-04-01/Accounts/{account_sid}/{kind}/{sid}.json",
        }

    def _call(self, sid: str) -> Call:
        if (call := self._calls.get(sid)) is None:
            raise RestError(404, 20404, f"The requested resource {sid} was not found")
        return call

    def _call_body(self, call: Call) -> dict[str, Any]:
        sid = self._account.sid
        return {
            "sid": call.sid,
            "account_sid": sid,
            "api_version": "2010-04-01",
            "to": call.to,
            "from": call.from_,
            "status": call.status,
            # empty for busy, failed, unanswered, or ongoing calls, says the SDK
            "duration": str(call.seconds) if call.status == "completed" else None,
            "direction": "inbound",
            "uri": f"/2010-04-01/Accounts/{sid}/Calls/{call.sid}.json",
        }


def error_response(error: RestError, retry_after_s: int | None = None) -> JSONResponse:
    """Return an error as Twilio spells it."""
    body = {
        "code": error.code,
        "message": error.message,
        "more_info": f"https://www.twilio.com/docs/errors/{error.code}",
        "status": error.status,
    }
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return JSONResponse(body, status_code=error.status, headers=headers)


async def _not_found(request: Request, _: Exception) -> JSONResponse:
    return error_response(
        RestError(404, 20404, f"The requested resource {request.url.path} was not found")
    )
