"""The database: engine and transactions, tables, migrations."""

from ivr.db.engine import Database

__all__ = ["Database"]
