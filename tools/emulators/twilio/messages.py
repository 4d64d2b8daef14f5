"""The Messages resource: create, list, fetch; then what became of each, by signed callbacks.

Shapes, limits and error codes: Twilio, message resource; error dictionary.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tools.emulators.npa import Broken
from tools.emulators.twilio.account import Account, new_sid
from tools.emulators.twilio.rest import Rest, RestError, RestRequest, error_response
from tools.emulators.twilio.webhooks import Exchange, UnknownHost

WORDS = {
    "To",
    "From",
    "MessagingServiceSid",
    "Body",
    "MediaUrl",
    "StatusCallback",
    "ContentSid",
    "ContentVariables",
    "ValidityPeriod",
    "SmartEncoded",
}
LIST_WORDS = {"To", "From", "DateSent", "DateSent<", "DateSent>", "PageSize"}
LONGEST_BODY = 1600
MOST_MEDIA = 10
WHATSAPP = "whatsapp:"
PROBLEMS = {
    21211: "The 'To' number is not a valid phone number.",
    21408: "Permission to send an SMS has not been enabled for the region",
    21610: "Attempt to send to unsubscribed recipient",
    21614: "'To' number is not a valid mobile number",
    63016: "Failed to send freeform message because you are outside the allowed window.",
}
Lost = Literal["before", "after"]  # taking the message
Message = dict[str, Any]


@dataclass
class MessageFaults:
    """What goes wrong with messages; `times` limits how many requests are spoilt (None: all)."""

    error: int | None = None  # refused with this code, HTTP 400
    drop: Lost | None = None  # the connection breaks
    hang: Lost | None = None  # no answer comes, until the emulator closes
    garbage: bool = False  # taken, and answered with a web page
    status_after: int | None = None  # taken, and answered with this HTTP status
    list_broken: bool = False  # the list of messages answers 500
    window_closed: bool = False  # WhatsApp: what is no template ends with 63016
    receipts: tuple[str, ...] = ("sent", "delivered")  # in this order, doubles and all
    receipt_error: int | None = None  # the ErrorCode of failed and undelivered
    receipts_first: bool = False  # all of them arrive before the answer to the request
    receipt_delay_s: float = 0.0  # before each
    times: int | None = None

    def take(self) -> "MessageFaults":
        """Return the faults for one request to create, and count it."""
        spoilt = self.error or self.drop or self.hang or self.garbage or self.status_after
        if self.times is None or not spoilt:
            return self
        if self.times == 0:
            return replace(self, error=None, drop=None, hang=None, garbage=False, status_after=None)
        self.times -= 1
        return self


@dataclass
class Messages:
    """Every message of one account, and the numbers that sent STOP."""

    account: Account
    rest: Rest
    faults: MessageFaults = field(default_factory=MessageFaults)
    taken: list[Message] = field(default_factory=list)  # what would be on people's phones
    opted_out: set[str] = field(default_factory=set)
    receipts: list[Exchange] = field(default_factory=list)
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    _callbacks: dict[str, str | None] = field(default_factory=dict)  # by MessageSid

    def routes(self) -> list[Route]:
        """Return the routes of the resource."""
        base = f"/2010-04-01/Accounts/{self.account.sid}/Messages"
        return [
            Route(f"{base}.json", self._guarded(self._create), methods=["POST"]),
            Route(f"{base}.json", self._guarded(self._list), methods=["GET"]),
            Route(f"{base}/{{sid}}.json", self._guarded(self._show), methods=["GET"]),
        ]

    def _guarded(
        self, act: Callable[[RestRequest, Request], Coroutine[Any, Any, Response]]
    ) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                return await act(await self.rest.receive(request), request)
            except RestError as error:
                return error_response(error, self.account.faults.rest_retry_after_s)

        return endpoint

    # create

    async def _create(self, asked: RestRequest, _: Request) -> Response:
        faults = self.faults.take()
        if faults.drop == "before":
            return Broken()
        if faults.hang == "before":
            return await self._silence()
        self._check(asked, faults)
        message = self._take(asked)
        receipts = self._send_receipts(asked, message, faults)
        if faults.receipts_first:
            await receipts
        else:
            self.account.background(receipts)
        if faults.drop == "after":
            return Broken()
        if faults.hang == "after":
            return await self._silence()
        if faults.garbage:
            return Response("<html><body>Welcome</body></html>", 201, media_type="text/html")
        if faults.status_after is not None:
            return error_response(RestError(faults.status_after, 20500, "told to fail"))
        return JSONResponse({**message, "status": "queued"}, status_code=201)

    def _check(self, asked: RestRequest, faults: MessageFaults) -> None:
        self.rest.check_words(asked, WORDS)
        self.rest.check_number(asked, "To", 21211)
        if not (asked.get("From") or asked.get("MessagingServiceSid")):
            raise RestError(400, 21603, "A 'From' phone number is required.")
        if asked.get("From"):
            self.rest.check_number(asked, "From", 21212)
            self._check_channel(asked)
        self._check_content(asked)
        if faults.error is not None:
            raise RestError(400, faults.error, PROBLEMS.get(faults.error, "told to fail"))
        if asked.get("To") in self.opted_out:
            raise RestError(400, 21610, PROBLEMS[21610])

    def _check_channel(self, asked: RestRequest) -> None:
        both = [(asked.get(word) or "").startswith(WHATSAPP) for word in ("To", "From")]
        if both[0] != both[1]:
            raise RestError(400, 63007, "From and To must be of the same channel")

    def _check_content(self, asked: RestRequest) -> None:
        text, sid = asked.get("Body") or "", asked.get("ContentSid")
        if not (text or asked.get("MediaUrl") or sid):
            raise RestError(400, 21602, "Message body is required.")
        if len(text) > LONGEST_BODY:
            raise RestError(400, 21617, "The concatenated message body exceeds 1600 characters.")
        if len(asked.all("MediaUrl")) > MOST_MEDIA:
            raise RestError(400, 21623, "Number of media files exceeds allowed limit")
        if sid and not sid.startswith("HX"):
            raise self.rest.refused(f"ContentSid {sid!r} is not one", 21654)
        if variables := asked.get("ContentVariables"):
            self._check_variables(variables, sid)

    def _check_variables(self, variables: str, content_sid: str | None) -> None:
        try:
            given = json.loads(variables)
        except ValueError:
            given = None
        is_flat = isinstance(given, dict) and all(isinstance(v, str) for v in given.values())
        if not is_flat or content_sid is None:
            raise self.rest.refused("ContentVariables: a flat JSON object for a ContentSid", 21656)
        if any("\n" in value or "\t" in value for value in given.values()):
            raise self.rest.refused("ContentVariables: WhatsApp takes no line breaks", 21656)

    def _take(self, asked: RestRequest) -> Message:
        media = asked.all("MediaUrl")
        message = {
            **self.rest.common(asked, "MM" if media else "SM", "Messages"),
            "direction": "outbound-api",
            "body": asked.get("Body") or f"{{template {asked.get('ContentSid')}}}",
            "messaging_service_sid": asked.get("MessagingServiceSid"),
            "num_segments": "0" if asked.get("MessagingServiceSid") else "1",
            "num_media": str(len(media)),
            "error_code": None,
            "error_message": None,
            "date_sent": None,
            "date_updated": formatdate(usegmt=True),
            "price": None,
        }
        self.taken.append(message)
        self._callbacks[message["sid"]] = asked.get("StatusCallback")
        return message

    # what became of it

    async def _send_receipts(
        self, asked: RestRequest, message: Message, faults: MessageFaults
    ) -> None:
        is_late = (asked.get("To") or "").startswith(WHATSAPP) and faults.window_closed
        if is_late and not asked.get("ContentSid"):
            faults = replace(faults, receipts=("failed",), receipt_error=63016)
        for status in faults.receipts:
            await asyncio.sleep(faults.receipt_delay_s)
            await self.send_receipt(message, status, code=faults.receipt_error or 0)

    async def send_receipt(
        self, message: Message, status: str, *, code: int = 0, url: str | None = None
    ) -> Exchange | None:
        """Move a message, and tell the server; None when it did not ask to be told.

        `url`: where the test wants it told instead.
        """
        is_lost = status in ("failed", "undelivered")
        message["status"] = status
        message["error_code"] = (code or 30008) if is_lost else None
        url = url or self._callbacks[message["sid"]]
        if not url:
            return None
        fields = {
            "MessageSid": message["sid"],
            "SmsSid": message["sid"],
            "MessageStatus": status,
            "SmsStatus": status,
            "From": message["from"] or "",
            "To": message["to"],
            "AccountSid": self.account.sid,
            "ApiVersion": "2010-04-01",
        }
        if is_lost:
            fields["ErrorCode"] = str(message["error_code"])
        if message["to"].startswith(WHATSAPP):
            fields |= {"ChannelInstallSid": new_sid("XE"), "ChannelPrefix": "whatsapp"}
        try:
            exchange = await self.account.webhooks.send(url, fields)
        except UnknownHost as error:
            self.account.violations.add(f"StatusCallback: {error}")
            return None
        self.receipts.append(exchange)
        return exchange

    async def _silence(self) -> Response:
        await self.closing.wait()
        return Broken()

    # list and fetch

    async def _list(self, asked: RestRequest, request: Request) -> Response:
        if self.faults.list_broken:
            raise RestError(500, 20500, "told to fail")
        query = request.query_params
        if unknown := query.keys() - LIST_WORDS:
            raise self.rest.refused(f"unknown parameters {sorted(unknown)}")
        if not query.get("PageSize", "50").isdecimal():
            raise self.rest.refused("PageSize is not a number")
        found = [
            message
            for message in reversed(self.taken)
            if query.get("To") in (None, message["to"])
            and query.get("From") in (None, message["from"])
        ]
        size = int(query.get("PageSize", "50"))
        page = {"messages": found[:size], "page": 0, "page_size": size, "next_page_uri": None}
        return JSONResponse({**page, "uri": request.url.path, "start": 0, "end": len(found[:size])})

    async def _show(self, _: RestRequest, request: Request) -> Response:
        sid = request.path_params["sid"]
        for message in self.taken:
            if message["sid"] == sid:
                return JSONResponse(message)
        raise RestError(404, 20404, f"The requested resource {sid} was not found")
