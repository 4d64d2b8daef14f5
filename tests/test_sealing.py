"""What is sealed opens under its own key only."""

from pathlib import Path

import pytest

from ivr.db.secret_key import SECRET_FILE, hash_key
from ivr.sealing import Seal, Sealed
from ivr.settings import Settings


def test_what_was_sealed_can_be_opened_and_not_be_read() -> None:
    seal = Seal(b"k" * 32)
    token = seal.close("s3cret")
    assert "s3cret" not in token
    assert seal.open(token) == "s3cret"


@pytest.mark.parametrize("token", ["", "no token"])
def test_what_is_damaged_says_so(token: str) -> None:
    with pytest.raises(Sealed, match="damaged"):
        Seal(b"k" * 32).open(token)


def test_another_key_opens_nothing() -> None:
    with pytest.raises(Sealed):
        Seal(b"k" * 32).open(Seal(b"x" * 32).close("s3cret"))


def test_the_key_of_hashes_is_read_once(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'nps_ivr.db'}"
    find_key = hash_key(Settings(_env_file=None, database_url=url))
    assert not (tmp_path / SECRET_FILE).exists(), "before it is needed"
    key = find_key()
    (tmp_path / SECRET_FILE).unlink()
    assert find_key() == key and not (tmp_path / SECRET_FILE).exists()
