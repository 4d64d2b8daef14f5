"""A lead as others get it: `lead_data`, what is missing in it, the target's words for it. Pure."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

import structlog
from pydantic import SecretStr

from ivr.db.tables import FieldValue, Lead, Tenant, utc_now
from ivr.errors import ProfileError
from ivr.leads.fields import Field
from ivr.leads.profile import Profile
from ivr.settings import Settings
from ivr.targets import Handover
from ivr.webhooks import signing

Profiles = Callable[[str], Profile]

log = structlog.get_logger(__name__)


def profile_of(profiles: Profiles, tenant: Tenant, lead: Lead) -> Profile:
    """Return the profile a lead was taken with; the tenant's present one when that is gone."""
    return profile_named(profiles, tenant, lead.profile)


def profile_named(profiles: Profiles, tenant: Tenant, key: str) -> Profile:
    """Return the profile with which the tenant's leads were taken under this key, as above."""
    profile = profiles(tenant.profile)
    if profile.key == key:
        return profile
    try:
        return profiles(key)
    except ProfileError:
        log.warning("profile gone", profile=key, tenant=tenant.slug)
        return profile


def lead_data(profile: Profile, values: Mapping[str, FieldValue]) -> dict[str, str | None]:
    """Return every field of the profile with its value, None for one that nobody knows."""
    return {
        item.key: values[item.key].value if item.key in values else None for item in profile.fields
    }


def missing(profile: Profile, known: Collection[str]) -> tuple[Field, ...]:
    """Return the required fields without a value."""
    return tuple(item for item in profile.required if item.key not in known)


def held_because(profile: Profile, known: Collection[str]) -> str | None:
    """Return why the tenant's policy keeps this lead back, in an operator's words, or None."""
    if profile.policy == "strict":
        lacking = missing(profile, known)
    else:
        lacking = tuple(profile.field(key) for key in profile.minimum if key not in known)
    if not lacking:
        return None
    return f"not submitted: no {' and no '.join(item.label for item in lacking)} is known"


def handover(profile: Profile, data: Mapping[str, str | None], *, reference: str) -> Handover:
    """Return `lead_data` in the words of the profile's target."""
    words = {word: data.get(key) for word, key in profile.target_fields.items()}
    return Handover(
        fields={word: value for word, value in words.items() if value is not None},
        reference=reference,
        notes=_notes(profile, data),
    )


def target_configs(settings: Settings) -> dict[str, Mapping[str, Any]]:
    """Return what each target needs of the settings; the target names what is not set, a None."""
    password = settings.npa_api_password
    return {
        "npa": {
            "base_url": settings.npa_api_base_url,
            "username": settings.npa_api_username,
            "password": password.get_secret_value() if password else None,
            "lead_source": settings.npa_lead_source,
            "timeout_seconds": settings.npa_timeout_seconds,
        },
        "webhook": {
            "url": str(settings.target_webhook_url) if settings.target_webhook_url else None,
            "sign": _signer(settings.target_webhook_secret),
            "timeout_seconds": settings.target_webhook_timeout_seconds,
        },
    }


def _signer(secret: SecretStr | None) -> Callable[[str, bytes], dict[str, str]] | None:
    """Return what signs a message, by its id and body; None without a secret."""
    if secret is None:
        return None
    keys = [secret.get_secret_value()]
    return lambda message_id, body: signing.headers(
        keys, message_id=message_id, body=body, now=utc_now()
    )


def fingerprint(handover: Handover) -> str:
    """Return a hash by which two requests can be told to be the same; it holds no credentials."""
    parts = [dict(handover.fields), handover.reference, handover.notes]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _notes(profile: Profile, data: Mapping[str, str | None]) -> str:
    """Return what the target has no word for, and what is missing."""
    wordless = [item for item in profile.fields if item.key not in profile.target_fields.values()]
    lines = [f"{item.label}: {data[item.key]}" for item in wordless if data.get(item.key)]
    known = {key for key, value in data.items() if value is not None}
    lacking = [item.label for item in missing(profile, known)]
    if lacking:
        lines.append(f"Call ended before: {', '.join(lacking)}")
    return "\n".join(lines)
