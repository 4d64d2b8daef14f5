"""Audio as the emulator makes and measures it: marked tones out, loudness in. No I/O, no clock.

Synthetic speech is made of 20 ms blocks. Every block starts with a header of five bytes, `MARK`,
the session's number (mod 256) and the block's number in that session (24 bits, big endian); a tone
fills the rest. Block numbers rise over all items of a session, so that whoever holds the far end of
the line can prove order and completeness with `blocks()`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

MARK = 0xA5
MS_PER_BLOCK = 20
MS_PER_CHARACTER = 60

_HEADER = 5


@dataclass(frozen=True, slots=True)
class Format:
    """An audio format of the Realtime API: bytes per ms; how loud each byte is (0: untold)."""

    name: str
    bytes_per_ms: int
    loudness: bytes
    stride: int  # of how many bytes one tells the loudness

    @property
    def block_bytes(self) -> int:
        return self.bytes_per_ms * MS_PER_BLOCK


@dataclass(frozen=True, slots=True)
class Block:
    """The header of one 20 ms block."""

    session: int
    number: int


def _ulaw_linear(code: int) -> int:
    """Return the 14-bit linear value of a µ-law byte (ITU-T G.711), scaled to 16 bit."""
    inverted = ~code & 0xFF
    magnitude = (((inverted & 0x0F) << 3) + 0x84) << ((inverted >> 4) & 0x07)
    return -(magnitude - 0x84) if inverted & 0x80 else magnitude - 0x84


def _alaw_linear(code: int) -> int:
    """Return the linear value of an A-law byte (ITU-T G.711), scaled to 16 bit."""
    code ^= 0x55
    exponent, mantissa = (code >> 4) & 0x07, (code & 0x0F) << 4
    magnitude = mantissa + 8 if exponent == 0 else (mantissa + 0x108) << (exponent - 1)
    return magnitude if code & 0x80 else -magnitude


def _high_byte_linear(code: int) -> int:
    """Return the value of a 16-bit little-endian sample whose high byte is `code`."""
    return (code - 256 if code > 127 else code) << 8


def _loudness(linear: list[int]) -> bytes:
    return bytes(min(abs(value) >> 7, 255) for value in linear)


FORMATS = {
    "audio/pcmu": Format("audio/pcmu", 8, _loudness([_ulaw_linear(c) for c in range(256)]), 1),
    "audio/pcma": Format("audio/pcma", 8, _loudness([_alaw_linear(c) for c in range(256)]), 1),
    "audio/pcm": Format("audio/pcm", 48, _loudness([_high_byte_linear(c) for c in range(256)]), 2),
}


def loudness(audio: bytes, fmt: Format) -> float:
    """Return the mean magnitude of `audio` on a scale of 0 (silence) to 255."""
    telling = audio[fmt.stride - 1 :: fmt.stride]
    return sum(telling.translate(fmt.loudness)) / max(len(telling), 1)


def _ulaw_code(linear: int) -> int:
    """Return the µ-law byte nearest to `linear`."""
    return min(range(256), key=lambda code: abs(_ulaw_linear(code) - linear))


def _tone(fmt: Format) -> bytes:
    """Return one block's worth of a 400 Hz tone at about -12 dBFS, without room for the header."""
    samples = fmt.block_bytes // fmt.stride
    wave = [round(8000 * math.sin(2 * math.pi * 8 * i / samples)) for i in range(samples)]
    if fmt.stride == 2:
        return b"".join(value.to_bytes(2, "little", signed=True) for value in wave)[_HEADER:]
    return bytes(_ulaw_code(value) for value in wave)[_HEADER:]


_TONES = {name: _tone(fmt) for name, fmt in FORMATS.items()}


def speech_blocks(text: str) -> int:
    """Return how many 20 ms blocks it takes to say `text`."""
    return max(1, len(text) * MS_PER_CHARACTER // MS_PER_BLOCK)


def speech(fmt: Format, *, session: int, first: int, count: int) -> bytes:
    """Return `count` marked blocks, numbered from `first`."""
    tone = _TONES[fmt.name]
    head = bytes((MARK, session & 0xFF))
    return b"".join(
        head + number.to_bytes(3, "big") + tone for number in range(first, first + count)
    )


def blocks(audio: bytes, fmt: Format = FORMATS["audio/pcmu"]) -> Iterator[Block]:
    """Yield the blocks of `audio`; raise ValueError where it is not exactly what `speech` made."""
    tone = _TONES[fmt.name]
    for at in range(0, len(audio), fmt.block_bytes):
        block = audio[at : at + fmt.block_bytes]
        if block[:1] != bytes((MARK,)) or block[_HEADER:] != tone[: len(block) - _HEADER]:
            raise ValueError(f"byte {at}: not a block of synthetic speech")
        yield Block(block[1], int.from_bytes(block[2:_HEADER], "big"))
