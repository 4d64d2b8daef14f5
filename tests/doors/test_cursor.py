"""Cursors: they lead on in their own list, and nothing made by hand gets through."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.doors import cursor as cursors
from ivr.doors.cursor import Moment, Number
from ivr.errors import BadRequest

ASKED = ["leads", "-created_at", {"stage": "NEW"}]
SHAPE = tuple[Moment, UUID]
NOW = datetime(2026, 11, 21, 12, 30, 15, 123456, tzinfo=UTC)
KEY = (NOW, UUID("00000000-0000-4000-8000-000000000001"))


def made(*parts: object) -> str:
    """A cursor of this list with any key, as somebody may put it together."""
    digest = json.loads(base64.urlsafe_b64decode(cursors.encode(ASKED, ()) + "=="))[0]
    spelled = json.dumps([digest, *parts])
    return base64.urlsafe_b64encode(spelled.encode()).decode()


def test_a_cursor_says_where_the_page_ended() -> None:
    cursor = cursors.encode(ASKED, KEY)
    assert cursors.decode(cursor, ASKED, SHAPE) == KEY
    assert cursors.decode(None, ASKED, SHAPE) is None
    assert "NEW" not in cursor and "=" not in cursor


def test_moments_come_back_in_utc() -> None:
    there = NOW.astimezone(timezone(timedelta(hours=3)))
    found = cursors.decode(cursors.encode(ASKED, (there, KEY[1])), ASKED, SHAPE)
    assert found is not None and found[0] == NOW and found[0].tzinfo is UTC


@given(st.datetimes(timezones=st.just(UTC)), st.uuids(), st.integers(-(2**31), 2**31 - 1))
def test_every_key_comes_back_as_it_was(moment: datetime, key: UUID, number: int) -> None:
    whole = (moment, key, number, None)
    shape = tuple[Moment, UUID, Number, Number | None]
    assert cursors.decode(cursors.encode(ASKED, whole), ASKED, shape) == whole


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "é",
        "null",
        "a" * 999,
        cursors.encode(["conversations"], KEY),
        cursors.encode(["leads", "-created_at", {"stage": "LOST"}], KEY),
        cursors.encode(ASKED, (*KEY, 1)),
        base64.urlsafe_b64encode(b"[" * 700).decode(),
        base64.urlsafe_b64encode(b"{}").decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        made("2026-11-21T12:30:15", str(KEY[1])),
        made("0001-01-01T00:00:00+23:59", str(KEY[1])),
        made(NOW.isoformat(), "no-uuid"),
        made(NOW.isoformat()),
        made(1e400, str(KEY[1])),
    ],
    ids=lambda cursor: cursor[:12] or "empty",
)
def test_what_is_no_cursor_of_this_list_is_refused_by_its_name(cursor: str) -> None:
    with pytest.raises(BadRequest, match="^cursor: expected the next_cursor"):
        cursors.decode(cursor, ASKED, SHAPE)


@given(st.text(max_size=60))
def test_no_text_does_worse_than_be_refused(cursor: str) -> None:
    with pytest.raises(BadRequest):
        cursors.decode(cursor, ASKED, SHAPE)


def test_a_number_that_no_database_holds_is_refused() -> None:
    with pytest.raises(BadRequest):
        cursors.decode(made(2**31), ASKED, tuple[Number])


@pytest.mark.parametrize(("rows", "shown"), [(0, 0), (2, 2), (3, 2)])
def test_a_page_leads_on_only_where_there_is_more(rows: int, shown: int) -> None:
    found = [(NOW - timedelta(seconds=number), uuid4()) for number in range(rows)]
    page, more = cursors.page(found, 2, ASKED, lambda row: row)
    assert len(page) == shown
    assert behind(more) == (found[1] if rows > 2 else None)


def behind(cursor: str | None) -> Sequence[object] | None:
    return cursors.decode(cursor, ASKED, SHAPE)
