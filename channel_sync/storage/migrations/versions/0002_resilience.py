"""Limits that hold across processes: rate limiter, circuit breaker, counters of calls, quotas of an account."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # Many statements in one text: only the driver's own cursor takes them.
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_bytes())
