"""Loading profiles: what ships, and what a bad file is told."""

import re

import pytest

from ivr.errors import ProfileError
from ivr.leads.profile import (
    Demo,
    Escalation,
    Profile,
    load_profile,
    parse_profile,
    shipped_profiles,
)

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
TOP = 'rules = ["Be kind."]'


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
        ("required = false", 'ask_caller = "x"', "ask_caller: belongs to types us_phone and phone"),
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
        (TOP, 'won_stages = ["GONE"]', "won_stages: unknown stage 'GONE'; known are NEW, DONE"),
        (TOP, 'lost_stages = "DONE"', "lost_stages: must be a list of texts"),
        (TOP, 'won_stages = ["DONE"]\nlost_stages = ["DONE"]', "lost_stages: 'DONE' is in won_"),
        (
            TOP,
            'tools = ["hack"]',
            "tools: unknown tool 'hack'; known are append_lead_to_rag_sheets",
        ),
        (TOP, 'follow_up = "yes"', "follow_up: must be true or false"),
        (TOP, "reopen_lost = 1", "reopen_lost: must be true or false"),
        (TOP, "lost_after_days = -1", "lost_after_days: must be 0 (never) or more"),
        (TOP, "nurture_after_hours = true", "nurture_after_hours: must be a whole number"),
        (TOP, "text_greeting = 3", "text_greeting: is missing or empty; text is needed"),
        (TOP, 'text_greeting = "Goodbye!"', "text_greeting: contains a goodbye phrase"),
        ("[target]", "escalation = 3\n[target]", "escalation: must be a table"),
        ("[target]", "[escalation]\nword = 1\n[target]", "escalation.word: unknown key"),
        ("[target]", "[escalation]\nkeywords = 1\n[target]", "escalation.keywords: must be a list"),
        (
            "[target]",
            "[escalation]\nmin_confidence = 2\n[target]",
            "min_confidence: must be from 0",
        ),
        (
            "[target]",
            "[escalation]\nmost_exchanges = 0\n[target]",
            "most_exchanges: must be at least",
        ),
        (
            "[target]",
            "[escalation]\nhigh_value = 0.5\n[target]",
            "high_value: must be a whole number",
        ),
        (
            "[target]",
            '[escalation]\nstaff_phone = "1"\n[target]',
            "staff_phone: must be like +1770",
        ),
        ("[target]", '[demo]\nurl = "https://a.b"\n[target]', "demo.text: is missing or empty"),
        (
            "[target]",
            '[demo]\ntext = "x"\nurl = "a.b"\n[target]',
            "demo.url: must begin with https",
        ),
        ("[target]", "[texts]\narabic = {}\n[target]", "texts.arabic: must be a language code"),
        ("[target]", "[texts.ar]\ncolour = 1\n[target]", "texts.ar.colour: unknown key; known are"),
        ("[target]", "[texts.ar.fields.fax]\n[target]", "texts.ar.fields: unknown field 'fax'"),
        (
            "[target]",
            "[texts.ar.fields.zip]\nask = 1\n[target]",
            "texts.ar.fields.zip.ask: is missing",
        ),
        (
            "[target]",
            '[texts.ar]\nclosing = "x"\n[target]',
            "texts.ar.closing: must contain one of",
        ),
        ('ask = "Your ZIP?"', 'ask = "?"\nasked = "no"', "fields.zip.asked: must be true or false"),
        (
            "required = false",
            "required = true\nasked = false",
            "fields.zip.required: what nobody asks for cannot be required",
        ),
        (
            'type = "us_zip"',
            'type = "flag"\nasked = true',
            "fields.zip.asked: a flag is never asked",
        ),
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


def extended(top: str = "", tables: str = "", field: str = "") -> Profile:
    text = GOOD.replace(TOP, f"{TOP}\n{top}").replace("[target]", f"{tables}\n[target]", 1)
    return parse_profile(f"{text}\n{field}", source="mine.toml")


def test_what_a_profile_leaves_out_has_a_usual_value():
    profile = extended()
    assert (profile.won_stages, profile.lost_stages, profile.tools) == ((), (), ())
    assert profile.escalation == Escalation() and profile.demo is None
    assert (profile.follow_up, profile.reopen_lost) == (False, True)
    assert (profile.lost_after_days, profile.nurture_after_hours) == (None, None)
    assert profile.languages == ("en",) and profile.in_language("ar") == profile


def test_the_usual_closing_stages_are_taken_where_there_are_such():
    stages = GOOD.replace('"NEW", "DONE"', '"NEW", "DONE", "ENROLLED", "LOST"')
    usual = parse_profile(stages, source="x")
    assert (usual.won_stages, usual.lost_stages) == (("ENROLLED",), ("LOST",))
    none = parse_profile(stages.replace(TOP, f"{TOP}\nwon_stages = []"), source="x")
    assert none.won_stages == ()


def test_escalation_demo_tools_and_timers_are_read():
    profile = extended(
        'tools = ["append_lead_to_rag_sheets"]\nfollow_up = true\nlost_after_days = 0',
        """
        [escalation]
        keywords = ["boss"]
        high_value = 500000
        most_exchanges = 5
        min_confidence = 1
        staff_phone = "+17705550199"
        [demo]
        text = "Here it is"
        url = "https://example.com/demo"
        """,
    )
    assert profile.escalation == Escalation(
        keywords=("boss",),
        high_value=500_000,
        most_exchanges=5,
        min_confidence=1,
        staff_phone="+17705550199",
    )
    assert profile.demo == Demo("Here it is", "https://example.com/demo")
    assert profile.tools == ("append_lead_to_rag_sheets",)
    assert (profile.follow_up, profile.lost_after_days) == (True, 0)


def test_words_in_another_language_replace_the_profiles_own_where_there_are_any():
    profile = extended(
        tables="""
        [texts.ar]
        greeting = "مرحبًا"
        closing = "مع السلامة"
        goodbye_phrases = ["مع السلامة"]
        [texts.ar.fields.phone]
        ask = "رقمك؟"
        """
    )
    arabic = profile.in_language("ar")
    assert profile.languages == ("en", "ar")
    assert (arabic.greeting, arabic.text_greeting, arabic.closing) == (
        "مرحبًا",
        "مرحبًا",
        "مع السلامة",
    )
    assert arabic.goodbye_phrases == ("مع السلامة", "goodbye")
    assert (arabic.field("phone").ask, arabic.field("phone").label) == ("رقمك؟", "phone")
    assert arabic.field("zip") == profile.field("zip")
    assert arabic.stages == profile.stages


def test_a_flag_is_neither_asked_nor_required_nor_told():
    profile = extended(
        field='[[fields]]\nkey = "sent"\ntype = "flag"\nlabel = "sent"\nstage = "DONE"'
    )
    flag = profile.field("sent")
    assert (flag.asked, flag.required, flag.ask) == (False, False, "")
    assert flag not in profile.required and flag not in profile.told


def test_what_is_not_asked_is_told_but_not_required():
    profile = extended(
        field='[[fields]]\nkey = "mail"\ntype = "email"\nlabel = "mail"\nasked = false'
    )
    mail = profile.field("mail")
    assert not mail.required and mail in profile.told


def test_an_international_phone_is_the_phone_field_and_may_ask_about_the_callers_number():
    text = GOOD.replace('"us_phone"', '"phone"\nask_caller = "Is {number} right?"')
    assert parse_profile(text, source="x").phone_field.type == "phone"


@pytest.mark.parametrize(
    ("kind", "options", "complaint"),
    [
        ("phone", 'region = "XX"', "options: region: 'XX' is no country code such as SA"),
        ("money", 'currency = "XYZ"', "options: currency: 'XYZ' is unknown; known are SAR"),
        ("choice", 'aliases = { x = "c" }', "options: aliases.x: 'c' is not one of the choices"),
        ("choice", 'aliases = { A = "b" }', "options: two choices sound the same"),
        ("choice", 'aliases = ["x"]', "options.aliases: must be a table"),
        ("choice", 'find = "yes"', "options.find: must be true or false"),
        ("place", "aliases = { x = 1 }", "options: aliases.x must be text"),
        ("place", "known = [1]", "options.known: must be a list of texts"),
    ],
)
def test_a_bad_option_of_a_type_is_refused_with_the_reason(kind, options, complaint):
    choices = 'choices = ["a", "b"]' if kind == "choice" else ""
    field = f"""
    [[fields]]
    key = "more"
    type = "{kind}"
    label = "more"
    ask = "?"
    {choices}
    options = {{ {options} }}
    """
    with pytest.raises(ProfileError, match=rf"^mine\.toml: fields\.more\.{re.escape(complaint)}"):
        extended(field=field)
