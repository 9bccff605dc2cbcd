"""From a booking on the channel to the rows that say so: the whole stack, once with the worker and once without.

    python -m tests.benchmarks.event_latency [--events 40]

A booking is made in the simulated channel, which delivers it, signed, to the gateway. It counts as done when its row
and what the other listings of its unit type have to be told are committed: the database is asked every 10 ms. Events
come one by one, at moments that have nothing to do with any interval of ours. All clocks are this machine's.
Says each stage's share, and JSON last.
"""

import argparse
import json
import random
import signal
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from io import StringIO

import httpx
import psycopg

from tests.stack.demo_account import no_run_is_under_way
from tests.stack.graphql import until
from tests.stack.whole_stack import WholeStack, whole_stack

ACCOUNT = "airbnb-demo"
LISTINGS = ["1001", "1002", "1004", "1005"]  # each with a feed of the same unit type beside it
WANTED = {"sensor": {"p95": 9.0}, "worker": {"p50": 0.6, "p95": 1.5}}
_POLL_S = 0.01
_PATIENCE_S = 60.0
_LOOK = """
SELECT extract(epoch FROM event.received_at)::float8, extract(epoch FROM event.settled_at)::float8, event.run_id
FROM webhook_event AS event
JOIN booking USING (channel_account_id)
WHERE event.booking_external_id = %(code)s AND booking.external_id = %(code)s AND event.settled_at IS NOT NULL
    AND EXISTS (SELECT FROM outbox WHERE outbox.booking_id = booking.booking_id)
"""


@dataclass(frozen=True, slots=True)
class Journey:
    """Seconds of one booking: made until received, received until its run began, that until settled, and in all."""

    received: float
    run_began: float
    applied: float
    whole: float


def main() -> int:
    """Measure both lanes; exit code 1 where one is slower than wanted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=40, help="of each lane (default: 40)")
    events = parser.parse_args().events
    found: dict[str, dict[str, dict[str, float]]] = {}
    for lane, pause_s, more in (("worker", 1.0, ()), ("sensor", 5.0, ("--no-worker",))):
        with served(*more) as stack:
            journeys = [*travel(stack, random.Random(lane), events, pause_s)]
        found[lane] = {
            stage: shares([asdict(one)[stage] for one in journeys]) for stage in asdict(journeys[0])
        }
        tell(lane, found[lane])
    missed = {
        lane: bounds
        for lane, bounds in WANTED.items()
        if any(found[lane]["whole"][share] > bound for share, bound in bounds.items())
    }
    print(json.dumps({"events": events, "seconds": found, "wanted": WANTED, "missed": sorted(missed)}))
    return 1 if missed else 0


@contextmanager
def served(*more: str) -> Iterator[WholeStack]:
    """A stack of its own, at rest after its first pulls, with the channel's deliveries coming in."""
    with redirect_stdout(StringIO()), whole_stack() as stack:  # it says at its end what its processes said
        stack.start(*more)
        hook = f"{stack.webhooks_url}/webhooks/airbnb/{ACCOUNT}"
        stack.sandbox("POST", "webhooks", {"channel": "airbnb", "url": hook})
        until("the first pulls", lambda: stack.rows("SELECT FROM sync_log WHERE subject = 'bookings'"))
        no_run_is_under_way(stack.dagster)
        yield stack
        stack.end(signal.SIGTERM)


def travel(stack: WholeStack, draw: random.Random, events: int, pause_s: float) -> Iterator[Journey]:
    """Make bookings one after the other, and follow each to its rows."""
    free = nights(stack, draw)
    with stack.database.connect(autocommit=True) as connection:
        for number in range(events + 1):
            time.sleep(draw.uniform(0.2, 1.0) * pause_s)
            while (journey := follow(stack, connection, *free.pop())) is None:
                continue
            if number:  # the first one warms up
                yield journey


def nights(stack: WholeStack, draw: random.Random) -> list[tuple[str, date]]:
    """Free nights that are far enough from each other, in any order."""
    today = datetime.now(UTC).date()
    found = []
    for listing in stack.sandbox("GET", "world")["listings"]:
        closed = {date.fromisoformat(night) for night in listing["closed_nights"]}
        wanted = (today + timedelta(days=number) for number in range(40, 340, 3))
        if listing["listing_id"] in LISTINGS:
            found += [(listing["listing_id"], night) for night in wanted if night not in closed]
    draw.shuffle(found)
    return found


def follow(stack: WholeStack, connection: psycopg.Connection, listing: str, night: date) -> Journey | None:
    """Book one night and wait for its rows; None where the world has already decided to sell it another day."""
    stay = {"listing_id": listing, "check_in": str(night), "check_out": str(night + timedelta(days=1))}
    made = time.time()
    try:
        code = stack.sandbox("POST", "world", {"book": stay})["code"]
    except httpx.HTTPStatusError:
        return None
    while not (rows := connection.execute(_LOOK, {"code": code}).fetchall()):
        assert time.time() - made < _PATIENCE_S, f"booking {code} did not arrive"
        time.sleep(_POLL_S)
    done = time.time()
    ((received, settled, run_id),) = rows
    began = until("the run", lambda: run_began(stack, run_id))
    return Journey(received - made, began - received, settled - began, done - made)


def run_began(stack: WholeStack, run_id: str) -> float | None:
    """When a run started, in seconds since 1970."""
    rows = stack.rows("SELECT start_time FROM public.runs WHERE run_id = %s", run_id, dagster=True)
    return float(rows[0][0]) if rows and rows[0][0] else None


def shares(seconds: Sequence[float]) -> dict[str, float]:
    """What half, 95 % and all of them took at most."""
    ranked = sorted(seconds)
    return {
        "p50": round(statistics.median(ranked), 3),
        "p95": round(ranked[min(len(ranked) - 1, int(0.95 * len(ranked)))], 3),
        "max": round(ranked[-1], 3),
    }


def tell(lane: str, stages: Mapping[str, Mapping[str, float]]) -> None:
    """One table a lane."""
    print(f"{lane:<10} {'p50':>8} {'p95':>8} {'max':>8}   seconds")
    for stage, found in stages.items():
        print(f"{stage:<10} " + " ".join(f"{value:8.3f}" for value in found.values()))


if __name__ == "__main__":
    sys.exit(main())
