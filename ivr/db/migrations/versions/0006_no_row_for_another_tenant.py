"""Row-level security on PostgreSQL: a transaction sees and writes one tenant's rows, or all.

Which, the setting `ivr.tenant` says: a tenant's id, or `*`. The two are asked for once a query, not
once a row, which is what the SELECTs are for. FORCE: it binds the owner of the tables as well.
"""

from alembic import op
from sqlalchemy import text

revision = "0006"
down_revision = "0005"

SETTING = "current_setting('ivr.tenant', true)"
POLICY = f"""
CREATE POLICY of_tenant ON {{table}} USING (
  (SELECT {SETTING}) = '*' OR {{column}} = (SELECT nullif(nullif({SETTING}, '*'), '')::uuid)
)
"""
TENANTS_TABLES = """
SELECT table_name FROM information_schema.columns
  WHERE table_schema = current_schema() AND column_name = 'tenant_id' ORDER BY table_name
"""


def _tables() -> dict[str, str]:
    """Return each table with the column that says whose a row is."""
    names = op.get_bind().scalars(text(TENANTS_TABLES))
    return {"tenants": "id", **dict.fromkeys(names, "tenant_id")}


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, column in _tables().items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(POLICY.format(table=table, column=column))


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in _tables():
        op.execute(f"DROP POLICY of_tenant ON {table}")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
