"""When a business opens again, in words."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from ivr.agent.collector import Collector
from ivr.agent.instructions import voice_instructions
from ivr.agent.opening import when
from ivr.agent.text_instructions import Situation, text_instructions
from ivr.leads.profile import Profile, load_profile
from ivr.leads.profile.shape import Closed

TODAY = date(2026, 11, 23)  # a Monday
NINE = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def closed(opens: datetime | None, profile: str = "real_estate") -> Profile:
    return replace(load_profile(profile), closed=Closed(TODAY, opens))


@pytest.mark.parametrize(
    ("days", "english", "arabic"),
    [
        (0, "today at 9:00 AM", "اليوم الساعة 09:00"),
        (1, "tomorrow at 9:00 AM", "غدًا الساعة 09:00"),
        (3, "on Thursday at 9:00 AM", "يوم الخميس الساعة 09:00"),
        (6, "on Sunday at 9:00 AM", "يوم الأحد الساعة 09:00"),
        (7, "on November 30 at 9:00 AM", "يوم 30/11 الساعة 09:00"),
    ],
)
def test_a_day_is_named_as_people_name_it(days: int, english: str, arabic: str) -> None:
    profile = closed(NINE + timedelta(days=days))
    assert (when(profile, "en"), when(profile, "fr")) == (english, english)
    assert when(profile, "ar") == arabic


def test_while_it_is_open_or_gone_for_good_there_is_nothing_to_say() -> None:
    assert when(load_profile("real_estate"), "en") == when(closed(None), "en") == ""


def test_models_are_told_when_somebody_is_there_again_and_only_then() -> None:
    situation = Situation(channel="sms", known={}, today=TODAY, is_first=True)
    for profile in (closed(NINE + timedelta(days=1)), load_profile("real_estate")):
        told = [
            voice_instructions(profile, caller_number=None, known={}, today=TODAY),
            text_instructions(profile, situation),
        ]
        is_told = ["tomorrow at 9:00 AM" in text.split("\n# This ")[-1] for text in told]
        assert all(is_told) if profile.closed else not any(is_told)


def test_the_dialogue_without_a_model_promises_a_call_from_the_opening_on() -> None:
    collector = Collector(closed(NINE + timedelta(days=1), "powersports"), today=TODAY)
    collector.open()
    said = " ".join(str(act) for act in collector.hear("I want to talk to a person"))
    assert "We open tomorrow at 9:00 AM, and a colleague will call you back." in said
