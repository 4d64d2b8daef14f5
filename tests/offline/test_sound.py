"""ivr/offline/sound.py against values of G.711 and against sines."""

import math
from array import array

from ivr.offline.sound import RATE, SAMPLES, decode, doubled, encode, to_telephone


def sine(hertz: float, rate: int, seconds: float = 0.5) -> "array[int]":
    count = int(rate * seconds)
    return array("h", (int(8000 * math.sin(2 * math.pi * hertz * n / rate)) for n in range(count)))


def power(samples: "array[int]") -> float:
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    return sum(sample * sample for sample in middle) / len(middle)


def test_mu_law_has_the_values_of_the_standard() -> None:
    assert [SAMPLES[code] for code in (0x00, 0x80, 0x7F, 0xFF, 0x8F, 0xF0)] == [
        -32124, 32124, 0, 0, 16764, 120,
    ]  # fmt: skip


def test_every_code_survives_decoding_and_encoding() -> None:
    codes = bytes(code for code in range(256) if code != 0x7F)  # 0x7F is a second zero

    assert encode(decode(codes)) == codes


def test_encoding_takes_the_extremes() -> None:
    assert encode([-32768, 32767]) == b"\x00\x80"


def test_doubling_keeps_the_samples_and_the_loudness() -> None:
    low = sine(1000, RATE)
    high = doubled(low)

    assert high[0::2] == low
    assert math.isclose(power(high), power(low), rel_tol=0.02)


def test_lowering_the_rate_keeps_speech_and_drops_what_would_alias() -> None:
    speech, hiss = sine(1000, 22050), sine(6000, 22050)

    assert math.isclose(power(decode(to_telephone(speech, 22050))), power(speech), rel_tol=0.03)
    assert power(decode(to_telephone(hiss, 22050))) < power(hiss) / 1000


def test_lowering_the_rate_keeps_the_duration() -> None:
    assert len(to_telephone(sine(440, 16000, 1.0), 16000)) == RATE
