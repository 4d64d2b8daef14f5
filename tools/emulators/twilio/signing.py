"""How Twilio signs what it sends, written from its security page and not from its SDK.

The server under test verifies with the SDK; were both sides the same code, a shared mistake would
stay hidden. Nothing here verifies.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

Door = Literal["webhook", "stream"]
Misuse = bool | Door  # False: nowhere, True: at every door, else at this door only


def sign(token: str, url: str, fields: Iterable[tuple[str, str]] = ()) -> str:
    """Return the base64 HMAC-SHA1 over `url` and each distinct (name, value), in byte order."""
    signed = url + "".join(name + value for name, value in sorted(set(fields), key=_bytes))
    digest = hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def signed_url(url: str) -> str:
    """Return `url` as Twilio signs it: no fragment, no user-info, and no port on https."""
    scheme, netloc, path, query, _ = urlsplit(url)
    netloc = netloc.rpartition("@")[2]
    if scheme == "https" and not netloc.endswith("]"):
        netloc = netloc.partition(":")[0]
    return urlunsplit((scheme, netloc, path, query, ""))


@dataclass
class SignatureFaults:
    """The ways a signature can be bad; `True` spoils webhooks and streams, a word only that one."""

    missing_signature: Misuse = False
    wrong_signature: Misuse = False
    wrong_scheme_signature: Misuse = False  # signed over http:// or https:// instead of wss://
    trailing_slash_signature: Misuse = False  # signed over the URL with one "/" more

    def signature(
        self, door: Door, token: str, url: str, fields: Iterable[tuple[str, str]] = ()
    ) -> str | None:
        """Return the header's value, spoilt as the switches say; None means no header at all."""
        if self.missing_signature in (True, door):
            return None
        if self.wrong_signature in (True, door):
            return sign(f"not-{token}", url, fields)
        if self.wrong_scheme_signature in (True, door):
            url = ("https" if door == "stream" else "http") + url[url.index(":") :]
        if self.trailing_slash_signature in (True, door):
            url = f"{url}/"
        return sign(token, url, fields)


def _bytes(field: tuple[str, str]) -> tuple[bytes, bytes]:
    return field[0].encode(), field[1].encode()
