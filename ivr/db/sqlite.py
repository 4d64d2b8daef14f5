"""A connection to SQLite that leaves the event loop only for what may take long.

SQLAlchemy asks four things of a connection per statement, and with aiosqlite each is a trip to a
thread and back, which costs more than the statement. Here the statements of a transaction that
writes are done on the spot: it holds the only lock, and touches the few rows of one call. So is
taking that lock while it is free. Whatever may wait, for the lock or for the disk, goes to the
thread, and so does every statement that only reads, since nobody knows how much it reads: in one
trip, with its rows.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any

import aiosqlite

_ROWS = 64  # fetched at once by who iterates over a cursor; SQLAlchemy does not
_STATEMENTS = frozenset({"execute", "executemany"})
_FETCHES = frozenset({"fetchone", "fetchmany", "fetchall"})
_READS = ("SELECT ", "WITH ")
_LOCKED = "BEGIN IMMEDIATE"
_ENDS = frozenset({"commit", "rollback"})
_AT_ONCE = ("SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH ")


class Connection(aiosqlite.Connection):
    """aiosqlite's, with fewer trips."""

    _is_locked = False  # for us
    _must_queue = False
    _patience: int | None = None  # for the lock, in ms; as it was set
    _fetched: tuple[sqlite3.Cursor, list[Any]] | None = None  # what was just read, and by whom

    async def _execute(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        statement = args[0] if fn.__name__ in _STATEMENTS else None
        if fn.__name__ in _FETCHES and (rows := self._take(fn)) is not None:
            return rows
        if statement == _LOCKED and not self._must_queue and self._lock_at_once(fn):
            self._is_locked = True
            return fn.__self__
        if not self._must_queue and self._is_quick(fn, statement):
            result = fn(*args, **kwargs)
            if statement:  # a transaction of thirty must not hold up the calls
                await asyncio.sleep(0)
        elif statement is not None and statement.startswith(_READS):
            result, rows = await self._queue(_with_rows, fn, *args, **kwargs)
            self._fetched = (result, rows)
        else:
            result = await self._queue(fn, *args, **kwargs)
        if statement == _LOCKED or fn.__name__ in _ENDS:
            self._is_locked = statement == _LOCKED
        return result

    def _lock_at_once(self, execute: Any) -> bool:
        """Take the lock if nobody has it; return whether it is ours now."""
        if self._patience is None:
            (self._patience,) = self._conn.execute("PRAGMA busy_timeout").fetchone()
        self._conn.execute("PRAGMA busy_timeout=0").close()
        try:
            execute(_LOCKED)
        except sqlite3.OperationalError:  # the thread will wait for it
            return False
        finally:
            self._conn.execute(f"PRAGMA busy_timeout={self._patience}").close()
        return True

    def _take(self, fetch: Any) -> list[Any] | None:
        """Return the rows that came with the statement."""
        if self._fetched is None or self._fetched[0] is not fetch.__self__:
            return None
        assert fetch.__name__ == "fetchall", "SQLAlchemy fetches row by row only what it streams"
        (_, rows), self._fetched = self._fetched, None
        return rows

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


def _with_rows(execute: Any, *args: Any) -> tuple[sqlite3.Cursor, list[Any]]:
    cursor = execute(*args)
    return cursor, cursor.fetchall()


def connect(path: str, **arguments: Any) -> Connection:
    """Return a connection; awaited, it is open."""
    connection = Connection(partial(sqlite3.connect, path, **arguments), _ROWS)
    # As SQLAlchemy does with its own: a forgotten one must not keep the process from leaving.
    connection._thread.daemon = True
    return connection


# What `create_async_engine` takes as `connect_args`. The loop's thread uses the connection and the
# connection's own does, never both at once.
ARGUMENTS = {"async_creator_fn": connect, "check_same_thread": False}
