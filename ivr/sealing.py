"""Seals what must be kept and not be read: the credentials of a tenant's target, webhook secrets.

Fernet (AES-128-CBC with HMAC-SHA256) under a key derived from SECRET_KEY: a copy of the database
alone opens nothing. The key of hashes is derived in the same way.
"""

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ivr.errors import IvrError

_COLUMNS = b"ivr sealed columns 1"
_HASHES = b"ivr hashed addresses 1"


class Sealed(IvrError):
    """It was sealed under another SECRET_KEY, or is damaged."""


class Seal:
    """Seals and opens under one SECRET_KEY."""

    def __init__(self, secret_key: bytes) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(_derived(secret_key, _COLUMNS)))

    def close(self, text: str) -> str:
        """Return a text that only `open` reads."""
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def open(self, token: str) -> str:
        """Return what was sealed; raise `Sealed` when this key does not open it."""
        try:
            return self._fernet.decrypt(token.encode("ascii")).decode()
        except InvalidToken:
            raise Sealed("sealed under another SECRET_KEY, or damaged") from None


def hash_key(secret_key: bytes) -> bytes:
    """Return the key of hashes of what is easily guessed: without it nobody tries all numbers."""
    return _derived(secret_key, _HASHES)


def _derived(secret_key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose).derive(secret_key)
