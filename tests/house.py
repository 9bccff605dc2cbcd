"""A whole house: the sample portfolio on a real database, its channels simulated over real HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from psycopg.rows import dict_row

from adapters.model import Stay
from channel_sync import bootstrap, config
from channel_sync.portfolio import applying, loading
from channel_sync.resilience.retry import RetryPolicy
from channel_sync.sandbox import demo
from channel_sync.sandbox.server import Sandbox
from channel_sync.storage.database import Database
from channel_sync.storage.nights import Subject
from channel_sync.sync import bookings, plan, pull, store
from channel_sync.sync.engine import Engine
from channel_sync.sync.store import PullResult

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
WINDOW = Stay(date(2026, 3, 1), date(2026, 9, 1))
QUICK = RetryPolicy(attempts=3, deadline_s=5.0, first_wait_s=0.01, longest_wait_s=0.05)
_runs = count(1)


@dataclass(frozen=True, slots=True)
class House:
    """The engine with everything around it. ``environ`` holds the secrets that the portfolio names."""

    sandbox: Sandbox
    database: Database
    engine: Engine
    environ: Mapping[str, str]

    def pull(
        self,
        account: str,
        subject: Subject = "availability",
        window: Stay = WINDOW,
        *,
        everything: bool = False,
    ) -> list[PullResult]:
        """Pull and store one account's calendar, as a run does."""
        run_id = f"run-{next(_runs)}"
        return [
            result
            for batch in plan.batches(self.engine, run_id, subject, account, [window], everything=everything)
            for result in store.store_batch(self.engine, pull.pull_batch(self.engine, batch))
        ]

    def pull_bookings(self, account: str, days: Stay) -> PullResult:
        """Pull and store one account's bookings, as a run does."""
        number = next(_runs)
        batch = bookings.BookingBatch(f"bookings_{number}", f"run-{number}", account, days)
        return bookings.store_bookings(self.engine, bookings.pull_bookings(self.engine, batch))

    def rows(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        """What a query finds."""
        with self.database.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(statement.encode(), parameters)
            return cursor.fetchall()

    def execute(self, statement: str, *parameters: object) -> None:
        """Change the tables by hand."""
        with self.database.connect() as connection:
            connection.execute(statement.encode(), parameters)

    def closed_nights(self, listing: str) -> set[date]:
        """The nights that are closed in the tables for a listing."""
        return {
            row["night"]
            for row in self.rows(
                "SELECT night FROM channel_availability JOIN listing USING (listing_id) "
                "WHERE external_id = %s AND units_open = 0",
                listing,
            )
        }


def by_listing(results: Sequence[PullResult]) -> dict[str, PullResult]:
    """Results by the channel's id of the listing."""
    return {str(result.listing): result for result in results}


def build_house(sandbox: Sandbox, database: Database, state_dir: Path) -> House:
    """The sample portfolio on this database and sandbox, at NOW."""
    sandbox.clock.set(NOW)
    environ = {
        "CHANNEL_SYNC_DATABASE_URL": database.url,
        "CHANNEL_SYNC_SANDBOX_URL": sandbox.url,
        "CHANNEL_SYNC_STATE_DIR": str(state_dir),
        **demo.environment(sandbox.url),
    }
    engine = bootstrap.engine(config.load(environ), environ=environ, clock=sandbox.clock.now)
    applying.apply(database, loading.load(Path(str(demo.PORTFOLIO)), bootstrap.declarations()))
    return House(sandbox, database, replace(engine, retry=QUICK), environ)


def hours(number: float) -> timedelta:
    """So many hours."""
    return timedelta(hours=number)
