"""ivr/offline/vad.py with tones for speech."""

import math

import pytest

from ivr.offline.sound import BYTES_PER_MS, SILENCE, encode
from ivr.offline.vad import Started, Stopped, Vad
from tools.demo_audio import CLIPS

pytest.importorskip("webrtcvad")
SPEECH = (CLIPS / "zip_code.ulaw").read_bytes()


def silence(ms: int) -> bytes:
    return SILENCE * (ms * BYTES_PER_MS)


def test_speech_starts_where_it_starts_and_stops_after_the_silence() -> None:
    vad = Vad(silence_ms=900)

    started, stopped = vad.feed(silence(1000) + SPEECH + silence(1500))

    assert isinstance(started, Started) and 1000 <= started.ms <= 1400
    spoken_ms = len(SPEECH) // BYTES_PER_MS
    assert isinstance(stopped, Stopped) and 1600 <= stopped.ms <= 1000 + spoken_ms + 1000


def test_the_size_of_the_frames_does_not_matter() -> None:
    sound = silence(500) + SPEECH + silence(1200)
    whole, pieces = Vad(), Vad()

    assert whole.feed(sound) == [
        change for at in range(0, len(sound), 123) for change in pieces.feed(sound[at : at + 123])
    ]


def test_a_click_is_no_speech() -> None:
    click = encode([int(12000 * math.sin(n)) for n in range(40 * BYTES_PER_MS)])

    assert Vad().feed(silence(300) + click + silence(300)) == []


def test_after_a_reset_speech_can_start_again() -> None:
    vad = Vad()
    vad.feed(silence(300) + SPEECH[:8000])
    vad.reset()

    assert any(isinstance(change, Started) for change in vad.feed(SPEECH))
