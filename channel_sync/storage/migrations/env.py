"""How Alembic runs the steps: on the connection it is handed, in one transaction, one process at a time."""

from alembic import context
from sqlalchemy import Connection

_LOCK = 4_815_162_342  # any number, the same in every process

connection: Connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    # Not Alembic's default name: Dagster keeps its own "alembic_version", perhaps in the same database.
    version_table="schema_version",
    version_table_schema="channel_sync",
)
with context.begin_transaction():
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS channel_sync")
    context.run_migrations()
