"""A lane sends to one peer, if there is one, and knows when that one takes nothing any more."""

import pytest

from ivr.voice.lane import MAX_UNSENT, Lane


class Outlet:
    def __init__(self):
        self.sent = []
        self.unsent = 0

    def write(self, text):
        self.sent.append(text)


def test_what_is_put_in_leaves_at_once_and_in_order():
    outlet, lane = Outlet(), Lane()
    lane.open(outlet)
    lane.put("one")
    lane.put("two")

    assert outlet.sent == ["one", "two"]


def test_what_is_put_in_before_anybody_is_there_is_lost():
    outlet, lane = Outlet(), Lane()
    lane.put("one")
    lane.open(outlet)

    assert outlet.sent == []
    assert not lane.is_stuck(100.0, 5.0)


def test_a_lane_is_stuck_when_its_peer_takes_nothing_for_too_long():
    outlet, lane = Outlet(), Lane()
    lane.open(outlet)
    outlet.unsent = 1

    assert not lane.is_stuck(10.0, 5.0)
    assert not lane.is_stuck(15.0, 5.0)
    assert lane.is_stuck(15.1, 5.0)


@pytest.mark.parametrize("relief", ["taken", "replaced"])
def test_the_wait_begins_anew_when_all_was_taken_or_another_peer_is_there(relief):
    outlet, lane = Outlet(), Lane()
    lane.open(outlet)
    outlet.unsent = 1
    lane.is_stuck(10.0, 5.0)

    if relief == "taken":
        outlet.unsent = 0
        lane.is_stuck(14.0, 5.0)
        outlet.unsent = 1
    else:
        lane.open(outlet)

    assert not lane.is_stuck(16.0, 5.0)


def test_a_lane_is_stuck_at_once_when_more_waits_than_a_call_can_mean():
    outlet, lane = Outlet(), Lane()
    lane.open(outlet)
    outlet.unsent = MAX_UNSENT + 1

    assert lane.is_stuck(10.0, 5.0)
