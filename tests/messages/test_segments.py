"""Segments: what a text costs, how it is spelt for less, where a long one is torn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.messages.segments import LONGEST, cheapest, count, is_gsm, split


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("€" * 153, 3),  # 76 in a segment: the 77th would be torn
        ("[" * 80, 1),
        ("\n" * 160, 1),
        ("ü" * 160, 1),
        ("ê" * 70, 1),
        ("ê" * 71, 2),
        ("م" * 134, 2),
        ("م" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("😀" * 67, 3),  # 33 in a segment
        ("a" * 69 + "’", 1),
        ("a" * 70 + "’", 2),
    ],
)
def test_segments_are_counted_as_the_networks_do(text, segments):
    assert count(text) == segments


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("It’s “new” – or… used", 'It\'s "new" - or... used'),
        ("non\u00a0breaking", "non breaking"),
        ("plain", "plain"),
        ("It’s 😀", "It’s 😀"),  # costs the same either way
        ("“مرحبا”", "“مرحبا”"),
        ("naïve’s", "naïve’s"),
    ],
)
def test_typography_goes_where_that_makes_the_text_cheaper(text, spelt):
    assert cheapest(text) == spelt
    assert is_gsm(spelt) or spelt == text


def test_a_long_text_is_torn_between_sentences():
    sentence = "This sentence has forty characters in it. "
    parts = split(sentence * 60)
    assert [len(part) <= LONGEST for part in parts] == [True, True]
    assert all(part.endswith("in it.") and part.startswith("This") for part in parts)


def test_without_sentences_it_is_torn_between_words_and_without_words_anywhere():
    assert [set(part.split()) for part in split("word " * 500)] == [{"word"}, {"word"}]
    assert [len(part) for part in split("x" * 3300)] == [1600, 1600, 100]


def test_what_fits_stays_in_one_piece():
    assert split("x" * LONGEST) == ["x" * LONGEST]
    assert split("Hello. You there?") == ["Hello. You there?"]


@given(st.text(st.sampled_from("ab .!?\nم😀’"), max_size=400))
def test_nothing_is_lost_or_doubled_by_tearing(text):
    parts = split(text, longest=20)
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(len(part) <= 20 for part in parts)
    assert all(parts) or not text.strip()
