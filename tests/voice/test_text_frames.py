"""Whole text frames are taken past the library's parser; however bytes are cut, nothing changes."""

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, SERVER, Protocol

from ivr.voice import text_frames

AUDIO = b'{"event":"media","media":{"payload":"%b"}}' % (b"f39/" * 54)
TRAFFIC = [
    Frame(Opcode.TEXT, b"{}"),
    Frame(Opcode.TEXT, AUDIO),
    Frame(Opcode.PING, b"?"),
    Frame(Opcode.TEXT, "Grüße".encode()),
    Frame(Opcode.TEXT, b"in two ", fin=False),
    Frame(Opcode.PONG, b""),
    Frame(Opcode.CONT, b"parts"),
    Frame(Opcode.BINARY, b"\x81\x01"),
    Frame(Opcode.TEXT, b""),
    Frame(Opcode.TEXT, AUDIO),
]


class Receiver:
    """Receives as a call's sockets do; `seen` is what came, in order, whoever parsed it."""

    def __init__(self, side):
        self.library = Protocol(side, max_size=64 * 1024)
        self.masked = side is SERVER
        self.seen = []
        self.taken = 0
        self._may_take = False

    def receives(self, data):
        if self._may_take:
            data = text_frames.take(data, self._take, masked=self.masked)
            if not data:
                return
        self.library.receive_data(data)
        self.seen += [(frame.opcode, bytes(frame.data)) for frame in self.library.events_received()]
        self._may_take = text_frames.may_take(self.library)

    def _take(self, text):
        self.taken += 1
        self.seen.append((Opcode.TEXT, text))


def wire(frames, side):
    return b"".join(frame.serialize(mask=side is SERVER) for frame in frames)


def content(frames):
    return [(frame.opcode, bytes(frame.data)) for frame in frames]


@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_wherever_the_bytes_are_cut_the_same_frames_come_in_the_same_order(side):
    data = wire(TRAFFIC, side)
    for cut in range(len(data) + 1):
        receiver = Receiver(side)
        receiver.receives(data[:cut])
        receiver.receives(data[cut:])
        assert receiver.seen == content(TRAFFIC)


@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_bytes_that_come_one_by_one_are_no_different(side):
    receiver = Receiver(side)
    for byte in wire(TRAFFIC, side):
        receiver.receives(bytes([byte]))

    assert receiver.seen == content(TRAFFIC)


@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_audio_goes_past_the_library(side):
    receiver = Receiver(side)
    audio = [Frame(Opcode.TEXT, AUDIO)] * 3
    for frame in audio:
        receiver.receives(wire([frame], side))

    assert receiver.taken == 2  # the first one showed where messages begin
    assert receiver.seen == content(audio)


@pytest.mark.parametrize(
    ("side", "data", "code"),
    [
        (SERVER, Frame(Opcode.TEXT, AUDIO).serialize(mask=False), 1002),
        (CLIENT, Frame(Opcode.TEXT, AUDIO).serialize(mask=True), 1002),
        (SERVER, Frame(Opcode.TEXT, bytes(64 * 1024 + 1)).serialize(mask=True), 1009),
        (SERVER, b"\xc1" + Frame(Opcode.TEXT, AUDIO).serialize(mask=True)[1:], 1002),
        (SERVER, Frame(Opcode.CONT, AUDIO).serialize(mask=True), 1002),
    ],
    ids=["unmasked", "masked", "too big", "compressed", "continues nothing"],
)
def test_what_breaks_the_protocol_is_the_library_s_to_answer(side, data, code):
    receiver = Receiver(side)
    receiver.receives(wire([Frame(Opcode.TEXT, b"{}")], side))
    receiver.receives(data)

    assert receiver.library.close_sent.code == code
    assert receiver.seen == [(Opcode.TEXT, b"{}")]


def test_nothing_is_taken_after_the_close():
    receiver = Receiver(SERVER)
    receiver.receives(wire([Frame(Opcode.TEXT, b"{}")], SERVER))
    receiver.receives(wire([Frame(Opcode.CLOSE, b"\x03\xe8")], SERVER))
    receiver.receives(wire([Frame(Opcode.TEXT, AUDIO)], SERVER))

    assert receiver.taken == 0


@pytest.mark.parametrize("length", [0, 125, 126, 400, 65_535, 65_536])
def test_what_a_client_sends_is_what_the_library_reads(length):
    receiver = Protocol(SERVER)
    receiver.receive_data(text_frames.masked(b"x" * length))
    (frame,) = receiver.events_received()

    assert (frame.opcode, bytes(frame.data), frame.fin) == (Opcode.TEXT, b"x" * length, True)


def test_every_frame_has_a_mask_of_its_own():
    frames = [text_frames.masked(AUDIO) for _ in range(1100)]

    assert len({frame[4:8] for frame in frames}) > 1090
