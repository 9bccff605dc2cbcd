"""Bring a database to the schema of this version of the product.

The schema as it stands is SCHEMA_FILES; how an older database gets there is in
``migrations/versions``, one file per step, applied by Alembic. To change the schema: edit the file in ``sql``, write
the step that does the same to an older database, and let the test that compares the two say whether it does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, NullPool, create_engine

from adapters.errors import ConfigurationError
from channel_sync.storage.database import Database, create_database, with_database

_HERE = Path(__file__).parent
SCHEMA_FILES = tuple(
    _HERE / "sql" / f"{name}.sql"
    for name in (
        "schema",
        "schema_rate_limits",
        "schema_circuit_breakers",
        "schema_api_calls",
        "schema_house",
        "schema_webhooks",
        "schema_acknowledgements",
        "analytics",
    )
)
_MAINTENANCE_DATABASE = "postgres"  # every server has one


def migrate(url: str) -> None:
    """Create the database if it is missing and apply the steps it has not had. Safe to run from many processes at once.

    All steps are one transaction: a killed migration leaves the database as it was.
    """
    _create_if_missing(url)
    with _alembic(url) as config:
        command.upgrade(config, "head")


def fresh(url: str) -> None:
    """Give an empty database the schema as it stands, without the way there, and mark it as up to date."""
    with Database(url).connect() as connection:
        for file in SCHEMA_FILES:
            connection.execute(file.read_bytes())
    with _alembic(url) as config:
        command.stamp(config, "head")


def _create_if_missing(url: str) -> None:
    database = Database(url)
    try:
        with database.connect():
            return
    except psycopg.OperationalError:
        # Either the database is not there or the server is not: the maintenance database knows.
        server = with_database(url, _MAINTENANCE_DATABASE)
        try:
            create_database(server, database.name)
        except (psycopg.Error, ConfigurationError) as failure:
            raise ConfigurationError(
                f"database {database.name!r} cannot be reached and cannot be created ({type(failure).__name__}): "
                "check that the server runs and that the URL's user may log in or create databases"
            ) from None


@contextmanager
def _alembic(url: str) -> Iterator[Config]:
    database = Database(url)
    with database.connect() as connection:
        # Alembic wants SQLAlchemy; the connection is ours, so that the session is set up as everywhere else.
        engine = create_engine("postgresql+psycopg://", creator=lambda: connection, poolclass=NullPool)
        with engine.connect() as bound:
            yield _config(bound)


def _config(connection: Connection) -> Config:
    config = Config()
    # Alembic reads the value through configparser, to which % means something.
    config.set_main_option("script_location", str(_HERE / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
