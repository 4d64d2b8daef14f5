"""The key for signing our own tokens and for sealing; made on the first start in development."""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from ivr import sealing
from ivr.db.engine import database_path
from ivr.errors import SettingsError
from ivr.settings import Environment, Settings

SECRET_FILE = "nps_ivr.secret"


def secret_key(settings: Settings) -> bytes:
    """Return the key, which in development stands in a file beside the database."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value().encode()
    assert settings.environment is not Environment.PRODUCTION, "production requires SECRET_KEY"
    path = (database_path(settings.database_url) or Path(SECRET_FILE)).with_name(SECRET_FILE)
    if not path.exists():
        _make_secret(path)
    key = path.read_bytes()
    if len(key) < 32:
        raise SettingsError(f"SECRET_KEY: {path} is damaged; delete it, or set SECRET_KEY")
    return key


def hash_key(settings: Settings) -> Callable[[], bytes]:
    """Return what finds the key of hashes, when it is first needed: most work needs none."""
    return cache(lambda: sealing.hash_key(secret_key(settings)))


def _make_secret(path: Path) -> None:
    """Make the file whole or not at all; whoever is second keeps the first one's."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with open(draft, "x", opener=_private, encoding="ascii") as file:
        file.write(secrets.token_hex(32))
    with suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)
