"""The context manager that is one Twilio account; it wires the other files of this folder."""

import asyncio
import contextlib
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from starlette.applications import Starlette
from websockets.asyncio.client import connect

from tools.emulators.serving import serve
from tools.emulators.twilio.account import Account, Violations
from tools.emulators.twilio.call import Call, HangUp
from tools.emulators.twilio.faults import Faults
from tools.emulators.twilio.messages import MessageFaults, Messages
from tools.emulators.twilio.rest import Rest, RestRequest
from tools.emulators.twilio.texter import Texter
from tools.emulators.twilio.webhooks import Address, Exchange, Webhooks


class TwilioEmulator:
    """Acts as Twilio towards one local server.

    `webhook` is the number's voice URL as the local server sees it; `fallback` and
    `status_callback` are paths or local URLs too. Whatever is sent is signed for
    `public_base_url`. `speed` scales every clock but `webhook_timeout_s` and `patience_s`.
    Leaving the block hangs up what still lives and raises TwilioViolation if the server broke a
    rule that `allow` does not forgive.
    """

    def __init__(
        self,
        account_sid: str,
        auth_token: str,
        *,
        webhook: str,
        public_base_url: str,
        speed: float = 1.0,
        fallback: str | None = None,
        status_callback: str | None = None,
        webhook_timeout_s: float = 15.0,
        patience_s: float = 30.0,
    ) -> None:
        self.faults = Faults()
        self.calls: dict[str, Call] = {}
        self.api_base_url = ""  # known inside the block
        local = urlsplit(webhook)
        public = public_base_url.rstrip("/")
        if urlsplit(public).scheme != "https" or urlsplit(public).path:
            raise ValueError(f"{public_base_url!r} is not an https origin")
        self._address = Address(public, f"{local.scheme}://{local.netloc}")
        public_url = self._address.public_url
        self.account = Account(
            sid=account_sid,
            token=auth_token,
            webhooks=Webhooks(self._address, auth_token, self.faults, timeout_s=webhook_timeout_s),
            faults=self.faults,
            voice_url=public_url(webhook),
            fallback_url=public_url(fallback) if fallback else None,
            status_url=public_url(status_callback) if status_callback else None,
            speed=speed,
            patience_s=patience_s,
        )
        self._rest = Rest(self.account, self.calls)
        self._messages = Messages(self.account, self._rest)
        self._rest.app.router.routes.extend(self._messages.routes())
        self._resources = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        port = await self._resources.enter_async_context(serve(self._rest.app))
        self.api_base_url = f"http://127.0.0.1:{port}"
        self._resources.push_async_callback(self.account.webhooks.close)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._messages.closing.set()
        async with self._resources:
            await self._hang_up_all()
        if error is not None:
            self._add_notes(error)
            return
        if self.account.failures:
            raise self.account.failures[0]
        self.violations.verdict()

    # what tests do

    async def call(self, from_: str, to: str, *, wait: bool = True, **extra_fields: str) -> Call:
        """Ring; returns when the first webhook is answered or has failed, or at once.

        `extra_fields` are added to every webhook of the call, or replace its fields.
        """
        call = Call(self.account, from_, to, extra_fields)
        self.calls[call.sid] = call
        self.account.background(call.live())
        if wait:
            patience_s = self.account.patience_s
            await call.facts.wait(lambda: bool(call.webhooks) or call.over, patience_s)
        return call

    def texter(
        self, number: str, business: str, *, url: str = "/twilio/sms", whatsapp: bool = False
    ) -> Texter:
        """Return somebody who writes to the business; `url` is the number's messaging webhook."""
        return Texter(self._messages, number, business, url=url, whatsapp=whatsapp)

    async def send_receipt(
        self, message: dict[str, Any], status: str, *, code: int = 0, url: str | None = None
    ) -> Exchange | None:
        """Tell what became of a message, to where it asked for that or to `url`."""
        return await self._messages.send_receipt(message, status, code=code, url=url)

    def open_stream(
        self, url: str, *, headers: Mapping[str, str] | None = None, sign: bool = True
    ) -> connect:
        """Return a raw websocket client for a wss:// URL or path, signed unless told otherwise.

        Await it or enter it; websockets.exceptions.InvalidStatus tells of a refusal.
        """
        if url.startswith("/"):
            url = f"wss://{self._address.public_host}{url}"
        return self.account.dial_stream(url, headers=headers, sign=sign)

    def connect_to(self, origin: str) -> None:
        """Send what follows to a local server elsewhere, such as http://127.0.0.1:8001."""
        self._address.local = origin.rstrip("/")

    def allow(self, fragment: str) -> None:
        """Forgive violations that contain `fragment`."""
        self.violations.allow(fragment)

    # what tests look at

    @property
    def violations(self) -> Violations:
        """What the server did wrong so far."""
        return self.account.violations

    @property
    def rest_app(self) -> Starlette:
        """The REST API, to be served at another address as well."""
        return self._rest.app

    @property
    def rest_requests(self) -> list[RestRequest]:
        """All REST requests, refused ones too."""
        return self._rest.requests

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Messages that were taken for sending."""
        return self._messages.taken

    @property
    def message_faults(self) -> MessageFaults:
        """What goes wrong with messages."""
        return self._messages.faults

    @property
    def receipts(self) -> list[Exchange]:
        """Status callbacks of messages that were sent to the server, with its answers."""
        return self._messages.receipts

    @property
    def outgoing_calls(self) -> list[dict[str, Any]]:
        """Outgoing calls that were asked for."""
        return self._rest.outgoing_calls

    @property
    def opted_out(self) -> set[str]:
        """Numbers that have sent STOP; sending to them fails with 21610."""
        return self._messages.opted_out

    async def _hang_up_all(self) -> None:
        for call in self.calls.values():
            call.interrupt(HangUp("the end of the test"))
        await self.account.settle()
        streams = [stream for call in self.calls.values() for stream in call.streams]
        await asyncio.gather(*(stream.shut() for stream in streams))

    def _add_notes(self, error: BaseException) -> None:
        for failure in self.account.failures:
            error.add_note(f"the Twilio emulator failed: {failure!r}")
        for violation in self.violations.unforgiven:
            error.add_note(f"Twilio violation: {violation}")
