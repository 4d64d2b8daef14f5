"""A connection to SQLite that leaves the event loop only for what may take long.

SQLAlchemy asks four things of a connection per statement, and with aiosqlite each is a trip to a
thread and back, which costs more than the statement. Here the statements of a transaction that
writes are done on the spot: it holds the only lock, and touches the few rows of one call. Whatever
may wait, for that lock or for the disk, goes to the thread, and so does every statement that only
reads, since nobody knows how much it reads.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any

import aiosqlite

_ROWS = 64  # fetched at once by who iterates over a cursor; SQLAlchemy does not
_STATEMENTS = frozenset({"execute", "executemany"})
_LOCKED = "BEGIN IMMEDIATE"
_ENDS = frozenset({"commit", "rollback"})
_AT_ONCE = ("SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH ")


class Connection(aiosqlite.Connection):
    """aiosqlite's, with fewer trips."""

    _is_locked = False  # for us
    _must_queue = False

    async def _execute(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        statement = args[0] if fn.__name__ in _STATEMENTS else None
        if not self._must_queue and self._is_quick(fn, statement):
            result = fn(*args, **kwargs)
            if statement:  # a transaction of thirty must not hold up the calls
                await asyncio.sleep(0)
        else:
            result = await self._queue(fn, *args, **kwargs)
        if statement == _LOCKED or fn.__name__ in _ENDS:
            self._is_locked = statement == _LOCKED
        return result

    async def _queue(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            # aiosqlite leaves it untyped: decision 8
            return await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]  # no types
        except asyncio.CancelledError:
            self._must_queue = True  # it may be under way in the thread: what follows comes after
            raise

    def _is_quick(self, function: Callable[..., Any], statement: str | None) -> bool:
        """Return whether this neither waits nor takes long."""
        if statement is not None:
            return statement == "BEGIN" or (self._is_locked and statement.startswith(_AT_ONCE))
        match function.__name__:
            case "cursor" | "rollback":  # which only forgets (WAL)
                return True
            case "close":
                # a bound method, which `Callable` does not say
                return isinstance(function.__self__, sqlite3.Cursor)  # type: ignore[attr-defined]  # a method
        return self._is_locked and function.__name__ == "fetchall"


def connect(path: str, **arguments: Any) -> Connection:
    """Return a connection; awaited, it is open."""
    connection = Connection(partial(sqlite3.connect, path, **arguments), _ROWS)
    # As SQLAlchemy does with its own: a forgotten one must not keep the process from leaving.
    connection._thread.daemon = True
    return connection


# What `create_async_engine` takes as `connect_args`. The loop's thread uses the connection and the
# connection's own does, never both at once.
ARGUMENTS = {"async_creator_fn": connect, "check_same_thread": False}
