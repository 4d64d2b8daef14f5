"""`docs/acceptance.md` names only tests that exist, and has a row for every number promised."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "acceptance.md").read_text(encoding="utf-8")
# What stands between backticks and has `::` in it; the first line explains itself so.
NAMED = sorted(set(re.findall(r"`([^`\s]+)::([^`\s]+)`", TEXT)) - {("path", "name")})
PROMISED = {
    "S0": [*range(1, 73)],
    "S2": [*range(1, 69)],
    "X": [1, 2, 3, 4, 5, 6, 9],
    "S3": [*range(1, 45), 46, 50, 51, 52],
}


@cache
def functions(path: Path) -> frozenset[str]:
    """Return the names of the functions of a test file."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in nodes if isinstance(node, kinds))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    path = ROOT / file
    assert file.startswith("tests/") and path.is_file(), f"no file {file}"
    function = name.partition("[")[0]
    assert function.startswith("test_") and function in functions(path), f"no {name} in {file}"


@pytest.mark.parametrize("document", PROMISED)
def test_every_promised_number_has_one_row(document: str) -> None:
    numbers = [int(number) for number in re.findall(rf"(?m)^\| {document}\.(\d+) \|", TEXT)]
    assert numbers == PROMISED[document]


def test_every_row_shows_something_or_says_that_nothing_does() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| ") and "---" not in line]
    assert len(rows) > sum(map(len, PROMISED.values()))
    heads = [row for row in rows if row.endswith("| shown by |")]
    for row in set(rows) - set(heads):
        assert "::test_" in row or "`make " in row or "not shown" in row, row
