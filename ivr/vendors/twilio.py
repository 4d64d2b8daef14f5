"""Twilio: who signed this request, and what we ask of a live call over REST. Decides nothing.

Signatures: Twilio, usage/security#validating-requests; the ports and the trailing slash are quirks
of its own that the same page names.
"""

import asyncio
import base64
import hmac
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from requests.exceptions import RequestException
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from ivr.errors import SignatureError, Unavailable

if TYPE_CHECKING:
    from ivr.settings import Settings

CALL_IS_OVER = 21220  # Twilio error 21220: the call is not in progress
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


class TwilioRest:
    """The account's REST interface. The SDK blocks, so every call runs in a thread."""

    def __init__(
        self,
        account_sid: str,
        auth_token: str,
        *,
        api_base_url: str | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        http = TwilioHttpClient(timeout=timeout_s)
        self._client = Client(account_sid, auth_token, http_client=http)
        if api_base_url:
            self._client.api.base_url = api_base_url

    @classmethod
    def from_settings(cls, settings: "Settings") -> Self | None:
        """Return the client, or None when the account is not configured."""
        if not settings.twilio_sid or settings.twilio_auth_token is None:
            return None
        token = settings.twilio_auth_token.get_secret_value()
        return cls(settings.twilio_sid, token, api_base_url=settings.twilio_api_base_url)

    async def hang_up(self, call_sid: str) -> None:
        """End a call; one that is over already is fine. Raises Unavailable."""
        try:
            await asyncio.to_thread(self._client.calls(call_sid).update, status="completed")
        except TwilioRestException as exc:
            if exc.code != CALL_IS_OVER:
                raise Unavailable(f"Twilio refused: HTTP {exc.status}, code {exc.code}") from exc
        except (RequestException, TwilioException) as exc:
            raise Unavailable(f"Twilio cannot be reached: {type(exc).__name__}") from exc
