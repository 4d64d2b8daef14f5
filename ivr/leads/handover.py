"""A lead as others get it: the owner's `lead_data`, what is missing in it, and the target's words
for it. Pure.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping

from ivr.db.tables import FieldValue, Lead, Tenant
from ivr.leads.fields import Field
from ivr.leads.profile import Profile
from ivr.targets import Handover

Profiles = Callable[[str], Profile]


def profile_of(profiles: Profiles, tenant: Tenant, lead: Lead) -> Profile:
    """Return the profile a lead was taken with: the tenant's, unless the tenant has changed it
    since.
    """
    profile = profiles(tenant.profile)
    return profile if profile.key == lead.profile else profiles(lead.profile)


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


def fingerprint(handover: Handover) -> str:
    """Return a hash by which two requests can be told to be the same; it holds no credentials."""
    parts = [dict(handover.fields), handover.reference, handover.notes]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _notes(profile: Profile, data: Mapping[str, str | None]) -> str:
    known = {key for key, value in data.items() if value is not None}
    lacking = [item.label for item in missing(profile, known)]
    return f"Call ended before: {', '.join(lacking)}" if lacking else ""
