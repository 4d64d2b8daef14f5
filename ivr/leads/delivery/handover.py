"""A lead as others get it: `lead_data`, what is missing in it, the target's words for it. Pure."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping

import structlog

from ivr.db.tables import FieldValue, Lead, Tenant
from ivr.errors import ProfileError
from ivr.leads.fields import Field
from ivr.leads.profile import Profile
from ivr.leads.profile.tenant_profile import dressed, own
from ivr.targets import Handover

Profiles = Callable[[str], Profile]
OK_TO_TEXT = "okToText"  # a target's word for what a STOP takes back
NO_TEXTS = "Do not text: they refused messages"

log = structlog.get_logger(__name__)


def profile_of(profiles: Profiles, tenant: Tenant, lead: Lead) -> Profile:
    """Return the profile a lead was taken with; the tenant's present one when that is gone."""
    return profile_named(profiles, tenant, lead.profile)


def profile_named(profiles: Profiles, tenant: Tenant, key: str) -> Profile:
    """Return the profile with which the tenant's leads were taken under this key, as above."""
    profile = own(profiles, tenant)
    if profile.key == key:
        return profile
    try:
        return dressed(profiles(key), tenant)
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


def handover(
    profile: Profile,
    data: Mapping[str, str | None],
    *,
    reference: str,
    refused_texts: bool = False,
) -> Handover:
    """Return `lead_data` in the words of the profile's target; a refusal counts more than a yes."""
    words = {word: data.get(key) for word, key in profile.target_fields.items()}
    if refused_texts and OK_TO_TEXT in words:
        words[OK_TO_TEXT] = "no"
    return Handover(
        fields={word: value for word, value in words.items() if value is not None},
        reference=reference,
        notes=_notes(profile, data, refused_texts=refused_texts),
    )


def fingerprint(handover: Handover) -> str:
    """Return a hash by which two requests can be told to be the same; it holds no credentials."""
    parts = [dict(handover.fields), handover.reference, handover.notes]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _notes(profile: Profile, data: Mapping[str, str | None], *, refused_texts: bool) -> str:
    """Return what the target has no word for, what is missing, and that they refused texts."""
    wordless = [item for item in profile.fields if item.key not in profile.target_fields.values()]
    lines = [f"{item.label}: {data[item.key]}" for item in wordless if data.get(item.key)]
    known = {key for key, value in data.items() if value is not None}
    lacking = [item.label for item in missing(profile, known)]
    if lacking:
        lines.append(f"Call ended before: {', '.join(lacking)}")
    if refused_texts:
        lines.append(NO_TEXTS)
    return "\n".join(lines)
