"""Bookings of every channel that wants acknowledgements, through Dagster, while runs are killed: is everything true?

    python -m tests.benchmarks.round_trips [--channels booking_com expedia] [--bookings 200] [--portions 4] [--seed 1]

Each portion of the bookings meets a run that is killed -9 while it asks, one while it stores, one while it acknowledges
and one at random. The database is a durable embedded one of its own. JSON last; the exit status is 1 where anything
contradicts the truth.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from channel_sync import bootstrap, config
from channel_sync.storage import embedded
from channel_sync.storage.database import Database, create_database, with_database
from channel_sync.storage.migrate import migrate
from tests.roundtrip.trip import MOMENTS, Outcome, Plan, round_trip


def main() -> None:
    """Run them one after another and say what they came to."""
    known = sorted(name for name, each in bootstrap.declarations().items() if each.acknowledge_within)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", nargs="+", choices=known, default=known)
    parser.add_argument("--bookings", type=int, default=200)
    parser.add_argument("--portions", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    plan = Plan(chosen.bookings, chosen.portions, MOMENTS, chosen.seed)
    outcomes = [trip_of(channel, plan) for channel in chosen.channels]
    wrong = [outcome.contradictions() for outcome in outcomes if outcome.contradictions()]
    print(json.dumps({"trips": [asdict(outcome) for outcome in outcomes]}, default=str))
    sys.exit(bool(wrong))


def trip_of(channel: str, plan: Plan) -> Outcome:
    """One channel's trip, on a server of its own."""
    with tempfile.TemporaryDirectory(prefix="round-trip-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        folder.chmod(0o711)
        data_dir = folder / "data"
        try:
            server = embedded.start(data_dir).url
            url = with_database(server, config.DATABASE_NAME)
            migrate(url)
            create_database(server, config.dagster_database_name(url))
            dagster_url = config.load({"CHANNEL_SYNC_DATABASE_URL": url}).dagster_database_url
            assert dagster_url is not None
            outcome = round_trip(channel, plan, Database(url), dagster_url, folder)
        finally:
            embedded.stop(data_dir)
    show(outcome)
    return outcome


def show(outcome: Outcome) -> None:
    """One trip for people."""
    kills = ", ".join(f"{count} {moment}" for moment, count in outcome.kills.items())
    print(
        f"{outcome.channel:12} {outcome.bookings} bookings in {outcome.versions} versions, {outcome.acknowledged}"
        f" acknowledged ({outcome.acknowledged_again} of them again), the last after {outcome.longest_wait_s:.0f} s;"
        f" {outcome.runs} runs, killed {kills}; {outcome.seconds:.0f} s",
        flush=True,
    )
    for what, found in outcome.contradictions().items():
        print(f"    {what}: {len(found)}, such as {found[0]}", flush=True)


if __name__ == "__main__":
    main()
