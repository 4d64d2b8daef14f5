"""One `Settings` class, read from the environment or `.env`; `check()` lists what cannot work.

Nothing here opens, connects or decides; entry points build one `Settings` and hand it down.
"""

import base64
import binascii
import os
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, HttpUrl, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ivr.errors import SettingsError
from ivr.phone_numbers import E164


class Environment(StrEnum):
    """Where this process runs; production refuses to start with a weak or missing secret."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something the operator should mend; `fatal` stops the start."""

    id: str
    message: str
    hint: str
    fatal: bool = False


class Settings(BaseSettings):
    """Every setting; names are the environment's in lower case, units are in the name."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", env_ignore_empty=True
    )

    # The server
    environment: Environment = Environment.DEVELOPMENT
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    public_base_url: str | None = None
    log_format: Literal["console", "json"] = "console"
    log_pii: bool = False
    secret_key: SecretStr | None = None
    executor_id: str = "web"
    drain_seconds: float = Field(default=20.0, ge=0)

    # Who may ask how often; 0: as often as they like
    trusted_proxies: str = "127.0.0.1,::1"
    rate_limit_key_per_minute: int = Field(default=600, ge=0)
    rate_limit_intake_per_minute: int = Field(default=6000, ge=0)
    rate_limit_address_per_minute: int = Field(default=300, ge=0)
    rate_limit_failures_per_minute: int = Field(default=30, ge=0)

    # The data
    database_url: str = "sqlite+aiosqlite:///./nps_ivr.db"
    database_owner_url: SecretStr | None = None

    # The business
    business_name: str = "Power Sport Buyers"
    profile: str = "powersports"
    timezone: str = "America/New_York"

    # The voice model
    openai_api_key: SecretStr | None = None
    openai_base_url: str = "https://api.openai.com/v1"
    openai_realtime_model: str = "gpt-realtime-2.1"
    openai_transcribe_model: str = "gpt-transcribe"
    openai_voice: str = "marin"

    # The text models
    openai_model: str = "gpt-6-luna"
    openai_reply_model: str = "gpt-6.1-terra"
    openai_route_model: str = "gpt-6-luna"
    anthropic_api_key: SecretStr | None = None
    anthropic_base_url: str = "https://api.anthropic.com"
    anthropic_model: str = "claude-haiku-5-5"
    anthropic_reply_model: str = "claude-sonnet-5-5"
    anthropic_route_model: str = "claude-haiku-5-5"
    llm_provider: Literal["auto", "anthropic", "openai"] = "auto"
    extraction_runs: int = Field(default=2, ge=1, le=5)
    extraction_timeout_seconds: float = Field(default=30.0, gt=0)
    text_model_seconds: float = Field(default=8.0, gt=0)

    # Twilio
    twilio_sid: str | None = None
    twilio_auth_token: SecretStr | None = None
    twilio_auth_token_secondary: SecretStr | None = None
    twilio_phone_number: str | None = None
    twilio_api_base_url: str = "https://api.twilio.com"
    whatsapp_template_sid: str | None = None

    # The buyer
    npa_api_base_url: str | None = None
    npa_api_username: str | None = None
    npa_api_password: SecretStr | None = None
    npa_lead_source: str = "IVR"
    npa_timeout_seconds: float = Field(default=20.0, gt=0)

    # Where the leads of profiles with the target "webhook" go
    target_webhook_url: HttpUrl | None = None
    target_webhook_secret: SecretStr | None = None
    target_webhook_timeout_seconds: float = Field(default=20.0, gt=0)

    # Calls that broke off go on by SMS, where the profile says so
    follow_up_sms: bool = True
    follow_up_wait_minutes: float = Field(default=30.0, gt=0)
    follow_up_first_hour: int = Field(default=8, ge=0, le=23)
    follow_up_last_hour: int = Field(default=21, ge=1, le=24)

    # Written conversations
    text_silence_hours: float = Field(default=24.0, gt=0)

    # Leads that fall silent; 0: never
    nurture_after_hours: float = Field(default=24.0, ge=0)
    lost_after_days: float = Field(default=7.0, ge=0)

    # A person takes over
    staff_phone_number: str | None = None
    escalation_due_minutes: float = Field(default=30.0, gt=0)
    escalation_notice_minutes: float = Field(default=15.0, gt=0)

    # Limits of a call
    max_concurrent_calls: int = Field(default=200, ge=1)
    max_new_calls_per_second: float = Field(default=20.0, gt=0)
    max_loop_lag_ms: float = Field(default=250.0, gt=0)
    max_memory_mb: int | None = Field(default=None, ge=0)
    max_call_seconds: float = Field(default=900.0, gt=0)
    silence_nudge_seconds: float = Field(default=8.0, gt=0)
    model_connect_seconds: float = Field(default=5.0, gt=0)
    model_answer_seconds: float = Field(default=10.0, gt=0)
    model_session_seconds: float = Field(default=3300.0, gt=0)
    episode_grace_seconds: float = Field(default=20.0, gt=0)

    def __init__(self, **values: Any) -> None:
        given: dict[str, Any] = {**_secrets_from_files(), **values}
        super().__init__(**given)

    @field_validator("database_url")
    @classmethod
    def _async_driver(cls, url: str) -> str:
        """Accept the plain spellings people copy from documentation."""
        for plain, driver in _ASYNC_DRIVERS.items():
            if url.startswith(plain):
                return driver + url.removeprefix(plain)
        if not url.startswith(tuple(_ASYNC_DRIVERS.values())):
            raise ValueError("expected sqlite:///path or postgresql://user@host/name")
        return url

    @field_validator("database_owner_url")
    @classmethod
    def _owner_of_postgresql(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is None:
            return None
        url = cls._async_driver(secret.get_secret_value())
        if not url.startswith("postgresql"):
            raise ValueError("expected postgresql://owner:password@host/name")
        return SecretStr(url)

    @field_validator("target_webhook_secret")
    @classmethod
    def _signing_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            try:
                base64.b64decode(secret.get_secret_value().removeprefix("whsec_"), validate=True)
            except binascii.Error:
                raise ValueError("expected whsec_ and base64") from None
        return secret

    @field_validator(
        "public_base_url",
        "openai_base_url",
        "twilio_api_base_url",
        "npa_api_base_url",
        "anthropic_base_url",
    )
    @classmethod
    def _origin(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("expected http(s)://host[:port][/path]")
        return url.rstrip("/")

    @field_validator("public_base_url")
    @classmethod
    def _no_path(cls, url: str | None) -> str | None:
        if url is not None and urlsplit(url).path:
            raise ValueError("expected an origin without a path, as Twilio calls it")
        return url

    @field_validator("twilio_phone_number", "staff_phone_number")
    @classmethod
    def _e164(cls, number: str | None) -> str | None:
        if number is not None and not E164.fullmatch(number):
            raise ValueError("expected a number like +12015550123")
        return number

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, text: str) -> str:
        try:
            _networks_of(text)
        except ValueError as exc:
            message = "expected addresses and networks like 127.0.0.1,10.0.0.0/8"
            raise ValueError(message) from exc
        return text

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as exc:
            raise ValueError("expected a name like America/New_York") from exc
        return name

    @model_validator(mode="after")
    def _hours_in_order(self) -> "Settings":
        if self.follow_up_first_hour >= self.follow_up_last_hour:
            raise ValueError("FOLLOW_UP_FIRST_HOUR must be before FOLLOW_UP_LAST_HOUR")
        return self

    @model_validator(mode="after")
    def _production_secrets(self) -> "Settings":
        fatal = [problem for problem in self.check() if problem.fatal]
        if fatal:
            raise ValueError(
                "; ".join(f"{problem.message} ({problem.id}: {problem.hint})" for problem in fatal)
            )
        return self

    @property
    def trusted_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Return whose word on the sender of a request is believed."""
        return _networks_of(self.trusted_proxies)

    @property
    def twilio_auth_tokens(self) -> tuple[str, ...]:
        """Return the tokens a signature may be made with: two in a rotation, none at first."""
        tokens = (self.twilio_auth_token, self.twilio_auth_token_secondary)
        return tuple(token.get_secret_value() for token in tokens if token is not None)

    def check(self) -> list[Problem]:
        """Return everything that is missing or weak, the fatal ones only in production."""
        production = self.environment is Environment.PRODUCTION
        problems = [
            Problem(
                f"{name}.missing",
                f"{name} is not set: {effect}",
                hint,
                fatal=production and name in _REQUIRED,
            )
            for name, effect, hint in _EXPECTED
            if getattr(self, name.lower()) is None
        ]
        if self.secret_key is not None and len(self.secret_key.get_secret_value()) < 32:
            weak = "SECRET_KEY is shorter than 32 characters"
            problems.append(
                Problem("SECRET_KEY.weak", weak, "openssl rand -hex 32", fatal=production)
            )
        return problems


def _networks_of(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(one.strip()) for one in text.split(",") if one.strip())


_ASYNC_DRIVERS = {
    "sqlite:///": "sqlite+aiosqlite:///",
    "postgresql://": "postgresql+asyncpg://",
    "postgres://": "postgresql+asyncpg://",
}

_REQUIRED = {"SECRET_KEY", "TWILIO_AUTH_TOKEN", "PUBLIC_BASE_URL"}

_EXPECTED = (
    ("SECRET_KEY", "a key is made and kept beside the database", "openssl rand -hex 32"),
    ("OPENAI_API_KEY", "the offline voice answers the phone", "make a key in the OpenAI console"),
    (
        "TWILIO_SID",
        "no message can be sent and no call ended from here",
        "the account SID in the Twilio console",
    ),
    ("TWILIO_AUTH_TOKEN", "the telephony doors answer 503", "the auth token in the Twilio console"),
    (
        "PUBLIC_BASE_URL",
        "signatures are checked against the address asked for",
        "https://your.host, as set at Twilio",
    ),
    ("NPA_API_BASE_URL", "finished leads wait in failed_leads", "the address of the buyer's API"),
    ("NPA_API_USERNAME", "the buyer will answer Unauthorized", "the user name the buyer gave you"),
    ("NPA_API_PASSWORD", "the buyer will answer Unauthorized", "the password the buyer gave you"),
)

_FILE_SECRETS = (
    "secret_key",
    "openai_api_key",
    "anthropic_api_key",
    "twilio_auth_token",
    "twilio_auth_token_secondary",
    "npa_api_password",
    "target_webhook_secret",
    "database_url",
    "database_owner_url",
)


def _secrets_from_files() -> dict[str, str]:
    """Read `NAME_FILE` variables; a file that cannot be read stops the start."""
    values = {}
    for name in _FILE_SECRETS:
        path = os.environ.get(f"{name.upper()}_FILE")
        if not path or name.upper() in os.environ:
            continue
        try:
            values[name] = Path(path).read_text(encoding="utf-8").strip()
        except OSError as exc:
            raise SettingsError(f"{name.upper()}_FILE: cannot read {path}: {exc.strerror}") from exc
    return values


def load_settings(**values: Any) -> Settings:
    """Return the settings, or raise `SettingsError` that names each broken one."""
    try:
        return Settings(**values)
    except ValueError as exc:
        raise SettingsError(_explain(exc)) from exc


def _explain(exc: ValueError) -> str:
    errors = exc.errors() if isinstance(exc, ValidationError) else []
    return "\n".join(_line(error["loc"], error["msg"]) for error in errors) or str(exc)


def _line(where: tuple[int | str, ...], message: str) -> str:
    name = "_".join(str(part) for part in where).upper() or "settings"
    return f"{name}: {message.removeprefix('Value error, ')}"
