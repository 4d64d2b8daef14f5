"""The streams that follow one another in a call, and tasks for people."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("conversation_sessions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("streams", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("carried_by", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("line_closed_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("line_due_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(
            sa.Column("line_tries", sa.Integer(), server_default="0", nullable=False)
        )
        batch_op.create_index(
            batch_op.f("ix_conversation_sessions_line_closed_at"), ["line_closed_at"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_conversation_sessions_line_due_at"), ["line_due_at"], unique=False
        )
    # Before this revision a call had one stream at most.
    op.execute("UPDATE conversation_sessions SET streams = 1 WHERE stream_opened_at IS NOT NULL")
    # Nobody asked Twilio then; a call that is finished is taken to be over.
    op.execute(
        "UPDATE conversation_sessions SET line_closed_at = ended_at WHERE status = 'finished'"
    )

    op.create_table(
        "tasks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("lead_id", sa.Uuid(), nullable=False),
        sa.Column("conversation_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversation_sessions.id"],
        ),
        sa.ForeignKeyConstraint(
            ["lead_id"],
            ["leads.id"],
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.create_index(
            "one_open_task",
            ["lead_id", "kind"],
            unique=True,
            sqlite_where=sa.text("done_at IS NULL"),
            postgresql_where=sa.text("done_at IS NULL"),
        )
        batch_op.create_index(batch_op.f("ix_tasks_due_at"), ["due_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_tasks_lead_id"), ["lead_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_tasks_tenant_id"), ["tenant_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_tasks_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_tasks_lead_id"))
        batch_op.drop_index(batch_op.f("ix_tasks_due_at"))
        batch_op.drop_index(
            "one_open_task",
            sqlite_where=sa.text("done_at IS NULL"),
            postgresql_where=sa.text("done_at IS NULL"),
        )

    op.drop_table("tasks")
    with op.batch_alter_table("conversation_sessions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_conversation_sessions_line_due_at"))
        batch_op.drop_index(batch_op.f("ix_conversation_sessions_line_closed_at"))
        batch_op.drop_column("line_tries")
        batch_op.drop_column("line_due_at")
        batch_op.drop_column("line_closed_at")
        batch_op.drop_column("carried_by")
        batch_op.drop_column("streams")
