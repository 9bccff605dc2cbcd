"""The foundation: portfolio, observed availability and prices, bookings, allocations, tokens, and the analysts' views."""

from pathlib import Path

from alembic import op

from channel_sync.storage.migrate import SCHEMA_FILES

revision = "0001"
down_revision = None


def upgrade() -> None:
    frozen = Path(__file__).with_suffix(".sql")
    # Until the first release the foundation is the schema as it stands.
    for file in [frozen] if frozen.exists() else SCHEMA_FILES:
        # Many statements in one text: only the driver's own cursor takes them.
        op.get_bind().connection.cursor().execute(file.read_bytes())
