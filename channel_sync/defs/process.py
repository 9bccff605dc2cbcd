"""How a process that executes runs is set up, once the first run in it begins."""

import gc
from functools import cache

from dagster import DagsterInstance

_STATEMENT_MS = 60_000
_RECYCLE_S = 3_600
_MORE = 10


def set_up(instance: DagsterInstance) -> None:
    """Keep the connections to Dagster's storage, and keep the garbage collector from what is loaded. Cheap to repeat.

    By default Dagster opens and closes a connection for every event it writes: some sixty in a pull, which take a
    second of it or more, and under a quota no call is sent meanwhile. Only Postgres storage has connections to keep.
    """
    instance.optimize_for_webserver(
        statement_timeout=_STATEMENT_MS, pool_recycle=_RECYCLE_S, max_overflow=_MORE
    )
    _pass_over_what_is_loaded()


@cache
def _pass_over_what_is_loaded() -> None:
    """Let the collector look only at what is made from now on: what is loaded lives as long as the process.

    Dagster and the definitions are a quarter of a million objects. To look through them takes 0.15 s or more, every few
    seconds, in which no thread of the process runs: every permit that falls due meanwhile lapses.
    """
    gc.freeze()
