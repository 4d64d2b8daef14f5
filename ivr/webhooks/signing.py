"""Signs what we send, and checks such signatures: Standard Webhooks, and one plain HMAC beside it.

`webhook-signature` holds one `v1,<base64>` per valid secret: HMAC-SHA256 over `id.timestamp.body`
with the bytes behind `whsec_`. `X-Webhook-Signature: sha256=<hex>` (C13) is over the body alone,
with the newest secret: it tells nothing of the time, and a request can be played again.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from ivr.errors import SignatureError

TOLERANCE = timedelta(minutes=5)
_BEGINNING = "whsec_"


def new_secret() -> str:
    """Return a secret of 32 random bytes: `whsec_<base64>`."""
    return _BEGINNING + base64.b64encode(secrets.token_bytes(32)).decode()


def is_secret(text: str) -> bool:
    """Return whether this is a secret as it is used, not a sealed one."""
    return text.startswith(_BEGINNING)


def headers(keys: Sequence[str], *, message_id: str, body: bytes, now: datetime) -> dict[str, str]:
    """Return the headers that sign `body` with every secret in `keys`, the newest first."""
    stamp = str(int(now.timestamp()))
    signatures = (_signature(key, message_id, stamp, body) for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
        "X-Webhook-Signature": plain_signature(keys[0], body),
    }


def plain_signature(key: str, body: bytes) -> str:
    """Return the value of `X-Webhook-Signature`."""
    return f"sha256={hmac.new(_bytes(key), body, hashlib.sha256).hexdigest()}"


def verify(
    given: Mapping[str, str],
    body: bytes,
    key: str,
    *,
    now: datetime,
    tolerance: timedelta = TOLERANCE,
) -> str:
    """Return the id of a message that `key` signed lately; raise `SignatureError` for any other.

    `given`: the headers, found by their names in lower case.
    """
    try:
        message_id, stamp = given["webhook-id"], given["webhook-timestamp"]
        listed = given["webhook-signature"].split()
    except KeyError as missing:
        raise SignatureError(f"no header {missing.args[0]}") from missing
    if not (stamp.isascii() and stamp.isdecimal()):
        raise SignatureError("webhook-timestamp: expected seconds since 1970")
    if abs(now.timestamp() - int(stamp)) > tolerance.total_seconds():
        raise SignatureError("webhook-timestamp: too far from now")
    wanted = f"v1,{_signature(key, message_id, stamp, body)}".encode()
    if not any(hmac.compare_digest(one.encode(), wanted) for one in listed):
        raise SignatureError("webhook-signature: none of them is ours")
    return message_id


def _signature(key: str, message_id: str, stamp: str, body: bytes) -> str:
    signed = b".".join((message_id.encode(), stamp.encode(), body))
    return base64.b64encode(hmac.new(_bytes(key), signed, hashlib.sha256).digest()).decode()


def _bytes(key: str) -> bytes:
    try:
        return base64.b64decode(key.removeprefix(_BEGINNING), validate=True)
    except binascii.Error as error:
        raise SignatureError("the secret is not whsec_ and base64") from error
