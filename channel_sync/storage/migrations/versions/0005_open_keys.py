"""Keys of the rate limiter are opened when one is found missing."""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    # Many statements in one text: only the driver's own cursor takes them.
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_bytes())
