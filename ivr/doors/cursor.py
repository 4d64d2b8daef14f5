"""Where a page of a list ended, as a word for `?cursor=`: opaque, and good for that list only.

A page begins behind a key, not at a number: rows that come and go meanwhile move no others.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from fastapi import Query
from pydantic import AfterValidator, AwareDatetime, Field, TypeAdapter
from pydantic_core import to_jsonable_python
from starlette.datastructures import URL

from ivr.errors import BadRequest

MOST_AT_ONCE = 200
_MOST_LENGTH = 1000
_DIGEST = 12  # against mistakes, not against attacks: a cursor opens nothing

Key = TypeVar("Key")
Row = TypeVar("Row")


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("expected a moment of the years 1 to 9999") from None


# What the parts of a key may be, whatever somebody has put together by hand: what a database takes.
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Number = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]

Limit = Annotated[int, Query(ge=1, le=MOST_AT_ONCE, description="How many at once.")]
Cursor = Annotated[
    str | None,
    Query(max_length=_MOST_LENGTH, description="The `next_cursor` of the page before."),
]


def encode(asked: object, key: tuple[object, ...]) -> str:
    """Return the cursor behind the row with this key; `asked`: which list, its order, its filters.

    `asked` is plain JSON. Its digest goes into the cursor, its words do not.
    """
    spelled = json.dumps([_digest(asked), *to_jsonable_python(key)], separators=(",", ":"))
    return base64.urlsafe_b64encode(spelled.encode()).decode().rstrip("=")


def decode(cursor: str | None, asked: object, shape: type[Key]) -> Key | None:
    """Return the key in a cursor, None for the first page; raise `BadRequest` naming `cursor`.

    `shape` is what the key is made of, e.g. `tuple[Moment, UUID]`.
    """
    if cursor is None:
        return None
    try:
        digest, *key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if digest != _digest(asked):
            raise ValueError("another list's")
        return TypeAdapter(shape).validate_json(json.dumps(key))
    except (ValueError, TypeError, RecursionError):  # the errors of base64, JSON and pydantic too
        raise BadRequest(
            "cursor: expected the next_cursor of an earlier page of this list"
        ) from None


def link(url: URL, cursor: str) -> str:
    """Return the `Link` (RFC 8288) from this page to the one behind the cursor."""
    onward = url.include_query_params(cursor=cursor).remove_query_params("offset")
    return f'<{onward.path}?{onward.query}>; rel="next"'


def page(
    rows: Sequence[Row], limit: int, asked: object, key_of: Callable[[Row], tuple[object, ...]]
) -> tuple[Sequence[Row], str | None]:
    """Return the rows to show and the cursor behind them; `rows` are asked for with `limit + 1`."""
    if len(rows) <= limit:
        return rows, None
    shown = rows[:limit]
    return shown, encode(asked, key_of(shown[-1]))


def _digest(asked: object) -> str:
    spelled = json.dumps(to_jsonable_python(asked), sort_keys=True)
    return hashlib.sha256(spelled.encode()).hexdigest()[:_DIGEST]
