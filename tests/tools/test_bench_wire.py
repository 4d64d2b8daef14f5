"""The benchmark's own websocket, HTTP and stamped audio: bytes in, bytes out."""

import base64
from collections.abc import Callable

import pytest
from websockets.frames import Frame, Opcode

from tools.bench import stamp
from tools.bench.websocket import PING, TEXT, Frames, client_frame, server_frame


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("build", [client_frame, server_frame])
def test_a_frame_is_read_as_it_was_built(build: Callable[[bytes], bytes], size: int) -> None:
    payload = b"x" * size
    assert Frames().feed(build(payload)) == [(TEXT, payload)]


def test_frames_of_the_library_are_read_with_their_masks() -> None:
    data = Frame(Opcode.TEXT, b"hello").serialize(mask=True)
    data += Frame(Opcode.PING, b"1").serialize(mask=True)

    assert Frames().feed(data) == [(TEXT, b"hello"), (PING, b"1")]


def test_a_frame_may_come_byte_by_byte() -> None:
    frames = Frames()
    found = [frame for byte in client_frame(b"slow" * 50) for frame in frames.feed(bytes([byte]))]
    assert found == [(TEXT, b"slow" * 50)]


def test_the_masked_text_of_a_client_frame_stays_readable() -> None:
    assert client_frame(b"plain").endswith(b"plain")


def test_a_stamp_is_part_of_valid_audio() -> None:
    text = stamp.stamp(1_234_567, 42, 7) + stamp.filler(stamp.FRAME_BYTES)

    assert len(base64.b64decode(text, validate=True)) == stamp.FRAME_BYTES
    assert stamp.read(text) == (1_234_567, 42, 7)
    assert stamp.size(text) == stamp.FRAME_BYTES


def test_joined_frames_are_told_apart() -> None:
    one, two = (
        base64.b64decode(stamp.stamp(5, number, 1) + stamp.filler(stamp.FRAME_BYTES))
        for number in (1, 2)
    )
    joined = base64.b64encode(one + two)

    assert [stamp.read(frame) for frame in stamp.frames(joined)] == [(5, 1, 1), (5, 2, 1)]


def test_audio_without_a_stamp_says_nothing() -> None:
    assert stamp.read(base64.b64encode(b"\xff" * 160)) is None
