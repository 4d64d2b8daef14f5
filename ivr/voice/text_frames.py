"""A shortcut past the websockets library for what a call's audio is made of: whole text frames.

Fifty times a second and call, most of the price of a message was the library's parser (measured:
docs/performance.md). Here only frames are taken that it would let pass unchanged: unfragmented,
complete, not too long, masked as they must be. Everything else, and all that follows it in what
was received, goes to the library, which alone knows what to answer to it.
"""

from collections.abc import Callable, Iterator
from secrets import token_bytes
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, Protocol

try:
    from websockets.speedups import apply_mask
except ImportError:  # no C compiler where it was installed
    from websockets.utils import apply_mask

WHOLE_TEXT = 0x81  # FIN, no extension, opcode 1
MASKED = 0x80
SHORT, LONG = 125, 126  # the length itself, or 16 bits of it follow; what is longer is no audio


def may_take(protocol: Protocol) -> bool:
    """Whether the next byte begins a message, as far as the library has been told."""
    parser: Any = protocol.parser
    while parser.gi_yieldfrom is not None:
        parser = parser.gi_yieldfrom
    is_between_frames = parser.__name__ == "at_eof"
    return is_between_frames and protocol.current_size is None and protocol.state is OPEN


def take(data: bytes, deliver: Callable[[bytes], None], *, masked: bool) -> bytes:
    """Deliver the texts at the beginning of `data`; return the rest, for the library."""
    start, end = 0, len(data)
    while end - start > 8 and data[start] == WHOLE_TEXT:
        length, body = data[start + 1] - (MASKED if masked else 0), start + 2
        if length == LONG:
            length, body = data[body] << 8 | data[body + 1], body + 2
        elif not 0 <= length <= SHORT:
            break
        if masked:
            body += 4
        if body + length > end:
            break
        text = data[body : body + length]
        deliver(apply_mask(text, data[body - 4 : body]) if masked else text)
        start = body + length
    return data[start:]


def masked(text: bytes) -> bytes:
    """Return the frame in which a client sends `text`."""
    if not SHORT < len(text) < 1 << 16:
        return Frame(Opcode.TEXT, text).serialize(mask=True)
    mask = next(_masks)
    return b"\x81\xfe%b%b%b" % (len(text).to_bytes(2), mask, apply_mask(text, mask))


def _random_masks() -> Iterator[bytes]:
    while True:  # asking the kernel for four bytes at a time is dearer than sending them
        pool = token_bytes(4096)
        for start in range(0, len(pool), 4):
            yield pool[start : start + 4]


_masks = _random_masks()
