"""Every channel that wants acknowledgements, through Dagster, with runs killed -9 on the way."""

from pathlib import Path

import pytest

from channel_sync import bootstrap, config
from channel_sync.storage.database import Database, create_database
from channel_sync.storage.embedded import EmbeddedServer
from tests.roundtrip.trip import Plan, round_trip

ACKNOWLEDGED = sorted(
    name for name, declaration in bootstrap.declarations().items() if declaration.acknowledge_within
)


@pytest.mark.parametrize("channel", ACKNOWLEDGED)
def test_nothing_is_acknowledged_that_is_not_committed(
    channel: str, database: Database, postgres: EmbeddedServer, tmp_path: Path
) -> None:
    """Killed while asking, storing and acknowledging: everything is true, acknowledged in time, and stored once."""
    create_database(postgres.url, config.dagster_database_name(database.url))
    dagster_url = config.load({"CHANNEL_SYNC_DATABASE_URL": database.url}).dagster_database_url
    assert dagster_url is not None

    outcome = round_trip(channel, Plan(bookings=18, portions=1), database, dagster_url, tmp_path)

    assert {} == outcome.contradictions()
    assert outcome.versions == outcome.acknowledged > 18
    assert {"asking", "storing", "acknowledging"} == {
        moment for moment, count in outcome.kills.items() if count
    }
