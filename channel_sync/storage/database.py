"""Connections to the one database. Any Postgres from version 17 on will do, embedded or not."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import quote, urlsplit

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from adapters.errors import ConfigurationError

_OLDEST_SERVER = 170000  # MERGE ... RETURNING
_FORM = (
    "postgresql://user:password@host:5432/database, with special characters of the password percent-encoded"
)

# Given at connect time, so that they cost no round trip. Unqualified names are the engine's own tables.
_SESSION = {
    "search_path": "channel_sync,public",
    "timezone": "UTC",
    "idle_in_transaction_session_timeout": "5min",  # a stuck process must not keep rows locked
}


@dataclass(frozen=True, slots=True)
class Database:
    """Where everything is kept. ``url`` is a libpq URL and may hold a password: ``repr`` and errors leave it out.

    Raises ConfigurationError for a URL that libpq would not understand.
    """

    url: str = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse here what libpq would refuse later with the whole URL in its message."""
        _parameters(self.url)

    @property
    def name(self) -> str:
        """The database's name on its server."""
        return str(_parameters(self.url).get("dbname", ""))

    @contextmanager
    def connect(self, *, autocommit: bool = False) -> Iterator[psycopg.Connection]:
        """A new connection: committed when the block ends, rolled back when it raises, closed either way.

        Raises ConfigurationError if the server is older than Postgres 17, psycopg.OperationalError if there is none.
        """
        with self.open(autocommit=autocommit) as connection:
            yield connection

    def open(
        self, *, autocommit: bool, settings: Mapping[str, str] = MappingProxyType({})
    ) -> psycopg.Connection:
        """A new connection that the caller closes, with the session's ``settings`` beside the usual ones.

        Raises what ``connect`` raises.
        """
        given = _parameters(self.url)
        options = " ".join(f"-c {name}={value}" for name, value in {**_SESSION, **settings}.items())
        connection = psycopg.connect(
            self.url,
            autocommit=autocommit,
            application_name=given.get("application_name", "channel_sync"),
            connect_timeout=given.get("connect_timeout", 10),
            options=f"{options} {given.get('options', '')}".rstrip(),
        )
        try:
            refuse_old_server(connection.info.server_version)
        except ConfigurationError:
            connection.close()
            raise
        return connection


def refuse_old_server(version: int) -> None:
    """Raise ConfigurationError for a server (as libpq numbers them: 170004) that lacks what the engine relies on."""
    if version < _OLDEST_SERVER:
        raise ConfigurationError(
            f"the database server is Postgres {version // 10000}: version {_OLDEST_SERVER // 10000} or newer is needed"
        )


def with_database(url: str, name: str) -> str:
    """The same server's URL for the database ``name``."""
    return urlsplit(url)._replace(path=f"/{quote(name, safe='')}").geturl()


def create_database(url: str, name: str, *, template: str | None = None) -> None:
    """Create the database ``name`` on the server of ``url`` unless it is there. Two processes may do so at once.

    A copy of ``template`` is one of its files, which is eight times as quick as Postgres's default on a server that
    does not wait for its disk, as in the tests.
    """
    with Database(url).connect(autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).rowcount:
            return
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            statement += sql.SQL(" TEMPLATE {} STRATEGY file_copy").format(sql.Identifier(template))
        try:
            connection.execute(statement)
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return  # another process was quicker


def _parameters(url: str) -> dict[str, str]:
    try:
        found = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except psycopg.Error:
        raise ConfigurationError(f"the database URL is not of the form {_FORM}") from None
    scheme, _, rest = url.partition("://")
    user, _, _ = rest.partition("/")[0].rpartition("@")
    # In "user:p@ss@host" and "user:p/ss@host" libpq takes half a password for a host or a port, and would show it.
    misread = "@" in user or not re.fullmatch(r"[\d,]*", found.get("port", ""))
    if misread or scheme not in {"postgresql", "postgres"}:
        raise ConfigurationError(f"the database URL is not of the form {_FORM}")
    return found
