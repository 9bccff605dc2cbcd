from pathlib import Path

from channel_sync.storage.database import Database
from tests.webhooks.chaos import Plan, chaos


def test_killed_on_the_way_the_tables_tell_the_truth(database: Database, tmp_path: Path) -> None:
    """Deliveries lost, doubled, mixed up and forged; gateway, worker and run killed -9: at the end every booking is true."""
    outcome = chaos(Plan(), database, tmp_path)

    assert {} == outcome.contradictions()
    assert {"gateway": 1, "worker": 1, "run": 1} == outcome.killed
    assert {"worker", "launched"} == set(outcome.settled_by)
    assert 20 == outcome.bookings
    assert outcome.report["lost"] > 0
    assert outcome.report["answers"]["401"] > 0
    assert outcome.report["answered"] <= outcome.events
