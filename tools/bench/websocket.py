"""Websocket frames as bytes: built, and cut out of a stream. No handshake, no socket.

Client frames are masked with a key of zeros: legal, and the text stays readable as it is.
"""

import struct

try:
    from websockets.speedups import apply_mask
except ImportError:  # built without its C part
    from websockets.utils import apply_mask

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
_FINAL = 0x80
_MASKED = 0x80
_NO_KEY = bytes(4)

Frame = tuple[int, bytes]


def client_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """Return the frame that a client sends."""
    return _head(len(payload), opcode, _MASKED) + _NO_KEY + payload


def server_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """Return the frame that a server sends."""
    return _head(len(payload), opcode, 0) + payload


def _head(size: int, opcode: int, masked: int) -> bytes:
    if size < 126:
        return struct.pack(">BB", _FINAL | opcode, masked | size)
    if size < 65_536:
        return struct.pack(">BBH", _FINAL | opcode, masked | 126, size)
    return struct.pack(">BBQ", _FINAL | opcode, masked | 127, size)


class Frames:
    """The frames in a stream of bytes; messages in several frames are nothing we are sent."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that are complete by now, unmasked."""
        if self._rest:
            data = self._rest + data
        frames: list[Frame] = []
        start, end = 0, len(data)
        while (frame := _cut(data, start, end)) is not None:
            opcode, payload, start = frame
            frames.append((opcode, payload))
        self._rest = data[start:]
        return frames


def _cut(data: bytes, start: int, end: int) -> tuple[int, bytes, int] | None:
    """Return opcode, payload and the end of the frame at `start`; None while it is incomplete."""
    if end - start < 2:
        return None
    size, body = data[start + 1] & 0x7F, start + 2
    if size > 125:
        body += 2 if size == 126 else 8
        size = int.from_bytes(data[start + 2 : body], "big")
    key_at = body
    if data[start + 1] & _MASKED:
        body += 4
    if body + size > end:
        return None
    assert data[start] & _FINAL, "a message in several frames: this generator cannot read those"
    payload = data[body : body + size]
    if body > key_at:
        payload = apply_mask(payload, data[key_at:body])
    return data[start] & 0x0F, payload, body + size
