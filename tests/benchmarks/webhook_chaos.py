"""Thousands of deliveries while gateway, worker, runs and database are killed and started again: is every booking true?

    python -m tests.benchmarks.webhook_chaos [--deliveries 10000] [--bookings 500] [--kills 40] [--seed 1]

The worker is the resident one; the runs are launched by a code server, as the sensor's are. The database is a durable
embedded one of its own, Dagster's storage in it, stopped and started again twice. JSON last; the exit status is 1 where
anything contradicts the truth.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from channel_sync.storage import embedded
from channel_sync.storage.database import Database, with_database
from channel_sync.storage.migrate import migrate
from tests.webhooks.chaos import Plan, chaos


def main() -> None:
    """Run it and say what it came to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=10_000)
    parser.add_argument("--bookings", type=int, default=500)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    plan = Plan(
        deliveries=chosen.deliveries,
        bookings=chosen.bookings,
        kills=chosen.kills,
        database_restarts=2,
        rest_s=0.6,
        patience_s=900.0,
        seed=chosen.seed,
    )
    with tempfile.TemporaryDirectory(prefix="webhook-chaos-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        folder.chmod(0o711)
        data_dir = folder / "data"
        try:
            url = with_database(embedded.start(data_dir).url, "channel_sync")
            migrate(url)

            def restart() -> None:
                embedded.stop(data_dir)
                embedded.start(data_dir)

            outcome = chaos(plan, Database(url), folder, restart)
        finally:
            embedded.stop(data_dir)
    contradictions = outcome.contradictions()
    for what, found in contradictions.items():
        print(f"{what}: {len(found)}, such as {found[0]}")
    print(json.dumps({**asdict(outcome), "contradictions": len(contradictions)}, default=str))
    sys.exit(bool(contradictions))


if __name__ == "__main__":
    main()
