"""The second wall between tenants: on PostgreSQL each transaction says whose rows it is for.

The policies that heed it are in the migrations: a row of another tenant is neither seen nor
written, and who says nothing sees nothing. SQLite has no such wall; there the queries are it.
"""

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

SETTING = "ivr.tenant"
# The installation's own work: jobs, and finding out whose a called number or a key is.
EVERY_TENANT = "*"
TENANT_OPTION = "tenant"  # an execution option of SQLAlchemy: the id, as text

_SAY = f"SELECT set_config('{SETTING}', $1, true)"

_OWNED = """
SELECT oid::regclass::text FROM pg_class
  WHERE CAST(relkind AS text) = :kind AND relname <> 'alembic_version'
    AND relnamespace = CAST(quote_ident(current_schema()) AS regnamespace)
    AND relowner = CAST(quote_ident(current_user) AS regrole)
  ORDER BY relname
"""

_TABLE, _SEQUENCE = "r", "S"  # pg_class.relkind

_RIGHTS = """
SELECT role.rolsuper, role.rolbypassrls, pg_has_role(leads.relowner, 'USAGE') AS owns
  FROM pg_roles AS role, pg_class AS leads
  WHERE role.rolname = current_user AND leads.oid = 'leads'::regclass
"""


def say_whose(connection: Connection) -> None:
    """Begin a transaction with the tenant it is for; without one it stays with every tenant."""
    options = connection.get_execution_options()
    if tenant := options.get(TENANT_OPTION):
        assert options.get("isolation_level") != "AUTOCOMMIT", (
            "what is said ends with a transaction"
        )
        connection.exec_driver_sql(_SAY, (tenant,))


def grant(connection: Connection, role: str) -> None:
    """Let a role do what a server does with the tables: no table, policy or right is its own."""
    quote = connection.dialect.identifier_preparer.quote
    schema = connection.scalar(text("SELECT current_schema()"))
    for rights in (
        f"USAGE ON SCHEMA {quote(str(schema))}",
        f"SELECT, INSERT, UPDATE, DELETE ON {_owned(connection, _TABLE)}",
        f"USAGE ON SEQUENCE {_owned(connection, _SEQUENCE)}",
        "SELECT ON alembic_version",
    ):
        connection.execute(text(f"GRANT {rights} TO {quote(role)}"))


def _owned(connection: Connection, kind: str) -> str:
    return ", ".join(connection.scalars(text(_OWNED), {"kind": kind}))


async def weakness(connection: AsyncConnection) -> str | None:
    """Return why the policies do not hold for the role that we connect as, None if they do."""
    rights = (await connection.execute(text(_RIGHTS))).one()
    if rights.rolsuper or rights.rolbypassrls:
        return "may see past row-level security"
    return "owns the tables, so it could switch row-level security off" if rights.owns else None
