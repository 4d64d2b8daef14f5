"""What is kept of a field's values, and which one counts."""

import uuid

import pytest

from ivr.db import Database
from ivr.db.tables import FieldValue, Source
from ivr.leads import values
from ivr.leads.values import choose
from tests.leads.cast import NOW, call, rows


def given(*story: tuple[Source, str | None]) -> str | None:
    """Return the value that counts after a story of (source, value), oldest first."""
    rows = [
        FieldValue(
            tenant_id=uuid.uuid4(),
            lead_id=uuid.uuid4(),
            conversation_id=uuid.uuid4(),
            name="zip_code",
            value=value,
            raw=value or "?",
            source=source,
            problem=None if value else "no",
            created_at=NOW,
        )
        for source, value in story
    ]
    chosen = choose(rows).get("zip_code")
    return chosen.value if chosen else None


@pytest.mark.parametrize(
    ("story", "counts"),
    [
        ([(Source.TOOL, "a"), (Source.TOOL, "b")], "b"),
        ([(Source.CONFIRMED, "a"), (Source.TOOL, "b")], "b"),
        ([(Source.CONFIRMED, "a"), (Source.EXTRACTED, "b")], "a"),
        ([(Source.TOOL, "a"), (Source.EXTRACTED, "b")], "a"),
        ([(Source.EXTRACTED, "a"), (Source.TOOL, "b")], "b"),
        ([(Source.CALLER_ID, "a"), (Source.EXTRACTED, "b")], "a"),
        ([(Source.CALLER_ID, "a"), (Source.TOOL, "b")], "b"),
        ([(Source.INFERRED, "a"), (Source.EXTRACTED, "b")], "b"),
        ([(Source.EXTRACTED, "a"), (Source.INFERRED, "b")], "a"),
        ([(Source.TYPED, "a"), (Source.EXTRACTED, "b")], "a"),
        ([(Source.TOOL, "a"), (Source.TOOL, None)], "a"),
        ([(Source.TOOL, "a"), (Source.CONFIRMED, None)], None),
        ([(Source.TOOL, "a"), (Source.CONFIRMED, None), (Source.TOOL, "b")], "b"),
        ([(Source.TOOL, None)], None),
        ([], None),
    ],
)
def test_the_value_that_counts(story: list[tuple[Source, str | None]], counts: str | None) -> None:
    assert given(*story) == counts


def test_a_confirmed_value_stays_confirmed_when_it_is_saved_again() -> None:
    rows = [(Source.CONFIRMED, "a"), (Source.TOOL, "a")]
    assert given(*rows) == "a"


async def test_a_nul_is_left_out_of_a_value(db: Database) -> None:
    conversation = await call(db, caller=None)
    async with db.write() as session:
        await values.add(
            session,
            conversation,
            name="full_name",
            value="John\0 Doe",
            raw="John\0 Doe",
            source=Source.TOOL,
            problem="\0?",
            quote="I am John\0 Doe",
            now=NOW,
        )
    [row] = await rows(db, FieldValue)
    assert (row.value, row.raw, row.problem, row.quote) == (
        "John Doe",
        "John Doe",
        "?",
        "I am John Doe",
    )
