"""The profile of a tenant: the one it has chosen, with what its own configuration changes in it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from ivr.db.tables import Tenant
from ivr.errors import ProfileError, Unprocessable
from ivr.leads.field_types.amounts import CURRENCIES
from ivr.leads.profile import Profile, Wording, parse_profile, shipped_profiles
from ivr.leads.profile.reader import KEY, Reader
from ivr.leads.profile.shape import Closed, Escalation
from ivr.tenants import DEFAULT, config, hours
from ivr.tenants.config import TenantConfig

Profiles = Callable[[str], Profile]

_OWN = "config.profile_toml"
_WORDS = ("greeting", "text_greeting", "closing", "persona")
_RULES = (
    "keywords",
    "high_value",
    "currency",
    "most_exchanges",
    "min_confidence",
    "staff_phone",
    "due_minutes",
)

log = structlog.get_logger(__name__)


def own(profiles: Profiles, tenant: Tenant) -> Profile:
    """Return the profile with which a tenant's new leads are taken; raises `ProfileError`."""
    text = config.of(tenant).profile_toml
    if text is not None:
        try:
            return dressed(_parsed(text), tenant)
        except ProfileError as exc:  # it was checked when it was set; calls are taken all the same
            log.error("a client's own profile cannot be read", tenant=tenant.slug, problem=str(exc))
    return dressed(profiles(tenant.profile), tenant)


@lru_cache(maxsize=256)
def _parsed(text: str) -> Profile:
    return parse_profile(text, source=_OWN)


def now_open(profile: Profile, tenant: Tenant, now: datetime) -> Profile:
    """Return the profile as it is at that moment: nobody is put through to an empty office."""
    opens = hours.next_opening(tenant, now)
    if opens == now:
        return profile
    zone = ZoneInfo(tenant.timezone)
    closed = Closed(now.astimezone(zone).date(), opens.astimezone(zone) if opens else None)
    return replace(profile, transfer_number=None, closed=closed)


def dressed(profile: Profile, tenant: Tenant) -> Profile:
    """Return any profile with a tenant's name, words, rules and target."""
    given = config.of(tenant)
    if tenant.slug == DEFAULT and not tenant.config:
        return profile
    profile = _in_words(_in_locale(_in_name(profile, tenant), given.locale), given)
    known = [key for key in given.minimum or () if any(it.key == key for it in profile.fields)]
    changed: dict[str, Any] = {
        "policy": given.policy,
        "minimum": None if given.minimum is None else tuple(known),
        "follow_up": given.follow_up,
        "transfer_number": given.transfer_number,
        "transfer_screening": given.transfer_screening,
        "escalation": _escalation(profile.escalation, given.escalation),
        **_target(profile, given),
    }
    return replace(profile, **{key: it for key, it in changed.items() if it is not None})


def check(profiles: Profiles, tenant: Tenant) -> Profile:
    """Return the tenant's profile; raise `Unprocessable` for what does not go together."""
    given = config.of(tenant)
    if tenant.slug != DEFAULT and tenant.profile not in shipped_profiles():
        known = ", ".join(shipped_profiles())
        raise Unprocessable(f"profile: there is no {tenant.profile!r}; known are {known}")
    try:
        base = _parsed(given.profile_toml) if given.profile_toml else profiles(tenant.profile)
    except ProfileError as exc:
        raise Unprocessable(str(exc)) from exc
    for problem in _problems(base, given):
        raise Unprocessable(problem)
    profile = dressed(base, tenant)
    try:
        Reader("config").check(profile)
    except ProfileError as exc:
        raise Unprocessable(str(exc)) from exc
    return profile


def _problems(base: Profile, given: TenantConfig) -> list[str]:
    problems = []
    if given.profile_toml and not KEY.fullmatch(base.key):  # leads keep it; it must name no file
        problems.append(f"{_OWN}: key: must be lower case letters, digits and _")
    if given.locale and given.locale.partition("-")[0] not in base.languages:
        known = ", ".join(base.languages)
        problems.append(f"config.locale: profile {base.key} has words in {known} only")
    keys = [field.key for field in base.fields]
    for key in given.minimum or ():
        if key not in keys:
            problems.append(f"config.minimum: unknown field {key!r}; known are {', '.join(keys)}")
    currency = given.escalation.currency if given.escalation else None
    if currency and currency not in CURRENCIES:
        known = ", ".join(CURRENCIES)
        problems.append(f"config.escalation.currency: unknown {currency!r}; known are {known}")
    if given.target and given.target.name == "npa" and base.target != "npa":
        problems.append(f"config.target.name: profile {base.key} has no words for npa")
    return problems


def _in_name(profile: Profile, tenant: Tenant) -> Profile:
    """Have the profile speak for this business; `default` is the one for which it was written."""
    if tenant.slug == DEFAULT or not tenant.name or config.of(tenant).profile_toml:
        return profile
    texts = {name: getattr(profile, name).replace(profile.name, tenant.name) for name in _WORDS}
    rules = tuple(rule.replace(profile.name, tenant.name) for rule in profile.rules)
    return replace(profile, name=tenant.name, rules=rules, **texts)


def _in_locale(profile: Profile, locale: str | None) -> Profile:
    """Have the profile speak another of its languages first; its own stays one of them."""
    if locale is None:
        return profile
    language = locale.partition("-")[0]
    first = profile.languages[0]
    if language == first or language not in profile.languages:
        return replace(profile, language=locale) if language == first else profile
    others = {key: it for key, it in profile.texts.items() if key != language}
    texts = {first: _wording(profile), **others}
    return replace(profile.in_language(language), language=locale, texts=texts)


def _wording(profile: Profile) -> Wording:
    """Return the words of a profile in its own language, for when it speaks another one first."""
    return Wording(
        greeting=profile.greeting,
        text_greeting=profile.text_greeting,
        closing=profile.closing,
        goodbye_phrases=profile.goodbye_phrases,
        fields={
            field.key: {"ask": field.ask, "label": field.label, "help": field.help}
            for field in profile.fields
        },
    )


def _in_words(profile: Profile, given: TenantConfig) -> Profile:
    """Return the profile with the words that the business has set."""
    greeting = given.greeting or profile.greeting
    persona = given.persona or profile.persona
    tone = f"\nYour tone and brand voice: {given.tone}" if given.tone else ""
    written = given.text_greeting or given.greeting
    return replace(
        profile,
        greeting=greeting,
        text_greeting=written or profile.text_greeting,
        closing=given.closing or profile.closing,
        persona=f"{persona.rstrip()}{tone}",
        goodbye_phrases=(*(given.goodbye_phrases or ()), *profile.goodbye_phrases),
        texts=_texts(profile.texts, given.texts or {}),
    )


def _texts(
    words: Mapping[str, Wording], given: Mapping[str, config.Wording | None]
) -> Mapping[str, Wording]:
    changed = dict(words)
    for language, said in given.items():
        if said is None:
            continue
        before = words.get(language, Wording())
        changed[language] = replace(
            before,
            greeting=said.greeting or before.greeting,
            text_greeting=said.text_greeting or said.greeting or before.text_greeting,
            closing=said.closing or before.closing,
            goodbye_phrases=(*(said.goodbye_phrases or ()), *before.goodbye_phrases),
        )
    return changed


def _escalation(before: Escalation, given: config.Escalation | None) -> Escalation | None:
    if given is None:
        return None
    changed = {name: getattr(given, name) for name in _RULES}
    if given.keywords is not None:
        changed["keywords"] = tuple(given.keywords)
    if given.high_value is not None:  # a new amount is not in the currency of the old one
        before = replace(before, currency=given.currency)
    return replace(before, **{key: value for key, value in changed.items() if value is not None})


def _target(profile: Profile, given: TenantConfig) -> dict[str, Any]:
    """Return where its leads go; a webhook gets a profile's fields by their own names."""
    if given.target is None or given.target.name == profile.target:
        return {}
    mapping = {field.key: field.key for field in profile.fields}
    return {"target": given.target.name, "target_fields": mapping}
