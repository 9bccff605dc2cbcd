"""pyrate-limiter's PostgresBucket, set up as its documentation does: one table, a pool per process, the defaults."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from psycopg_pool import ConnectionPool
from pyrate_limiter import Limiter, PostgresBucket, Rate


@contextmanager
def pyrate_limiter(url: str, table: str, quotas: Sequence[tuple[int, float]]) -> Iterator[Limiter]:
    """A limiter of (limit, seconds) quotas whose state is the ``table``, and the pool it needs."""
    rates = [Rate(limit, round(window_s * 1000)) for limit, window_s in quotas]
    with ConnectionPool(url, open=True) as pool:
        pool.wait()
        bucket = PostgresBucket(pool, table, rates)
        bucket.count()
        yield Limiter(bucket)
