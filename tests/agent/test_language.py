"""Which language a message is in, and when that changes the language of a conversation."""

import pytest

from ivr.agent.language import detect, follow

KNOWN = ("en", "ar")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Hello", "en"),
        ("I want to learn CTA", "en"),
        ("My name is Ahmed and I want an apartment in الدمام", "en"),
        ("مرحبا", "ar"),
        ("أريد دراسة CTA من فضلك", "ar"),
        ("أنا أحمد", "ar"),
        ("مجھے کورس کے بارے میں معلومات چاہیے", "ur"),
        ("سلام، من می خواهم ثبت نام کنم", "fa"),
        ("Hola, quiero información", "es"),
        ("je voudrais un cours de comptabilité", "fr"),
        ("ich möchte einen Kurs", "de"),
        ("Olá, eu quero um curso", "pt"),
        ("vorrei un corso per favore", "it"),
        ("merhaba, bir kurs istiyorum", "tr"),
        ("Привет", "ru"),
        ("你好", "zh"),
        ("日本語のコースです", "ja"),
        ("안녕하세요", "ko"),
        ("नमस्ते", "hi"),
        ("שלום", "he"),
    ],
)
def test_a_language_is_told_by_its_script_or_its_commonest_words(text, language) -> None:
    assert detect(text) == language


@pytest.mark.parametrize(
    "text", ["", "🙂", "CTA", "Ahmed Khan", "John 30093", "ok", "+966501234567", "flat شقة", "ع"]
)
def test_what_is_too_short_or_too_mixed_tells_nothing(text) -> None:
    assert detect(text) is None


@pytest.mark.parametrize(
    ("text", "now", "language"),
    [
        ("أريد شقة", "en", "ar"),
        ("I want to buy a flat", "ar", "en"),
        ("أحمد", "en", "en"),  # a name
        ("أحمد", None, "ar"),
        ("مرحبا", "en", "ar"),
        ("hello", "ar", "en"),
        ("CTA", "ar", "ar"),
        ("Ahmed Khan", "ar", "ar"),
        ("ich möchte einen Kurs", "ar", "ar"),  # we have no words in it
        ("ich möchte einen Kurs", None, None),
        ("🙂", "ar", "ar"),
    ],
)
def test_a_contact_is_followed_where_it_is_clear(text, now, language) -> None:
    assert follow(text, now=now, known=KNOWN) == language
