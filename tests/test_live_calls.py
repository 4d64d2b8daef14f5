"""The book of calls: places, and the hand-over of streams that are closed."""

import asyncio
from dataclasses import dataclass

from ivr.admission import Admission, Limits, Refusal
from ivr.live_calls import ASKING_SECONDS, OFFER_SECONDS, LiveCalls


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Stream:
    is_saying_goodbye: bool = False
    stopped: int = 0

    def stop(self) -> None:
        self.stopped += 1


def book(places: int = 1) -> tuple[LiveCalls, Clock]:
    clock = Clock()
    return LiveCalls(Admission(Limits(places, 100, 1), 0.0), clock), clock


def test_an_offered_place_is_taken_until_the_offer_is_stale() -> None:
    live, clock = book()
    assert live.offer("CA1") is None
    assert live.offer("CA2") is Refusal.CAP
    clock.now = OFFER_SECONDS
    assert live.offer("CA2") is None


def test_the_same_call_asks_twice_and_has_one_place() -> None:
    live, _ = book()
    assert [live.offer("CA1"), live.offer("CA1")] == [None, None]
    assert (live.taken, live.admission.admitted) == (1, 1)


def test_a_call_that_is_over_before_its_stream_opened_frees_its_place() -> None:
    live, _ = book()
    live.offer("CA1")
    live.withdraw("CA1")
    assert live.offer("CA2") is None


def test_a_call_that_comes_back_is_never_refused() -> None:
    live, _ = book()
    live.offer("CA1")
    live.admission.note_memory(1)
    assert live.offer("CA2", comes_back=True) is None
    assert (live.taken, live.refusal) == (2, Refusal.CAP)


def test_a_call_whose_next_stream_is_open_already_stays_in_the_book() -> None:
    live, _ = book()
    first, second = live.carry("CA1"), live.carry("CA1")
    with second:
        with first:
            pass
    assert "CA1" not in live
    with live.carry("CA1"):
        earlier = live.carry("CA1")
        earlier.__enter__()
    assert "CA1" in live


def test_streams_are_stopped_but_not_in_the_middle_of_a_goodbye() -> None:
    live, _ = book()
    talking, leaving = Stream(), Stream(is_saying_goodbye=True)
    with live.carry("CA1"), live.carry("CA2"):
        live.attach("CA1", talking)
        live.attach("CA2", leaving)
        live.stop_streams(goodbyes=False)
        assert (talking.stopped, leaving.stopped) == (1, 0)
        live.stop_streams(goodbyes=True)
        assert leaving.stopped == 1


def test_a_stream_that_opens_after_all_were_stopped_is_stopped_as_well() -> None:
    live, _ = book()
    late = Stream()
    live.stop_streams(goodbyes=True)
    with live.carry("CA1"):
        live.attach("CA1", late)
    assert late.stopped == 1


def test_a_call_is_handed_over_when_twilio_has_asked_what_follows() -> None:
    live, _ = book()
    live.drain()
    with live.carry("CA1"):
        assert not live.is_handed_over
    assert not live.is_handed_over
    live.asked("CA1")
    assert live.is_handed_over


def test_a_call_that_nobody_asks_about_is_waited_for_only_so_long() -> None:
    live, clock = book()
    live.drain()
    with live.carry("CA1"):
        pass
    assert not live.is_handed_over
    clock.now = ASKING_SECONDS
    assert live.is_handed_over


def test_told_twice_to_drain_it_is_in_a_hurry() -> None:
    live, _ = book()
    assert [live.drain(), live.is_draining, live.is_hurried] == [None, True, False]
    assert [live.drain(), live.is_hurried] == [None, True]


async def test_who_waits_for_a_stream_to_close_waits_for_that_one_and_not_for_ever() -> None:
    live, _ = book()
    await live.left("CA1", seconds=60)  # nobody carries it here
    with live.carry("CA1"):
        await live.left("CA1", seconds=0)
        waiting = asyncio.create_task(live.left("CA1", seconds=60))
        await asyncio.sleep(0)
        assert not waiting.done()
    await waiting
