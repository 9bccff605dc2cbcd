"""Connections of a run's process to Dagster's own storage."""

from dagster import DagsterInstance

_STATEMENT_MS = 60_000
_RECYCLE_S = 3_600
_MORE = 10


def keep_connections(instance: DagsterInstance) -> None:
    """Let this process keep its connections to Dagster's storage.

    By default Dagster opens and closes one for every event it writes: some sixty in a pull, which take a second of it
    or more, and under a quota no call is sent meanwhile. Only Postgres storage has connections to keep.
    """
    instance.optimize_for_webserver(
        statement_timeout=_STATEMENT_MS, pool_recycle=_RECYCLE_S, max_overflow=_MORE
    )
