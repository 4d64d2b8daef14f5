"""What the caller has heard, by the marks that came back and the time that went by."""

from ivr.voice.media_stream import BYTES_PER_MS
from ivr.voice.playback import MAX_QUEUED_MS, Cut, Playback

HALF_SECOND = 4000  # bytes


def test_what_was_sent_is_unheard_until_its_mark_comes_back():
    playback = Playback()

    mark = playback.send("item1", HALF_SECOND, now=0.0)
    assert mark == "0:item1:500"
    assert playback.unheard_ms == 500
    assert not playback.is_settled("item1")

    assert playback.echo(mark, now=0.5)
    assert playback.unheard_ms == 0
    assert not playback.is_playing
    assert playback.is_settled("item1")
    assert playback.heard("item1") == (500, 1.0)


def test_milliseconds_do_not_drift_when_pieces_are_odd():
    playback = Playback()

    marks = [playback.send("item1", 1602, now=0.0) for _ in range(4)]

    assert marks[-1] == "0:item1:801"  # 4 * 1602 / 8, where four times 200 would be 800


def test_a_cut_says_how_much_of_each_queued_item_was_heard():
    playback = Playback()
    first = playback.send("item1", HALF_SECOND, now=0.0)
    playback.send("item1", HALF_SECOND, now=0.0)
    playback.send("item2", HALF_SECOND, now=0.0)
    playback.echo(first, now=0.5)

    assert playback.cut(now=0.6) == [Cut("item1", 600), Cut("item2", 0)]
    assert playback.is_muted("item1")
    assert playback.is_muted("item2")


def test_elapsed_time_never_counts_for_more_than_the_next_mark():
    playback = Playback()
    playback.send("item1", HALF_SECOND, now=0.0)
    playback.send("item1", HALF_SECOND, now=0.0)

    assert playback.cut(now=60.0) == [Cut("item1", 500)]


def test_the_clock_starts_when_sound_enters_an_empty_queue():
    playback = Playback()
    playback.echo(playback.send("item1", HALF_SECOND, now=0.0), now=0.5)
    playback.send("item2", HALF_SECOND, now=10.0)

    assert playback.cut(now=10.1) == [Cut("item2", 100)]


def test_echoes_after_a_cut_prove_nothing():
    playback = Playback()
    stale = playback.send("item1", HALF_SECOND, now=0.0)
    playback.cut(now=0.1)

    assert not playback.echo(stale, now=0.2)
    assert playback.heard("item1") == (100, 0.2)


def test_repeated_and_foreign_echoes_are_ignored():
    playback = Playback()
    mark = playback.send("item1", HALF_SECOND, now=0.0)
    playback.echo(mark, now=0.5)

    assert not playback.echo(mark, now=0.6)
    assert not playback.echo("0:item1:99999", now=0.6)
    assert not playback.echo("garbage", now=0.6)
    assert playback.heard("item1") == (500, 1.0)


def test_an_echo_proves_what_stood_before_it_too():
    playback = Playback()
    playback.send("item1", HALF_SECOND, now=0.0)
    last = playback.send("item2", HALF_SECOND, now=0.0)

    playback.echo(last, now=1.0)

    assert playback.heard("item1") == (500, 1.0)
    assert playback.unheard_ms == 0


def test_sound_that_was_never_sent_counts_as_made_and_not_heard():
    playback = Playback()
    playback.echo(playback.send("item1", HALF_SECOND, now=0.0), now=0.5)
    playback.send("item1", HALF_SECOND, now=0.5)
    playback.cut(now=0.5)
    playback.drop("item1", 2 * HALF_SECOND)

    assert playback.heard("item1") == (500, 0.25)


def test_an_item_without_a_sound_sent_is_not_among_those_cut():
    playback = Playback()
    playback.drop("item1", HALF_SECOND)

    assert playback.cut(now=1.0) == []
    assert playback.heard("item1") == (0, 0.0)


def test_a_bookmark_comes_back_when_all_before_it_was_heard():
    playback = Playback()
    playback.send("item1", HALF_SECOND, now=0.0)
    bye = playback.bookmark("bye")

    assert playback.echo(bye, now=0.5)
    assert playback.unheard_ms == 0


def test_a_bookmark_of_before_a_cut_is_another_one():
    playback = Playback()
    before = playback.bookmark("bye")
    playback.cut(now=0.0)
    after = playback.bookmark("bye")

    assert before != after
    assert not playback.echo(before, now=0.1)
    assert playback.echo(after, now=0.1)


def test_it_is_full_by_what_is_still_to_be_heard_however_it_was_cut_up():
    playback = Playback()
    marks = [playback.send("item1", 37, 0.0) for _ in range(5_000)]
    assert not playback.is_full

    playback.send("item1", MAX_QUEUED_MS * BYTES_PER_MS, 0.0)
    assert playback.is_full

    playback.echo(marks[-1], 1.0)
    assert playback.is_full
    playback.cut(2.0)
    assert not playback.is_full
