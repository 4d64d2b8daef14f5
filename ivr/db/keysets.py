"""Where a page of a list begins and ends: behind the key of one row, with that of another."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, literal, tuple_


def behind(
    columns: Sequence[Any], key: Sequence[Any], *, is_falling: bool = False
) -> ColumnElement[bool]:
    """Return what holds for the rows behind a key, in the order of these columns (none is NULL).

    One comparison of rows: an index that has the columns in their order is entered right there.
    """
    here, there = _compared(columns, key)
    return here < there if is_falling else here > there


def until(
    columns: Sequence[Any], key: Sequence[Any], *, is_falling: bool = False
) -> ColumnElement[bool]:
    """Return what holds for the row with this key and for those before it."""
    here, there = _compared(columns, key)
    return here >= there if is_falling else here <= there


def _compared(
    columns: Sequence[Any], key: Sequence[Any]
) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    values = (literal(value, it.type) for value, it in zip(key, columns, strict=True))
    return tuple_(*columns), tuple_(*values)
