"""What may stand in the environment, and what is said about what may not."""

from pathlib import Path

import pytest

from ivr.errors import SettingsError
from ivr.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A directory without `.env`, an environment without our names."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_development_starts_with_nothing_set() -> None:
    settings = load_settings()
    assert settings.database_url == "sqlite+aiosqlite:///./nps_ivr.db"
    assert {problem.id for problem in settings.check()} >= {
        "OPENAI_API_KEY.missing",
        "TWILIO_AUTH_TOKEN.missing",
    }


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("sqlite:///./a.db", "sqlite+aiosqlite:///./a.db"),
        ("postgresql://u@h/d", "postgresql+asyncpg://u@h/d"),
        ("postgres://u@h/d", "postgresql+asyncpg://u@h/d"),
        ("postgresql+asyncpg://u@h/d", "postgresql+asyncpg://u@h/d"),
    ],
)
def test_plain_database_addresses_get_the_async_driver(given: str, used: str) -> None:
    assert load_settings(database_url=given).database_url == used


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DATABASE_URL", "mysql://h/d", "expected sqlite:///path or postgresql://"),
        ("PORT", "eighty", "valid integer"),
        ("PUBLIC_BASE_URL", "ivr.example.com", "expected http(s)://"),
        ("MAX_CALL_SECONDS", "-1", "greater than 0"),
        ("LOG_FORMAT", "xml", "'console' or 'json'"),
        ("TWILIO_PHONE_NUMBER", "(201) 555-0123", "expected a number like +12015550123"),
        ("STAFF_PHONE_NUMBER", "12015550123", "expected a number like +12015550123"),
    ],
)
def test_a_broken_setting_is_named_with_what_was_expected(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as caught:
        load_settings()
    assert words in str(caught.value)


def test_a_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-from-file\n")
    monkeypatch.setenv("OPENAI_API_KEY_FILE", str(tmp_path / "key"))
    key = load_settings().openai_api_key
    assert key is not None
    assert key.get_secret_value() == "sk-from-file"


def test_a_missing_secret_file_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NPA_API_PASSWORD_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match="NPA_API_PASSWORD_FILE: cannot read"):
        load_settings()


def test_production_refuses_to_start_without_its_secrets() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(environment="production")
    for name in ("SECRET_KEY", "TWILIO_AUTH_TOKEN", "PUBLIC_BASE_URL"):
        assert f"{name}.missing" in str(caught.value)


def test_production_refuses_a_weak_secret() -> None:
    with pytest.raises(SettingsError, match=r"SECRET_KEY\.weak"):
        load_settings(
            environment="production",
            secret_key="short",
            twilio_auth_token="token",
            public_base_url="https://ivr.example.com",
        )


def test_no_secret_is_printed() -> None:
    assert "sk-hidden" not in repr(load_settings(openai_api_key="sk-hidden"))


def test_the_hours_of_follow_ups_must_leave_some() -> None:
    with pytest.raises(SettingsError, match="FOLLOW_UP_FIRST_HOUR must be before"):
        load_settings(follow_up_first_hour=21, follow_up_last_hour=8)
