"""What lives as long as the process: work in the background."""

import structlog

from ivr.runtime import Background
from tests.leads.cast import until


async def _fail() -> None:
    raise ZeroDivisionError


async def test_work_that_fails_in_the_background_is_logged() -> None:
    background = Background()
    with structlog.testing.capture_logs() as logs:
        background.start(_fail())
        await until(lambda: bool(logs))
    await background.close()
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("background work failed", "error")
    assert isinstance(line["exc_info"], ZeroDivisionError)


async def test_work_that_is_cut_off_by_the_end_is_no_error() -> None:
    background = Background()
    with structlog.testing.capture_logs() as logs:
        background.start(_fail())
        await background.close()
    assert logs == []
