"""Changing what is asked is one edit: a field added to a profile shows up everywhere (S3.25)."""

from datetime import date
from importlib.resources import files

import pytest

from ivr.agent.acts import End, Save, Say
from ivr.agent.collector import Collector
from ivr.agent.instructions import voice_instructions
from ivr.agent.tool_schemas import voice_tools
from ivr.leads.delivery.handover import handover
from ivr.leads.extraction import mismatch, schema_of
from ivr.leads.fields import Accepted, Refused, check, vocabulary
from ivr.leads.profile import parse_profile

TODAY = date(2026, 11, 20)
ADDED = """
[[fields]]
key = "engine_hours"
type = "choice"
label = "use"
ask = "Was it used on the road or on trails?"
choices = ["road", "trails"]
"""


@pytest.fixture
def profile():
    text = (files("ivr.leads") / "profiles" / "powersports.toml").read_text(encoding="utf-8")
    return parse_profile(text + ADDED, source="edited copy")


def test_the_added_field_is_in_instructions_and_tools(profile):
    text = voice_instructions(profile, caller_number=None, known={}, today=TODAY)
    assert '7. engine_hours (use). Ask: "Was it used on the road or on trails?"' in text
    assert "engine_hours: exactly one of: road, trails." in text
    save, confirm, *_ = voice_tools(profile)
    for tool in (save, confirm):
        assert "engine_hours" in tool["parameters"]["properties"]["name"]["enum"]


def test_the_added_field_is_validated_and_heard(profile):
    field = profile.field("engine_hours")
    assert isinstance(check(field, "on trails mostly", today=TODAY), Accepted)
    assert isinstance(check(field, "water", today=TODAY), Refused)
    assert vocabulary(field).words == ("road", "trails")


def test_the_added_field_is_asked_in_the_dialogue(profile):
    known = {field.key: "x" for field in profile.fields if field.key != "engine_hours"}
    collector = Collector(profile, today=TODAY, known=known)
    assert collector.open(greet=False) == [Say("Was it used on the road or on trails?")]
    assert collector.hear("road") == [
        Save("engine_hours", "road", "road"),
        Say(profile.closing),
        End("complete"),
    ]


def test_the_added_field_is_extracted(profile):
    schema = schema_of(profile)
    assert "engine_hours" in schema["required"]
    assert "exactly one of: road, trails" in schema["properties"]["engine_hours"]["description"]
    nothing = {field.key: None for field in profile.fields}
    assert mismatch(nothing, profile) is None
    del nothing["engine_hours"]
    assert mismatch(nothing, profile) == "keys missing or unknown: engine_hours"


def test_the_added_field_is_delivered_in_the_notes(profile):
    data = {field.key: None for field in profile.fields} | {"engine_hours": "trails"}
    notes = handover(profile, data, reference="r1").notes
    assert notes.splitlines()[0] == "use: trails"
    delivered_in_words = {"phone": "+17705550123", "engine_hours": None}
    assert "+1770" not in handover(profile, delivered_in_words, reference="r1").notes
