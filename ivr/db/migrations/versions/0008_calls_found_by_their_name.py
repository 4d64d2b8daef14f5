"""An index by which a call is found by its CallSid, whoever has the called number by then."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_index("conversations_by_key", "conversation_sessions", ["session_key"])


def downgrade() -> None:
    op.drop_index("conversations_by_key", "conversation_sessions")
