"""The foundation: portfolio, observed availability and prices, bookings, allocations, tokens, and the analysts' views."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    # Many statements in one text: only the driver's own cursor takes them.
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_bytes())
