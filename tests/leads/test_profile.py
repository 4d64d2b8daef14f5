"""Loading profiles: what ships, and what a bad file is told."""

import re

import pytest

from ivr.errors import ProfileError
from ivr.leads.profile import load_profile, parse_profile, shipped_profiles

GOOD = """
key = "bikes"
name = "Bikes"
language = "en-US"
greeting = "Hello, this is the assistant."
closing = "Thank you, goodbye."
goodbye_phrases = ["goodbye"]
persona = "You answer."
rules = ["Be kind."]
stages = ["NEW", "DONE"]
policy = "best_effort"
minimum = ["phone"]

[target]
name = "npa"

[target.fields]
phone = "phone"

[[fields]]
key = "phone"
type = "us_phone"
label = "phone"
ask = "Your number?"
stage = "DONE"
pii = "phone"

[[fields]]
key = "zip"
type = "us_zip"
label = "ZIP"
ask = "Your ZIP?"
required = false
options = { refuse_states = ["AK"] }
"""


def test_powersports_ships_and_asks_in_the_owners_order():
    profile = load_profile("powersports")
    assert [field.key for field in profile.required] == [
        "full_name",
        "zip_code",
        "phone",
        "vehicle_year",
        "vehicle_make",
        "vehicle_model",
    ]
    assert profile.greeting.startswith("Thank you for calling Power Sport Buyers")
    assert "AI assistant" in profile.greeting
    assert profile.minimum == ("phone",)
    assert profile.policy == "best_effort"
    assert profile.target == "npa"
    assert profile.target_fields["make"] == "vehicle_make"
    assert profile.field("zip_code").options == {"refuse_states": ["AK", "HI"]}
    assert {field.key for field in profile.fields if field.confirm} == {"zip_code", "phone"}
    assert profile.phone_field == profile.field("phone")


def test_every_shipped_profile_loads_under_its_own_key():
    assert "powersports" in shipped_profiles()
    for key in shipped_profiles():
        assert load_profile(key).key == key


def test_a_profile_is_loaded_from_a_path(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD, encoding="utf-8")
    profile = load_profile(path)
    assert profile == load_profile(str(path))
    assert [field.key for field in profile.required] == ["phone"]
    assert profile.transfer_number is None


def test_an_unknown_field_is_named_with_the_known_ones():
    with pytest.raises(ProfileError, match=r"no field 'fax'; it has phone, zip"):
        parse_profile(GOOD, source="x").field("fax")


def test_an_unknown_profile_is_named_with_the_known_ones():
    with pytest.raises(ProfileError, match=r"no profile 'nope'.*powersports"):
        load_profile("nope")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ProfileError, match=r"gone\.toml: cannot be read"):
        load_profile(tmp_path / "gone.toml")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('key = "bikes"', "key = ", "not valid TOML"),
        ('key = "bikes"', "", "key: is missing or empty"),
        ('name = "Bikes"', "name = 3", "name: is missing or empty; text is needed"),
        ('rules = ["Be kind."]', 'rules = "x"', "rules: must be a list of texts"),
        ('rules = ["Be kind."]', "colour = 1", "colour: unknown key; known are"),
        ('policy = "best_effort"', 'policy = "lax"', "policy: unknown 'lax'; known are strict"),
        ('minimum = ["phone"]', 'minimum = ["fax"]', "minimum: unknown field 'fax'; known are"),
        ('"NEW", "DONE"', '"NEW", "NEW", "DONE"', "stages: 'NEW' stands there twice"),
        ('stage = "DONE"', 'stage = "GONE"', "fields.phone.stage: unknown stage 'GONE'"),
        ('type = "us_phone"', 'type = "fax"', "fields.phone.type: unknown type 'fax'; known are"),
        ('ask = "Your number?"', "", "fields.phone.ask: is missing or empty"),
        ('label = "ZIP"', 'label = ""', "fields.zip.label: is missing or empty"),
        ('key = "zip"', 'key = "phone"', "fields: 'phone' stands there twice"),
        ('key = "zip"', 'key = "Zip-Code"', "must be lower case letters, digits and _"),
        ('pii = "phone"', 'pii = "high"', "fields.phone.pii: unknown 'high'; known are none"),
        ("required = false", 'required = "no"', "fields.zip.required: must be true or false"),
        ("required = false", "colour = 1", "fields.zip.colour: unknown key"),
        ("required = false", 'choices = ["a"]', "fields.zip.choices: belong to type choice"),
        ("required = false", 'ask_caller = "x"', "ask_caller: belongs to type us_phone only"),
        ('pii = "phone"', 'ask_caller = "This one?"', "ask_caller: must contain {number}"),
        ("refuse_states", "refuse", "fields.zip.options.refuse: unknown option of type us_zip"),
        ('["AK"]', '"AK"', "fields.zip.options.refuse_states: must be a list"),
        ('["AK"]', '["Alaska"]', "fields.zip.options: refuse_states: 'Alaska' is not a state"),
        ('phone = "phone"', 'phone = "fax"', "target.fields.phone: unknown field 'fax'"),
        ('phone = "phone"', "phone = 3", "target.fields.phone: must be text"),
        ('name = "npa"', "", "target.name: is missing or empty"),
        ("[[fields]]", "[[felds]]", "unknown key"),
        ('"Thank you, goodbye."', '"Thank you."', "closing: must contain one of goodbye_phrases"),
        ('"Your ZIP?"', '"Goodbye ZIP?"', "fields.zip.ask: contains a goodbye phrase"),
        ('"Hello, this', '"Goodbye, this', "greeting: contains a goodbye phrase"),
        ('language = "en-US"', 'language = "en"\ntransfer_number = "770"', "transfer_number: must"),
    ],
)
def test_a_bad_profile_is_refused_with_file_key_and_reason(old, new, complaint):
    assert old in GOOD
    with pytest.raises(ProfileError, match=rf"^mine\.toml: .*{re.escape(complaint)}"):
        parse_profile(GOOD.replace(old, new), source="mine.toml")


def test_a_profile_without_fields_is_refused():
    text = GOOD.split("[[fields]]")[0]
    with pytest.raises(ProfileError, match=r"mine\.toml: fields: at least one"):
        parse_profile(text, source="mine.toml")


def test_a_choice_needs_choices():
    text = GOOD.replace('type = "us_zip"', 'type = "choice"').replace(
        'options = { refuse_states = ["AK"] }', ""
    )
    with pytest.raises(ProfileError, match=r"fields\.zip\.choices"):
        parse_profile(text, source="mine.toml")
