"""Twilio's messages over REST: one is created, and looked for when its answer was lost.

Decides nothing. What may be asked again is in the kind of the error: Twilio takes no idempotency
key for a message, so after a lost answer the only way is to look whether it is there.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Self

import httpx
from pydantic import BaseModel, ValidationError

from ivr.errors import Failure, Unavailable

if TYPE_CHECKING:
    from ivr.settings import Settings

WHATSAPP = "whatsapp:"
LOOK_AT = 50  # newest messages to one number
# They say that nothing was done, and it is not the message's fault: refused credentials, a wrong
# account, too many requests, a service that is shut.
_NOT_TAKEN = frozenset({401, 403, 404, 429, 503})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message as it is asked for; numbers are as on the wire, WhatsApp's with their prefix."""

    to: str
    sender: str
    body: str
    status_callback: str | None = None
    content_sid: str | None = None
    content_variables: Mapping[str, str] | None = None

    def form(self) -> dict[str, str]:
        """Return the form of the request; a template takes the place of the words."""
        form = {"To": self.to, "From": self.sender}
        if self.content_sid:
            form |= {"ContentSid": self.content_sid}
            form |= {"ContentVariables": json.dumps(dict(self.content_variables or {}))}
        else:
            form |= {"Body": self.body}
        return form | ({"StatusCallback": self.status_callback} if self.status_callback else {})


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that Twilio has: its name and the state it is in there."""

    sid: str
    status: str
    error_code: int | None = None


class MessageRefused(Unavailable):
    """Twilio has not taken the message, or has not said so; `kind`: what may be done next."""

    def __init__(
        self,
        message: str,
        *,
        kind: Failure,
        code: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.kind = kind
        self.code = code


class _Resource(BaseModel):
    """What is read of a message."""

    sid: str
    status: str = "queued"
    body: str | None = None
    direction: str = ""
    date_created: str | None = None
    error_code: int | None = None

    def taken(self) -> Taken:
        return Taken(self.sid, self.status, self.error_code)


class _List(BaseModel):
    messages: list[_Resource]


class _Problem(BaseModel):
    """What is read of an error."""

    code: int | None = None
    message: str = ""


class TwilioMessages:
    """The messages of one account."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        account_sid: str,
        auth_token: str,
        *,
        api_base_url: str = "https://api.twilio.com",
        timeout_s: float = 10.0,
    ) -> None:
        self.timeout_s = timeout_s
        self._http = http
        self._auth = (account_sid, auth_token)
        self._url = f"{api_base_url}/2010-04-01/Accounts/{account_sid}/Messages.json"

    @classmethod
    def from_settings(cls, settings: "Settings", http: httpx.AsyncClient) -> Self | None:
        """Return the client, or None when the account is not configured."""
        if not settings.twilio_sid or settings.twilio_auth_token is None:
            return None
        token = settings.twilio_auth_token.get_secret_value()
        return cls(http, settings.twilio_sid, token, api_base_url=settings.twilio_api_base_url)

    async def send(self, message: Outgoing) -> Taken:
        """Have a message sent. Raises `MessageRefused`."""
        response = await self._ask("POST", data=message.form())
        if not response.is_success:
            raise _refusal(response)
        try:
            made = _Resource.model_validate_json(response.content)
        except ValidationError as exc:
            raise MessageRefused("Twilio's answer cannot be read", kind=Failure.AMBIGUOUS) from exc
        return made.taken()

    async def look_for(self, message: Outgoing, *, within: timedelta) -> list[Taken]:
        """Return what Twilio took `within` that time and may be this message, the oldest first.

        The time is reckoned by Twilio's clock. Raises `Unavailable` when it cannot be asked.
        """
        query = {"To": message.to, "From": message.sender, "PageSize": str(LOOK_AT)}
        response = await self._ask("GET", params=query)
        if not response.is_success:
            raise _refusal(response)
        try:
            found = _List.model_validate_json(response.content).messages
        except ValidationError as exc:
            raise Unavailable("Twilio's list of messages cannot be read") from exc
        since = _date(response.headers.get("date")) - within
        return [one.taken() for one in reversed(found) if _may_be(one, message, since)]

    async def _ask(self, method: str, **request: Mapping[str, str]) -> httpx.Response:
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._http.request(
                    method,
                    self._url,
                    data=request.get("data"),
                    params=request.get("params"),
                    auth=self._auth,
                    timeout=self.timeout_s,
                )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as exc:
            problem = f"Twilio cannot be reached: {type(exc).__name__}"
            raise MessageRefused(problem, kind=Failure.TRANSIENT) from exc
        except (httpx.HTTPError, TimeoutError) as exc:
            problem = f"Twilio gave no answer: {type(exc).__name__}"
            raise MessageRefused(problem, kind=Failure.AMBIGUOUS) from exc


def _may_be(one: _Resource, message: Outgoing, since: datetime) -> bool:
    """Whether this may be ours; a template's words are Twilio's, and a trial account adds some."""
    is_same = bool(message.content_sid) or (one.body or "").strip().endswith(message.body.strip())
    return one.direction.startswith("outbound") and _date(one.date_created) >= since and is_same


def _date(text: str | None) -> datetime:
    """Read a date as mail and HTTP write it; now, for none that can be read."""
    with suppress(TypeError, ValueError):
        return parsedate_to_datetime(text or "").astimezone(UTC)
    return datetime.now(UTC)


def _refusal(response: httpx.Response) -> MessageRefused:
    try:
        problem = _Problem.model_validate_json(response.content)
    except ValidationError:
        problem = _Problem()
    retry_after = response.headers.get("retry-after", "")
    return MessageRefused(
        f"Twilio refused: HTTP {response.status_code}, code {problem.code}: {problem.message}",
        kind=_kind(response.status_code),
        code=problem.code,
        retry_after=float(retry_after) if retry_after.isdecimal() else None,
    )


def _kind(status: int) -> Failure:
    if status in _NOT_TAKEN:
        return Failure.TRANSIENT
    is_refusal = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    if is_refusal and status != HTTPStatus.REQUEST_TIMEOUT:
        return Failure.PERMANENT
    return Failure.AMBIGUOUS  # it may have broken after taking the message
