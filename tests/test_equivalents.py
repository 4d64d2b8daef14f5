"""`docs/equivalents.md` has every table and part of the owner's document, and ours exist."""

import re
import tomllib
from pathlib import Path

from sqlmodel import SQLModel

import ivr.db.tables  # noqa: F401  # which makes the tables known

ROOT = Path(__file__).parent.parent
PARTS, TABLES = (ROOT / "docs" / "equivalents.md").read_text().split("## Tables")
NAMED = (
    *("clients", "leads", "conversations", "messages", "knowledge_base", "knowledge_chunks"),
    *("qualification_rules", "escalations", "usage_logs"),
)


def rows_of(text: str) -> list[tuple[str, str]]:
    """Both cells of each row of a table, without its head."""
    return re.findall(r"(?m)^\| (.+) \| (.+) \|$", text)[2:]


def test_every_table_of_the_document_is_one_of_ours_or_said_to_be_missing() -> None:
    told: list[str] = []
    for theirs, ours in rows_of(TABLES):
        told += re.findall(r"`(\w+)`", theirs)
        names = re.findall(r"`(\w+)`", ours)
        assert set(names) <= SQLModel.metadata.tables.keys(), theirs
        assert names or "not there yet" in ours, theirs
    assert tuple(told) == NAMED


def test_the_parts_that_are_the_same_are_those_that_are_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    used = {re.split(r"[\[><=]", line)[0] for line in project["dependencies"]}
    assert used >= {"fastapi", "sqlmodel", "structlog", "anthropic", "dbos", "alembic"}
    for name in ("FastAPI", "SQLAlchemy 2", "Redis", "structlog", "Sentry", "pyproject.toml"):
        assert any(name in theirs for theirs, _ in rows_of(PARTS)), name
