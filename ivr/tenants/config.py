"""What a client sets for itself: its words, its rules, its target. Stored as `tenants.config`.

Secrets stand apart, sealed, in `tenants.secrets`, and are never shown again. Whether it all goes
with the client's profile is `leads.profile.tenant_profile`'s to check.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from datetime import date
from functools import lru_cache
from typing import Annotated, Any, Literal

import structlog
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
)

from ivr import addresses
from ivr.db.engine import storable
from ivr.db.tables import Tenant
from ivr.errors import BadRequest, Unprocessable
from ivr.phone_numbers import E164
from ivr.sealing import Seal

SET = "set"  # shown for a secret that is there; given back it means the same one
_SEALED = "target."  # what the names in `tenants.secrets` begin with

_Text = Annotated[str, AfterValidator(storable)]
Words = Annotated[_Text, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Short = Annotated[_Text, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
PhoneNumber = Annotated[str, Field(pattern=f"^{E164.pattern}$", examples=["+17705550100"])]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
Locale = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$", examples=["ar-SA"])]

log = structlog.get_logger(__name__)


class Part(BaseModel):
    """A part of the configuration; what nobody has set is None."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Wording(Part):
    """The client's words in another language."""

    greeting: Words | None = None
    text_greeting: Words | None = None
    closing: Words | None = None
    goodbye_phrases: list[Short] | None = Field(default=None, max_length=20)


class Holiday(Part):
    """A whole day on which nobody is there; a bare date will do."""

    date: date
    name: Short | None = None


class Escalation(Part):
    """When a person takes over; `high_value` is in whole units of `currency` (ISO 4217)."""

    keywords: list[Short] | None = Field(default=None, max_length=100)
    high_value: int | None = Field(default=None, ge=1, le=10**12)
    currency: str | None = Field(
        default=None,
        pattern=r"^[A-Z]{3}$",
        description="without it the one in which the profile asks",
    )
    most_exchanges: int | None = Field(default=None, ge=1, le=1000)
    min_confidence: float | None = Field(default=None, ge=0, le=1)
    staff_phone: PhoneNumber | None = Field(default=None, description="is told by SMS")
    due_minutes: float | None = Field(default=None, gt=0, le=60 * 24 * 30)


class Thresholds(Part):
    """From which score on a lead is hot; `escalate_hot`: a person takes such a lead over."""

    hot: int | None = Field(default=None, ge=41, le=100)
    escalate_hot: bool | None = None


def _address(url: str) -> str:
    try:
        return addresses.checked(url.strip(), only_public=False)
    except BadRequest as exc:
        raise ValueError(str(exc).removeprefix("url: ")) from None


Url = Annotated[str, AfterValidator(_address)]


def _whole(secret: SecretStr) -> SecretStr:
    try:
        secret.get_secret_value().encode()
    except UnicodeEncodeError:  # JSON can spell half of an emoji
        raise ValueError("expected characters that are whole") from None
    return secret


class NpaTarget(Part):
    """The buyer's API, with an account of the client's own."""

    name: Literal["npa"]
    base_url: Url | None = None
    username: Short | None = None
    password: Annotated[SecretStr, AfterValidator(_whole)] | None = Field(
        default=None, max_length=500, exclude=True
    )
    lead_source: Short | None = None


class WebhookTarget(Part):
    """A signed POST to an address of the client's own."""

    name: Literal["webhook"]
    url: Url | None = None
    secret: SecretStr | None = Field(
        default=None,
        max_length=500,
        exclude=True,
        description="signs (Standard Webhooks): whsec_...",
    )

    @field_validator("secret")
    @classmethod
    def _signs(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and secret.get_secret_value() != SET:
            try:
                key = secret.get_secret_value().removeprefix("whsec_")
                is_long = len(base64.b64decode(key, validate=True)) >= 16
            except binascii.Error:
                is_long = False
            if not is_long:
                raise ValueError("expected whsec_ and base64 of at least 16 bytes")
        return secret


# What is secret of a target, and what decides who gets to read it.
_SECRETS: Mapping[str, tuple[str, str | None]] = {
    "npa": ("password", "base_url"),
    "webhook": ("secret", None),  # is not sent: it signs
}


def _as_holiday(given: object) -> object:
    return {"date": given} if isinstance(given, str) else given


class TenantConfig(Part):
    """Everything a client may set. `tone` is its brand voice, in free words."""

    tone: Words | None = None
    persona: Words | None = None
    greeting: Words | None = None
    text_greeting: Words | None = None
    closing: Words | None = None
    goodbye_phrases: list[Short] | None = Field(default=None, max_length=20)
    texts: dict[Language, Wording | None] | None = Field(default=None, max_length=10)
    locale: Locale | None = None
    holidays: list[Annotated[Holiday, BeforeValidator(_as_holiday)]] | None = Field(
        default=None, max_length=400
    )
    escalation: Escalation | None = None
    thresholds: Thresholds | None = None
    policy: Literal["strict", "best_effort"] | None = None
    minimum: list[Short] | None = Field(default=None, max_length=50)
    follow_up: bool | None = None
    transfer_number: PhoneNumber | None = None
    transfer_screening: bool | None = None
    retention_days: int | None = Field(default=None, ge=1, le=36500)
    target: Annotated[NpaTarget | WebhookTarget, Field(discriminator="name")] | None = None
    profile_toml: _Text | None = Field(
        default=None, max_length=65536, description="a whole profile of the client's own"
    )

    @property
    def closed_on(self) -> frozenset[date]:
        """The days on which nobody is there."""
        return frozenset(holiday.date for holiday in self.holidays or ())


_NOTHING = TenantConfig()


def of(tenant: Tenant) -> TenantConfig:
    """Return what a client has set; nothing when it cannot be read, for a call must be taken."""
    return _read(json.dumps(tenant.config, sort_keys=True)) if tenant.config else _NOTHING


@lru_cache(maxsize=1024)
def _read(text: str) -> TenantConfig:
    try:
        return TenantConfig.model_validate_json(text)
    except ValidationError as exc:
        log.error("a client's configuration cannot be read", fields=_named(exc))
        return _NOTHING


def parse(document: Mapping[str, Any]) -> TenantConfig:
    """Return a configuration as it was sent; raise `Unprocessable` that names what is wrong."""
    try:
        return TenantConfig.model_validate(document)
    except ValidationError as exc:
        raise Unprocessable(_named(exc)) from None


def _named(exc: ValidationError) -> str:
    errors = exc.errors(include_url=False, include_input=False)
    lines = [(error["loc"], error["msg"].removeprefix("Value error, ")) for error in errors]
    return "; ".join(f"{_path(loc)}: {message}" for loc, message in lines)


def _path(loc: Iterable[int | str]) -> str:
    """Return the field's name; the name of a target's kind is no field."""
    parts = [str(part) for part in loc]
    if parts[:1] == ["target"] and len(parts) > 2:
        del parts[1]
    return ".".join(["config", *parts])


def change(tenant: Tenant, given: TenantConfig, seal: Seal, *, only_public: bool) -> None:
    """Take over what is set in `given`, as a JSON merge patch: None removes.

    `only_public`: addresses must be https and none of our own network. Raises `Unprocessable`.
    """
    before = of(tenant).target
    patch = given.model_dump(mode="json", exclude_unset=True)
    stored = dict(tenant.config)
    if given.target is not None and (before is None or before.name != given.target.name):
        stored.pop("target", None)
    stored = _merged(stored, patch)
    after = parse(stored)
    if after.target is not None:
        _check_target(after.target, only_public=only_public)
    if "target" in given.model_fields_set:
        tenant.secrets = _sealed(tenant, given.target, before, after.target, seal)
    tenant.config = after.model_dump(mode="json", exclude_none=True)


def shown(tenant: Tenant) -> dict[str, Any]:
    """Return what a client has set, for its own eyes: of a secret only that it is there."""
    document = of(tenant).model_dump(mode="json", exclude_none=True)
    if "target" in document:
        names = [name.removeprefix(_SEALED) for name in tenant.secrets if name.startswith(_SEALED)]
        document["target"] |= dict.fromkeys(names, SET)
    return document


def secret(tenant: Tenant, name: str, seal: Seal) -> str | None:
    """Return a secret of the client's target, None without one; raise `sealing.Sealed`."""
    token = tenant.secrets.get(f"{_SEALED}{name}")
    return None if token is None else seal.open(token)


def _merged(stored: Any, patch: Any) -> Any:
    """Return `stored` changed by a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(stored) if isinstance(stored, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged


def _check_target(target: NpaTarget | WebhookTarget, *, only_public: bool) -> None:
    field, url = (
        ("base_url", target.base_url) if isinstance(target, NpaTarget) else ("url", target.url)
    )
    if url is None:
        return
    try:
        addresses.checked(url, only_public=only_public)
    except BadRequest as exc:
        why = str(exc).removeprefix("url: ")
        raise Unprocessable(f"config.target.{field}: {why}") from None


def _sealed(
    tenant: Tenant,
    given: NpaTarget | WebhookTarget | None,
    before: NpaTarget | WebhookTarget | None,
    after: NpaTarget | WebhookTarget | None,
    seal: Seal,
) -> dict[str, Any]:
    """Return the client's secrets with those of its target: given now, kept, or gone with it."""
    others = {key: value for key, value in tenant.secrets.items() if not key.startswith(_SEALED)}
    if given is None or after is None:
        return others
    name, reader = _SECRETS[after.name]
    kept = tenant.secrets.get(f"{_SEALED}{name}") if before and before.name == after.name else None
    fresh: SecretStr | None = getattr(given, name)
    if fresh is not None and fresh.get_secret_value() != SET:
        return {**others, f"{_SEALED}{name}": seal.close(fresh.get_secret_value())}
    if kept is None or (name in given.model_fields_set and fresh is None):
        return others
    if reader is not None and getattr(before, reader) != getattr(after, reader):
        # Whoever may change the address must not have our secret sent to it.
        raise Unprocessable(f"config.target.{name}: expected again, with a new {reader}")
    return {**others, f"{_SEALED}{name}": kept}
