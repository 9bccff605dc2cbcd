"""The inbox of what channels deliver by webhook."""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    # Many statements in one text: only the driver's own cursor takes them.
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_bytes())
