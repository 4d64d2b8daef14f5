"""A lane sends in order to one peer, however many put messages in, and knows when it is stuck."""

import asyncio

from ivr.voice.lane import Lane


class Gate:
    """A peer that takes one message each time it is let."""

    def __init__(self):
        self.taken = []
        self.open = asyncio.Event()

    async def send(self, text):
        await self.open.wait()
        self.taken.append(text)


async def test_whoever_finds_the_lane_busy_leaves_the_message_in_its_place():
    gate, lane = Gate(), Lane("phone", lambda: 0.0)
    lane.open(gate.send)
    lane.put("one")
    sending = asyncio.create_task(lane.flush())
    await asyncio.sleep(0)

    lane.put("two")
    await lane.flush()  # returns at once
    assert gate.taken == []

    gate.open.set()
    await sending
    assert gate.taken == ["one", "two"]


async def test_what_is_dropped_is_not_sent():
    gate, lane = Gate(), Lane("phone", lambda: 0.0)
    gate.open.set()
    lane.open(gate.send)
    lane.put("stale")
    lane.drop()
    lane.put("clear")
    await lane.flush()

    assert gate.taken == ["clear"]


async def test_a_dead_peer_is_no_error_and_gets_nothing_more():
    async def fail(text):
        raise ConnectionError("gone")

    lane = Lane("phone", lambda: 0.0)
    lane.open(fail)
    lane.put("one")
    await lane.flush()
    lane.put("two")
    await lane.flush()

    assert not lane.is_stuck(1000.0, 5.0)


async def test_a_lane_is_stuck_when_one_message_takes_too_long():
    gate, lane = Gate(), Lane("phone", lambda: 10.0)
    lane.open(gate.send)
    lane.put("one")
    sending = asyncio.create_task(lane.flush())
    await asyncio.sleep(0)

    assert not lane.is_stuck(14.0, 5.0)
    assert lane.is_stuck(16.0, 5.0)
    gate.open.set()
    await sending
    assert not lane.is_stuck(16.0, 5.0)
