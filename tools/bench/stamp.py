"""Audio that tells when it left: 24 digits at its start, which are base64 by themselves.

Whoever hears it knows the moment (microseconds), the number in its row, and the call.
"""

from base64 import b64decode, b64encode

FRAME_BYTES = 160  # 20 ms of mu-law
DELTA_BYTES = 3_200  # 400 ms: what the model is seen to send at once (protocols 2.1)
BYTES_PER_S = 8_000
DIGITS = 24
_PLAIN = b"%012d%06d%06d"
_FRAME_CHARS = 216


def stamp(microseconds: int, number: int, call: int) -> bytes:
    """Return the digits."""
    return _PLAIN % (microseconds, number, call)


def filler(size: int) -> bytes:
    """Return the base64 text that follows the digits in `size` bytes of audio."""
    return b64encode(b"\xff" * size)[DIGITS:]


def read(text: bytes) -> tuple[int, int, int] | None:
    """Return microseconds, number and call; None when no stamp begins here."""
    digits = text[:DIGITS]
    if len(digits) < DIGITS or not digits.isdigit():
        return None
    return int(digits[:12]), int(digits[12:18]), int(digits[18:])


def frames(text: bytes) -> list[bytes]:
    """Return the beginnings of the frames in a text: several when somebody joined them."""
    if len(text) == _FRAME_CHARS:
        return [text]
    audio = b64decode(text)
    starts = range(0, len(audio), FRAME_BYTES)
    return [b64encode(audio[start : start + FRAME_BYTES]) for start in starts]


def size(text: bytes) -> int:
    """Return how many bytes of audio a text holds."""
    return len(text) * 3 // 4 - text.count(b"=", -2)
