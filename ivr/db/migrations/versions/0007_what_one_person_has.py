"""Indexes by which all that belongs to one person is found: to erase it, or to split it off."""

from alembic import op

revision = "0007"
down_revision = "0006"

_FOUND_BY = (
    ("succeeded_leads", "session_id"),
    ("failed_leads", "session_id"),
    ("review_items", "conversation_id"),
    ("review_items", "submission_id"),
    ("tasks", "conversation_id"),
    ("escalations", "conversation_id"),
)


def upgrade() -> None:
    for table, column in _FOUND_BY:
        op.create_index(f"ix_{table}_{column}", table, [column])
    op.create_index(
        "conversations_of_number", "conversation_sessions", ["tenant_id", "from_number"]
    )


def downgrade() -> None:
    op.drop_index("conversations_of_number", "conversation_sessions")
    for table, column in _FOUND_BY:
        op.drop_index(f"ix_{table}_{column}", table)
