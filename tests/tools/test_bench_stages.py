"""Stage tracking is measured over every turn of every lead."""

from tools.bench.stages import TURNS, stage_tracking


def test_every_turn_is_measured_and_takes_its_time() -> None:
    spread = stage_tracking(3)
    assert spread.count == 3 * len(TURNS)
    assert 0 < spread.p50 <= spread.p95 <= spread.max
