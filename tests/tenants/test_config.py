"""What a client sets for itself: merged, checked, sealed, and in effect in its profile."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ivr.agent.escalation import trigger, value_currency
from ivr.agent.instructions import voice_instructions
from ivr.agent.text_instructions import Situation, text_instructions
from ivr.db.tables import Tenant, Trigger
from ivr.errors import Unprocessable
from ivr.leads.attention import staff
from ivr.leads.profile import Profile, load_profile, tenant_profile
from ivr.sealing import Seal
from ivr.tenants import config
from tests.leads.cast import settings_for

SEAL = Seal(b"a-secret-key-of-more-than-32-characters")
SECRET = "whsec_dGhpcnR5LXR3byBieXRlcyBvZiBubyBzZWNyZXQ="
OWN_PROFILE = """
key = "bikes"
name = "Bike Barn"
language = "en-GB"
greeting = "Bike Barn, hello. I am an AI assistant."
closing = "Thank you, goodbye!"
goodbye_phrases = ["goodbye"]
persona = "You answer the phone of a bicycle shop."
rules = []
stages = ["NEW", "NAMED"]
policy = "strict"
minimum = []
[target]
name = "webhook"
[[fields]]
key = "name"
type = "person_name"
label = "name"
ask = "Who is calling?"
stage = "NAMED"
"""


def client(profile: str = "real_estate", **given: Any) -> Tenant:
    """A client with this configuration."""
    tenant = Tenant(
        slug="test-realty",
        name="Test Realty",
        profile=profile,
        timezone="Asia/Riyadh",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    set_(tenant, **given)
    return tenant


def set_(tenant: Tenant, *, only_public: bool = False, **given: Any) -> None:
    config.change(tenant, config.parse(given), SEAL, only_public=only_public)


def profile_of(tenant: Tenant) -> Profile:
    return tenant_profile.check(load_profile, tenant)


def test_a_client_speaks_under_its_own_name() -> None:
    profile = profile_of(client())
    assert "Test Realty" in profile.greeting and "Home Advisers" not in profile.greeting
    assert profile.name == "Test Realty" and "Test Realty" in profile.text_greeting


def test_the_first_tenant_without_a_configuration_has_the_profile_as_it_is() -> None:
    default = client()
    default.slug = "default"
    assert profile_of(default) == load_profile("real_estate")


def test_tone_and_persona_are_in_what_both_models_are_told() -> None:
    tenant = client(tone="Formal, never jokes, says 'certainly'.", persona="You greet for a bank.")
    profile = profile_of(tenant)
    today = datetime(2026, 11, 23, tzinfo=UTC).date()
    voice = voice_instructions(profile, caller_number=None, known={}, today=today)
    situation = Situation(channel="sms", known={}, today=today, is_first=True)
    for told in (voice, text_instructions(profile, situation)):
        assert "Formal, never jokes, says 'certainly'." in told
        assert "You greet for a bank." in told


def test_greetings_closing_and_goodbyes_are_the_client_s_own() -> None:
    profile = profile_of(
        client(
            greeting="Realty, good day!",
            closing="So long, farewell!",
            goodbye_phrases=["so long"],
            texts={"ar": {"greeting": "أهلًا بكم"}},
        )
    )
    assert profile.greeting == profile.text_greeting == "Realty, good day!"
    assert profile.closing == "So long, farewell!"
    assert profile.in_language("ar").greeting == "أهلًا بكم"


def test_a_locale_has_the_profile_speak_another_of_its_languages_first() -> None:
    homes = load_profile("real_estate")
    profile = profile_of(client(locale="ar-SA"))
    assert (profile.language, profile.languages) == ("ar-SA", ("ar", "en"))
    assert profile.field("name").ask == homes.in_language("ar").field("name").ask
    assert profile.in_language("en").field("name").ask == homes.field("name").ask
    assert "Test Realty" in profile.in_language("en").greeting
    assert profile_of(client(locale="en-GB")).language == "en-GB"


def test_rules_of_the_client_replace_those_of_the_profile_one_by_one() -> None:
    homes = load_profile("real_estate").escalation
    tenant = client(
        policy="strict",
        minimum=["email"],
        follow_up=False,
        transfer_number="+966112345678",
        transfer_screening=False,
        escalation={"keywords": ["refund"], "due_minutes": 5, "staff_phone": "+966501234567"},
    )
    profile = profile_of(tenant)
    assert (profile.policy, profile.minimum, profile.follow_up) == ("strict", ("email",), False)
    assert (profile.transfer_number, profile.transfer_screening) == ("+966112345678", False)
    assert profile.escalation.keywords == ("refund",)
    assert profile.escalation.high_value == homes.high_value
    on_duty = staff.on_duty(tenant, profile, settings_for("sqlite:///no.db"))
    assert (on_duty.phone, on_duty.due.total_seconds()) == ("+966501234567", 300)


@pytest.mark.parametrize(
    ("given", "currency", "worth", "is_high"),
    [
        ({}, "SAR", 5_000_000_00, False),
        ({}, "SAR", 5_000_000_01, True),
        ({"high_value": 1000, "currency": "KWD"}, "KWD", 1000_000, False),
        ({"high_value": 1000, "currency": "KWD"}, "KWD", 1000_001, True),
        ({"high_value": 1000}, "SAR", 1000_01, True),
    ],
)
def test_high_value_counts_in_the_minor_units_of_its_currency(
    given: dict[str, Any], currency: str, worth: int, is_high: bool
) -> None:
    profile = profile_of(client(escalation=given))
    assert value_currency(profile) == currency
    found = trigger(profile, text="a villa", exchanges=1, confidence=None, value=worth)
    assert (found is not None and found[0] is Trigger.HIGH_VALUE) is is_high


def test_a_webhook_gets_any_profile_s_fields_by_their_names() -> None:
    profile = profile_of(
        client("powersports", target={"name": "webhook", "url": "https://crm.example/leads"})
    )
    assert profile.target == "webhook"
    assert profile.target_fields["vehicle_make"] == "vehicle_make"


def test_a_client_may_bring_a_whole_profile_of_its_own() -> None:
    profile = profile_of(client(profile_toml=OWN_PROFILE, tone="Cheerful."))
    assert profile.key == "bikes" and profile.greeting.startswith("Bike Barn")
    assert "Cheerful." in profile.persona


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ton": "warm"}, "config.ton: "),
        ({"tone": ""}, "config.tone: "),
        ({"tone": "x" * 2001}, "config.tone: "),
        ({"locale": "english"}, "config.locale: "),
        ({"escalation": {"high_value": 0}}, "config.escalation.high_value: "),
        ({"escalation": {"staff_phone": "055"}}, "config.escalation.staff_phone: "),
        ({"escalation": {"loud": True}}, "config.escalation.loud: "),
        ({"thresholds": {"hot": 101}}, "config.thresholds.hot: "),
        ({"policy": "loose"}, "config.policy: "),
        ({"holidays": ["2026-13-01"]}, "config.holidays.0.date: "),
        ({"transfer_number": "tel:911"}, "config.transfer_number: "),
        ({"transfer_number": "+9665٠٠٠٠٠٠٠٠"}, "config.transfer_number: "),
        ({"target": {"name": "fax"}}, "config.target: "),
        ({"target": {"name": "npa", "url": "https://x.example"}}, "config.target.url: "),
        ({"target": {"name": "webhook", "url": "ftp://x.example"}}, "config.target.url: "),
        ({"target": {"name": "webhook", "secret": "short"}}, "config.target.secret: "),
        ({"target": {"name": "npa", "password": "half \ud83d"}}, "config.target.password: "),
        ({"profile_toml": "x" * 65537}, "config.profile_toml: "),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_what_cannot_be_is_refused_by_its_name(given: dict[str, Any], words: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        client(**given)
    assert str(refused.value).startswith(words)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"locale": "fr-FR"}, "config.locale: profile real_estate has words in en, ar only"),
        ({"minimum": ["shoe_size"]}, "config.minimum: unknown field 'shoe_size'"),
        ({"escalation": {"high_value": 9, "currency": "XXX"}}, "config.escalation.currency: "),
        ({"target": {"name": "npa"}}, "config.target.name: profile real_estate has no words"),
        ({"closing": "That is all."}, "config: closing: must contain one of goodbye_phrases"),
        ({"greeting": "Goodbye sadness!"}, "config: greeting: contains a goodbye phrase"),
        ({"profile_toml": "key = 1"}, "config.profile_toml: "),
        ({"profile_toml": "= no toml"}, "config.profile_toml: not valid TOML"),
        ({"profile_toml": "a = " + "[" * 30_000}, "config.profile_toml: not valid TOML: nested"),
        ({"profile_toml": "a = " + "1" * 5000}, "config.profile_toml: not valid TOML"),
        ({"profile_toml": r'name = "\u0000"'}, "config.profile_toml: has the character U+0000"),
        (
            {"profile_toml": OWN_PROFILE.replace('"bikes"', '"../bikes.toml"')},
            "config.profile_toml: key: must be lower case letters",
        ),
        (
            {"profile_toml": f"lost_after_days = 1_000_000\n{OWN_PROFILE}"},
            "config.profile_toml: lost_after_days: must be 0 (never) or more, up to",
        ),
    ],
    ids=lambda it: it[:60] if isinstance(it, str) else "",
)
def test_what_does_not_go_with_the_profile_is_refused_in_words(
    given: dict[str, Any], words: str
) -> None:
    with pytest.raises(Unprocessable) as refused:
        profile_of(client(**given))
    assert str(refused.value).startswith(words)


@pytest.mark.parametrize("profile", ["nope", "./secret.toml", "/etc/passwd"])
def test_a_client_chooses_among_the_shipped_profiles_and_names_no_file(profile: str) -> None:
    with pytest.raises(Unprocessable, match=r"^profile: there is no"):
        profile_of(client(profile))


def test_what_is_not_sent_stays_and_null_removes() -> None:
    tenant = client(tone="Warm.", escalation={"most_exchanges": 9, "high_value": 10})
    set_(tenant, escalation={"high_value": None}, policy="strict")
    set_(tenant, tone=None)
    assert tenant.config == {"escalation": {"most_exchanges": 9}, "policy": "strict"}


def test_the_words_of_one_language_are_removed_by_null() -> None:
    tenant = client(
        texts={"ar": {"greeting": "أهلًا", "closing": "مع السلامة"}, "es": {"greeting": "Hola"}}
    )
    set_(tenant, texts={"ar": {"closing": None}, "es": None, "fr": None})
    assert tenant.config == {"texts": {"ar": {"greeting": "أهلًا"}}}
    assert "es" not in profile_of(tenant).texts
    set_(tenant, texts={"ar": None})
    assert profile_of(tenant).texts == profile_of(client()).texts


def test_secrets_are_sealed_and_never_shown_again() -> None:
    account = {"name": "npa", "base_url": "https://npa.example", "username": "me"}
    tenant = client("powersports", target={**account, "password": "hunter2"})
    assert "hunter2" not in f"{tenant.config} {tenant.secrets} {config.shown(tenant)}"
    assert config.shown(tenant)["target"] == {**account, "password": "set"}
    assert config.secret(tenant, "password", SEAL) == "hunter2"
    set_(tenant, target=config.shown(tenant)["target"])
    set_(tenant, target={"name": "npa", "lead_source": "WEB"})
    assert config.secret(tenant, "password", SEAL) == "hunter2"
    assert config.shown(tenant)["target"]["base_url"] == "https://npa.example"


def test_a_secret_is_not_sent_to_an_address_set_later() -> None:
    account = {"name": "npa", "base_url": "https://npa.example", "password": "hunter2"}
    tenant = client("powersports", target=account)
    with pytest.raises(Unprocessable, match="config.target.password: expected again"):
        set_(tenant, target={"name": "npa", "base_url": "https://thief.example"})
    assert config.shown(tenant)["target"]["base_url"] == "https://npa.example"
    set_(tenant, target={"name": "npa", "base_url": "https://new.example", "password": "fresh"})
    assert config.secret(tenant, "password", SEAL) == "fresh"


def test_another_target_or_none_takes_its_secrets_along() -> None:
    tenant = client("powersports", target={"name": "npa", "password": "hunter2"})
    set_(tenant, target={"name": "webhook", "url": "https://crm.example", "secret": SECRET})
    assert list(tenant.secrets) == ["target.secret"]
    set_(tenant, target={"name": "webhook", "secret": None})
    assert tenant.secrets == {}
    set_(tenant, target=None)
    assert (tenant.config, tenant.secrets) == ({}, {})


@pytest.mark.parametrize(
    "url",
    ["http://crm.example", "https://127.0.0.1/x", "https://localhost", "https://[::ffff:10.0.0.1]"],
)
def test_in_production_an_address_is_public_and_encrypted(url: str) -> None:
    for target in ({"name": "webhook", "url": url}, {"name": "npa", "base_url": url}):
        with pytest.raises(Unprocessable, match=r"^config\.target\.(base_)?url: "):
            set_(client("powersports"), only_public=True, target=target)


def test_a_configuration_that_cannot_be_read_does_not_stop_a_call() -> None:
    broken = client()
    broken.config = {"tone": 7, "profile_toml": "no"}
    assert config.of(broken) == config.TenantConfig()
    damaged = client()
    damaged.config = {"profile_toml": "no"}
    assert tenant_profile.own(load_profile, damaged).key == "real_estate"
