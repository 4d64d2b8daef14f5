"""Twilio: who signed this request, and what we ask of a live call over REST. Decides nothing.

Signatures: Twilio, usage/security#validating-requests; the ports and the trailing slash are quirks
of its own that the same page names.
"""

import asyncio
import base64
import hmac
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from ivr.errors import NotFound, SignatureError, Unavailable

if TYPE_CHECKING:
    from ivr.settings import Settings

CALL_IS_OVER = 21220  # Twilio error 21220: the call is not in progress
# Twilio: voice call resource, CallStatus values after which nothing follows
TERMINAL = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
DEFAULT_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}


class Signatures:
    """Checks requests against the account's auth token; two of them during a rotation.

    URLs must be spelt from the public origin that Twilio was given, with the raw path and query.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tuple(tokens)

    def check_form(self, url: str, form: Iterable[tuple[str, str]], signature: str | None) -> None:
        """Raise SignatureError unless Twilio signed this form POST, or GET without a form."""
        parameters = "".join(name + value for name, value in sorted(set(form)))
        self._check((spelling + parameters for spelling in _spellings(url)), signature)

    def check_websocket(self, url: str, signature: str | None) -> None:
        """Raise SignatureError unless Twilio signed this upgrade; `url` is wss, as in the TwiML."""
        spellings = [s for either in (url, f"{url}/") for s in _spellings(either)]
        self._check(spellings, signature)

    def _check(self, signed: Iterable[str], signature: str | None) -> None:
        if not signature:
            raise SignatureError("the request carries no X-Twilio-Signature")
        texts = list(signed)
        expected = [_sign(token, text) for token in self._tokens for text in texts]
        given = signature.encode()
        if not any([hmac.compare_digest(one, given) for one in expected]):
            raise SignatureError("the signature does not fit the request")


def _sign(token: str, text: str) -> bytes:
    return base64.b64encode(hmac.digest(token.encode(), text.encode(), "sha1"))


def _spellings(url: str) -> Iterator[str]:
    """Yield a URL with and without its port: Twilio drops it for voice over TLS, and only there."""
    yield url
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    if parts.port:
        yield parts._replace(netloc=host).geturl()
    elif port := DEFAULT_PORTS.get(parts.scheme):
        yield parts._replace(netloc=f"{host}:{port}").geturl()


class _Answer(BaseModel):
    """What is read of an answer: a call's status and length, or the code of an error."""

    status: str | int | None = None
    duration: str | None = None
    code: int | None = None


class TwilioRest:
    """Live calls over the account's REST interface; the SDK would block, and cost a thread each."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        account_sid: str,
        auth_token: str,
        *,
        api_base_url: str = "https://api.twilio.com",
        timeout_s: float = 10.0,
    ) -> None:
        self._http = http
        self._auth = (account_sid, auth_token)
        self._calls = f"{api_base_url}/2010-04-01/Accounts/{account_sid}/Calls"
        self._timeout_s = timeout_s

    @classmethod
    def from_settings(cls, settings: "Settings", http: httpx.AsyncClient) -> Self | None:
        """Return the client, or None when the account is not configured."""
        if not settings.twilio_sid or settings.twilio_auth_token is None:
            return None
        token = settings.twilio_auth_token.get_secret_value()
        return cls(http, settings.twilio_sid, token, api_base_url=settings.twilio_api_base_url)

    async def status(self, call_sid: str) -> dict[str, str]:
        """Return CallStatus and, of a call that is over, CallDuration, as its callback has them.

        Raises Unavailable, or NotFound for a call unknown there.
        """
        answer = await self._ask("GET", call_sid)
        told = {"CallStatus": answer.status, "CallDuration": answer.duration}
        return {name: value for name, value in told.items() if isinstance(value, str)}

    async def hang_up(self, call_sid: str) -> None:
        """Ask for the end of a call; one that is over already is fine. Raises as `status`."""
        await self._ask("POST", call_sid, {"Status": "completed"})

    async def redirect(self, call_sid: str, url: str) -> None:
        """Have Twilio ask `url` what to do with a call, if it still lasts. Raises as `status`."""
        await self._ask("POST", call_sid, {"Url": url, "Method": "POST"})

    async def _ask(self, method: str, call_sid: str, form: dict[str, str] | None = None) -> _Answer:
        url = f"{self._calls}/{call_sid}.json"
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._http.request(method, url, data=form, auth=self._auth)
        except (httpx.HTTPError, TimeoutError) as exc:
            raise Unavailable(f"Twilio cannot be reached: {type(exc).__name__}") from exc
        answer = _read(response)
        if response.is_success or answer.code == CALL_IS_OVER:
            return answer
        if response.status_code == HTTPStatus.NOT_FOUND:
            raise NotFound(f"Twilio knows no call {call_sid}")
        raise Unavailable(
            f"Twilio refused: HTTP {response.status_code}, code {answer.code}",
            retry_after=_seconds(response.headers.get("retry-after", "")),
        )


def _read(response: httpx.Response) -> _Answer:
    try:
        return _Answer.model_validate_json(response.content)
    except ValidationError:
        return _Answer()


def _seconds(retry_after: str) -> float | None:
    return float(retry_after) if retry_after.isdecimal() else None
