"""The table of prices, and what it makes of quantities."""

from datetime import date

import pytest

from ivr.costs import numbers, prices
from ivr.settings import Settings

TODAY = date(2026, 11, 21)
TWO_PRICES = """
[[price]]
kind = "text"
provider = "openai"
models = ["small", "large"]
valid_from = 2026-01-01
source = "a page"
per_million = { input_tokens = "1.50", output_tokens = "3" }

[[price]]
kind = "text"
provider = "openai"
models = ["small"]
valid_from = 2026-06-01
source = "another page"
per_million = { input_tokens = "0.50", output_tokens = "1" }
"""
TABLE = prices.read(TWO_PRICES)


def text_cost(model: str, on: date, **quantities: float) -> int | None:
    return prices.cost_micros("text", "openai", model, quantities, on=on, prices=TABLE)


def test_a_million_tokens_cost_their_price_in_micro_dollars() -> None:
    assert text_cost("large", TODAY, input_tokens=1_000_000, output_tokens=10) == 1_500_030


def test_the_price_of_the_day_of_use_counts() -> None:
    assert text_cost("small", date(2026, 5, 31), input_tokens=1000) == 1500
    assert text_cost("small", date(2026, 6, 1), input_tokens=1000) == 500


def test_a_use_before_the_first_known_price_has_none() -> None:
    assert text_cost("small", date(2025, 12, 31), input_tokens=1) is None


@pytest.mark.parametrize(("tokens", "micros"), [(1, 2), (2, 3), (3, 5)])
def test_half_a_micro_dollar_is_rounded_up_once_for_a_whole_row(tokens: int, micros: int) -> None:
    assert text_cost("large", TODAY, input_tokens=tokens) == micros


def test_a_model_that_is_not_in_the_table_has_no_price_and_never_0() -> None:
    assert text_cost("gpt-99", TODAY, input_tokens=1) is None
    assert prices.cost_micros("text", "openai", "small", {"input_tokens": 1}, on=TODAY) is None


def test_a_quantity_without_a_price_makes_the_whole_unknown_unless_it_is_zero() -> None:
    assert text_cost("large", TODAY, input_tokens=2, image_tokens=1) is None
    assert text_cost("large", TODAY, input_tokens=2, image_tokens=0) == 3


def test_what_runs_on_our_own_machine_costs_0_and_that_is_known() -> None:
    assert prices.cost_micros("realtime", prices.OWN, "offline", {"seconds": 61}, on=TODAY) == 0


def test_a_begun_minute_is_paid_for_and_seconds_are_not_again() -> None:
    quantities = {"seconds": 61, "minutes": 2}
    micros = prices.cost_micros("telephony", "twilio", "voice-in-us-local", quantities, on=TODAY)
    assert micros == 17_000


def test_phones_of_the_united_states_have_a_price_to_call_but_not_all_the_same() -> None:
    def cost(number: str) -> int | None:
        model = numbers.voice_model("out", number)
        return prices.cost_micros("telephony", "twilio", model, {"minutes": 2}, on=TODAY)

    assert cost("+17705550142") == 28_000
    assert cost("+19075550142") is None, "Alaska"
    assert cost("+18005550100") is None and cost("+442071838750") is None


def test_transcription_costs_the_same_by_seconds_and_by_tokens() -> None:
    def cost(**quantities: float) -> int | None:
        model = ("transcription", "openai", "gpt-transcribe")
        return prices.cost_micros(*model, quantities, on=TODAY)

    assert cost(seconds=60.0) == cost(audio_in_tokens=600, text_out_tokens=40) == 4500


def test_every_model_of_the_settings_has_a_price() -> None:
    s = Settings(_env_file=None)
    used = {
        ("realtime", "openai", s.openai_realtime_model),
        ("transcription", "openai", s.openai_transcribe_model),
        ("text", "openai", s.openai_model),
        ("text", "openai", s.openai_reply_model),
        ("text", "openai", s.openai_route_model),
        ("text", "anthropic", s.anthropic_model),
        ("text", "anthropic", s.anthropic_reply_model),
        ("text", "anthropic", s.anthropic_route_model),
    }
    known = {(it.kind, it.provider, it.model) for it in prices.table() if it.valid_from <= TODAY}
    assert used <= known


def test_the_table_says_where_each_price_stood_and_names_no_model_twice_a_day() -> None:
    table = prices.table()
    assert all(it.source and it.micros for it in table)
    keys = [(it.kind, it.provider, it.model, it.valid_from) for it in table]
    assert len(keys) == len(set(keys))
    assert all(micros >= 0 for it in table for micros in it.micros.values())
