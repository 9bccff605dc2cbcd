"""Acknowledgements of bookings, and reservations of several parts."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # Many statements in one text: only the driver's own cursor takes them.
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_bytes())
