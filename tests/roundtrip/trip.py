"""A channel's bookings on their way through Dagster into the tables and back to the channel, while runs are killed.

The channel's simulation is in this process, so that each acknowledgement can be held against the database in the very
moment in which it arrives. The runs are processes of their own.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from threading import Lock
from typing import Any

import yaml

from adapters.base_adapter import Capability, Declaration
from adapters.model import Evidence
from channel_sync import bootstrap, config
from channel_sync.portfolio import applying, loading
from channel_sync.sandbox import demo
from channel_sync.sandbox.acknowledged import Version
from channel_sync.sandbox.server import Sandbox
from channel_sync.storage.database import Database
from tests.roundtrip.guests import Guests

MOMENTS = ("asking", "storing", "acknowledging", "at random")
# The account's own: the channel's is kept too, but 20 s lie between two questions of Booking.com's.
_QUOTAS = [{"limit": 100, "window_s": 1, "per": "account"}]
_PATIENCE_S = 120.0
_HORIZON = timedelta(days=62)


@dataclass(frozen=True, slots=True)
class Plan:
    """How many bookings in how many portions, and in which moments of each portion a run is killed."""

    bookings: int = 45
    portions: int = 3
    moments: tuple[str, ...] = MOMENTS[:3]
    seed: int = 1


@dataclass(slots=True)
class Outcome:
    """What it came to. Each list is of contradictions, and empty where all is well."""

    channel: str
    bookings: int = 0
    versions: int = 0
    acknowledged: int = 0
    acknowledged_again: int = 0
    runs: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    longest_wait_s: float = 0.0  # of a version for its acknowledgement
    acknowledged_before_committed: list[object] = field(default_factory=list)
    acknowledged_too_late: list[object] = field(default_factory=list)
    still_waiting: list[object] = field(default_factory=list)
    unlike_the_truth: list[object] = field(default_factory=list)
    stored_twice: list[object] = field(default_factory=list)
    receipts_left_open: list[object] = field(default_factory=list)
    nights_unlike_the_truth: list[object] = field(default_factory=list)
    listings_unlike_the_truth: list[object] = field(default_factory=list)

    def contradictions(self) -> dict[str, list[object]]:
        """What must not be."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in found.items() if isinstance(value, list) and value}


class Trip:
    """One account on one channel, its tables, and the Dagster instance of its runs."""

    def __init__(
        self, channel: str, database: Database, dagster_url: str, folder: Path, sandbox: Sandbox
    ) -> None:
        self.outcome = Outcome(channel)
        self.account = f"{channel.replace('_', '-')}-demo"
        self.database = database
        self.sandbox = sandbox
        self.channel: Any = sandbox.channels[channel]
        self.declaration: Declaration = bootstrap.declarations()[channel]
        self.environ = {
            "DAGSTER_HOME": str(folder),
            "CHANNEL_MANAGER_ENABLED": "true",
            "CHANNEL_SYNC_DATABASE_URL": database.url,
            "CHANNEL_SYNC_DAGSTER_DATABASE_URL": dagster_url,
            "CHANNEL_SYNC_SANDBOX_URL": sandbox.url,
            "CHANNEL_SYNC_STATE_DIR": str(folder / "state"),
            **demo.environment(sandbox.url),
        }
        self._folder = folder
        self._run: subprocess.Popen[bytes] | None = None
        self._kill_on_acknowledgement = False
        self._lock = Lock()

    def prepare(self) -> None:
        """The account in the portfolio, with a quota that does not hold up a test, and Dagster's storage."""
        (self._folder / "dagster.yaml").symlink_to(config.project_root() / "dagster.yaml")
        told: dict[str, Any] = yaml.safe_load(demo.PORTFOLIO.read_text(encoding="utf-8"))
        told["channel_accounts"] = [
            {**each, "quotas": _QUOTAS} for each in told["channel_accounts"] if each["code"] == self.account
        ]
        file = self._folder / "portfolio.yaml"
        file.write_text(json.dumps(told))  # JSON is YAML
        applying.apply(self.database, loading.load(file, bootstrap.declarations()))
        self._finish(self._started("channel_sync.stack.dagster_storage"))
        self.channel.acknowledged.watchers.append(self._watch)

    def pull_calendars(self) -> None:
        """Listings, availability and prices as far as the channel declares them, held against the truth."""
        today = datetime.now(UTC).date()
        subjects = {"availability": Capability.PULL_AVAILABILITY, "pricing": Capability.PULL_PRICING}
        for subject, capability in subjects.items():
            if capability in self.declaration.capabilities:
                self._finish(self.start(subject, today, today + _HORIZON))
        self._compare_calendars(today + timedelta(days=2), today + _HORIZON)
        if Capability.LIST_LISTINGS in self.declaration.capabilities:
            found = {row[0] for row in self._rows("SELECT external_id FROM channel_listing")}
            self.outcome.listings_unlike_the_truth += sorted(found ^ set(self.channel.world_ids))

    def start(self, subject: str, first: date, last: date) -> subprocess.Popen[bytes]:
        """A run, begun."""
        self.outcome.runs += 1
        return self._started("tests.roundtrip.one_run", subject, self.account, str(first), str(last))

    def run_bookings(self) -> None:
        """One undisturbed run over the bookings of yesterday and today."""
        self._finish(self._bookings_run())

    def kill_a_run(self, moment: str, draw: Random) -> None:
        """kill -9 a run of the bookings in the named moment of its work; one that has nothing to do just ends."""
        self._kill_on_acknowledgement = moment == "acknowledging"
        asked = len(self.sandbox.calls)
        committed = self._committed()
        self._run = run = self._bookings_run()
        until = time.monotonic() + _PATIENCE_S
        while run.poll() is None and time.monotonic() < until:
            if moment == "asking" and len(self.sandbox.calls) > asked:
                break
            if moment == "storing" and self._committed() > committed:
                break
            if moment == "at random" and len(self.sandbox.calls) > asked:
                time.sleep(draw.uniform(0.0, 2.0))
                break
            time.sleep(0.005)
        if run.poll() is None:
            run.kill()
        # Killed by ``_watch`` it counts too; one that had nothing left to do has ended well.
        kills = self.outcome.kills
        kills[moment] = kills.get(moment, 0) + (run.wait(20) < 0)
        self._kill_on_acknowledgement = False
        self._run = None

    def settle(self) -> None:
        """Runs until nothing waits any more."""
        for _ in range(
            12
        ):  # Expedia gives the next version of a booking only once the one before is confirmed
            self.run_bookings()
            if not self.channel.acknowledged.waiting() and not self._open_receipts():
                return

    def compare(self, codes: list[str]) -> None:
        """Hold the tables against the truth."""
        outcome, now = self.outcome, self.sandbox.clock.now()
        versions = list(self.channel.acknowledged.versions())
        outcome.bookings, outcome.versions = len(codes), len(versions)
        times = [self.channel.acknowledged.times(version.code, version.number) for version in versions]
        outcome.acknowledged = sum(bool(each) for each in times)
        outcome.acknowledged_again = sum(max(0, len(each) - 1) for each in times)
        outcome.still_waiting += [version.code for version in self.channel.acknowledged.waiting()]
        for version, each in zip(versions, times, strict=True):
            waited_s = (each[0] - version.booking.updated_at).total_seconds() if each else 0.0
            outcome.longest_wait_s = max(outcome.longest_wait_s, waited_s)
            within = self.declaration.acknowledge_within
            if within is None or waited_s > within.total_seconds():
                outcome.acknowledged_too_late.append((version.code, version.number, waited_s))
        listing_of = {world_id: listing for listing, world_id in self.channel.world_ids.items()}
        truth = {
            (
                self.channel.reservation_id(booking.code),
                listing_of[booking.listing_id],
                "confirmed" if booking.confirmed else "cancelled",
                booking.check_in,
                booking.check_out,
            )
            for booking in self.channel.world.bookings(now)
        }
        stored = set(
            self._rows("SELECT external_id, listing_external_id, status, check_in, check_out FROM booking")
        )
        outcome.unlike_the_truth += sorted(map(str, truth ^ stored))
        outcome.stored_twice += self._rows(
            "SELECT external_id, revision.revised_at, count(*) FROM booking_revision AS revision"
            " JOIN booking USING (booking_id) GROUP BY 1, 2 HAVING count(*) > 1"
        )
        outcome.receipts_left_open += self._open_receipts()

    def _watch(self, version: Version) -> None:
        """An acknowledgement arrives: its version has to be in the tables, and a run may have to die of it."""
        found = self._rows(
            "SELECT FROM booking_revision AS revision JOIN booking USING (booking_id)"
            " WHERE external_id = %s AND revision.revised_at >= date_trunc('second', %s::timestamptz)",
            self.channel.reservation_id(version.code),
            version.booking.updated_at,
        )
        with self._lock:
            if not found:
                self.outcome.acknowledged_before_committed.append((version.code, version.number))
            if self._kill_on_acknowledgement and self._run is not None:
                self._run.kill()

    def _compare_calendars(self, first: date, last: date) -> None:
        units: dict[tuple[str, date], int] = {}
        prices: dict[tuple[str, date], Any] = {}
        for listing, world_id in self.channel.world_ids.items():
            for night in self.channel.extranet.shown(world_id, first, last):
                units[listing, night.night] = night.units
                prices[listing, night.night] = night.price
        window = "WHERE night >= %s AND night < %s"
        if Capability.PULL_AVAILABILITY in self.declaration.capabilities:
            stored = self._rows(
                "SELECT external_id, night, units_open FROM channel_availability"
                f" JOIN listing USING (listing_id) {window}",
                first,
                last,
            )
            closed = {(listing, night): open_ for listing, night, open_ in stored if not open_}
            if (
                self.declaration.evidence is Evidence.ABSENCE
            ):  # a night that is merely not mentioned opens later
                closed = {key: open_ for key, open_ in closed.items() if not units.get(key)}
            self._differ(closed, {key: open_ for key, open_ in units.items() if not open_})
        if Capability.PULL_PRICING in self.declaration.capabilities:
            stored = self._rows(
                f"SELECT external_id, night, amount FROM channel_price JOIN listing USING (listing_id) {window}",
                first,
                last,
            )
            self._differ({(listing, night): amount for listing, night, amount in stored}, prices)

    def _differ(self, stored: Mapping[Any, Any], truth: Mapping[Any, Any]) -> None:
        wrong = [key for key in stored.keys() | truth.keys() if stored.get(key) != truth.get(key)]
        self.outcome.nights_unlike_the_truth += sorted(map(str, wrong))

    def _bookings_run(self) -> subprocess.Popen[bytes]:
        today = datetime.now(UTC).date()
        return self.start("bookings", today - timedelta(days=1), today)

    def _open_receipts(self) -> list[tuple[Any, ...]]:
        return self._rows("SELECT booking_external_id FROM booking_receipt WHERE verdict IS NULL")

    def _committed(self) -> int:
        ((count,),) = self._rows("SELECT count(*) FROM booking_revision")
        return int(count)

    def _rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with self.database.connect() as connection:
            return connection.execute(statement.encode(), parameters).fetchall()

    def _started(self, *module_and_words: str) -> subprocess.Popen[bytes]:
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *module_and_words],
                cwd=config.project_root(),
                env=config.child_environment(self.environ),
                stdout=log,
                stderr=log,
            )

    def _finish(self, process: subprocess.Popen[bytes]) -> None:
        try:
            status = process.wait(_PATIENCE_S)
        finally:
            process.kill()
        if status:
            raise AssertionError((self._folder / "log").read_text(errors="replace")[-4000:])


def round_trip(channel: str, plan: Plan, database: Database, dagster_url: str, folder: Path) -> Outcome:
    """All of it, once."""
    began = time.monotonic()
    with _sandbox() as sandbox:
        trip = Trip(channel, database, dagster_url, folder, sandbox)
        trip.prepare()
        guests, draw = Guests(trip.channel.world, plan.seed), Random(f"{plan.seed}/kills")
        for _ in range(plan.portions):
            guests.book(plan.bookings // plan.portions, sandbox.clock.now())
            for moment in plan.moments:
                trip.kill_a_run(moment, draw)
        trip.settle()
        trip.compare(guests.codes)
        trip.pull_calendars()
    trip.outcome.seconds = time.monotonic() - began
    return trip.outcome


@contextmanager
def _sandbox() -> Iterator[Sandbox]:
    """Simulated channels where nothing happens but what is drawn here, in the real time."""
    with Sandbox(lively=False) as sandbox:
        yield sandbox
