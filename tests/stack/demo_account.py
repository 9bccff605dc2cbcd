"""The sample's accounts on a running stack: launch the Airbnb one's pulls, compare its tables with its channel."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psutil
import yaml

from adapters.base_adapter import Capability
from adapters.factory import AdapterFactory
from channel_sync.defs.partitions import range_tags
from channel_sync.sandbox.demo import PORTFOLIO
from channel_sync.stack import health
from tests.stack.graphql import Dagster, until
from tests.stack.whole_stack import WholeStack

LISTINGS = ["1001", "1002", "1003", "1004", "1005", "1006"]
MONTHS = 6  # of a run, with this one

# One day for the whole test, also where it runs over midnight.
TODAY = datetime.now(UTC).date()
FIRST_NIGHT = TODAY + timedelta(days=2)  # to come at every place, until tomorrow's midnight

# One account that is asked and one that is read: the round trips of the others are tests of their own, and their queues,
# which the worker polls all the while, would change what is looked at here.
PICKED = frozenset({"airbnb-demo", "feeds-demo"})

Closed = Mapping[str, frozenset[date]]


def small_portfolio(folder: Path) -> Path:
    """The sample portfolio with the picked accounts only."""
    told = yaml.safe_load(PORTFOLIO.read_text(encoding="utf-8"))
    told["channel_accounts"] = [each for each in told["channel_accounts"] if each["code"] in PICKED]
    file = folder / "portfolio.yaml"
    file.write_text(yaml.safe_dump(told), encoding="utf-8")
    return file


def accounts_by_subject() -> dict[str, set[str]]:
    """The picked accounts by what their channels say can be pulled of them."""
    told = yaml.safe_load(PORTFOLIO.read_text(encoding="utf-8"))["channel_accounts"]
    return {
        subject: {
            account["code"]
            for account in told
            if account["code"] in PICKED
            and verb in AdapterFactory.get_adapter(account["channel"]).declaration.capabilities
        }
        for subject, verb in (
            ("availability", Capability.PULL_AVAILABILITY),
            ("pricing", Capability.PULL_PRICING),
            ("bookings", Capability.PULL_BOOKINGS),
        )
    }


def month_from_now(number: int) -> date:
    """The first of the month so many months after this one."""
    years, month = divmod(TODAY.month - 1 + number, 12)
    return date(TODAY.year + years, month + 1, 1)


def launch(dagster: Dagster, account: str = "airbnb-demo") -> str:
    """Launch a pull of availability over the next months; it queues behind a scheduled one of the account."""
    months = range_tags("availability", account, month_from_now(0), month_from_now(MONTHS - 1))
    return dagster.launch("sync_availability", {**months, "channel_sync/account": account})


def launch_slow(stack: WholeStack) -> str:
    """Launch a pull that waits for its fourth listing, and wait until it does."""
    stack.sandbox("POST", "faults", {"kind": "latency", "seconds": 25, "path": "*/calendars/1004/*"})
    stack.sandbox("DELETE", "calls")
    run_id = launch(stack.dagster)
    until("the run's start", lambda: stack.dagster.status(run_id) == "STARTED")
    until(
        "the slow call",
        lambda: any("/calendars/1004/" in call["path"] for call in stack.sandbox("GET", "calls")),
    )
    return run_id


def worker_of(stack: WholeStack, run_id: str) -> psutil.Process:
    """The process that executes the run."""
    noted = re.search(r"Started process for run \(pid: (\d+)\)", stack.dagster.events(run_id))
    assert noted
    (worker,) = [process for process in stack.processes() if process.pid == int(noted[1])]
    return worker


def code_server_of(stack: WholeStack) -> psutil.Process:
    """The process that holds the definitions."""

    def serves(process: psutil.Process) -> bool:
        try:
            return "grpc" in process.cmdline()
        except psutil.Error:  # it ended since it was listed
            return False

    (server,) = filter(serves, stack.processes())
    return server


def code_is_served(stack: WholeStack) -> bool:
    """Whether a code server listens, and the pages have its definitions."""
    host, _, port = (stack.state_dir / "code-server").read_text().partition(":")
    return health.is_taken(host, int(port)) and "assetNodes" in stack.dagster.defined()


def no_run_is_under_way(dagster: Dagster) -> None:
    """Wait until every run has ended."""
    until("the end of all runs", lambda: not dagster.runs(unfinished=True))


def block(stack: WholeStack, listing: str) -> frozenset[date]:
    """The owner closes three open nights of a listing; which."""
    closed = truth(stack)[listing]
    first = FIRST_NIGHT + timedelta(days=30)
    while closed & {first + timedelta(days=number) for number in range(3)}:
        first += timedelta(days=1)
    end = first + timedelta(days=3)
    stack.sandbox("POST", "world", {"block": {"listing_id": listing, "start": str(first), "end": str(end)}})
    return frozenset(first + timedelta(days=number) for number in range(3))


def truth(stack: WholeStack) -> Closed:
    """The closed nights of each listing in the simulated world."""
    return {
        listing["listing_id"]: _within_window(map(date.fromisoformat, listing["closed_nights"]))
        for listing in stack.sandbox("GET", "world")["listings"]
    }


def tables(stack: WholeStack) -> Closed:
    """The closed nights of each listing in the tables."""
    rows = stack.rows(
        "SELECT external_id, night FROM channel_availability JOIN listing USING (listing_id) "
        "JOIN channel_account USING (channel_account_id) WHERE code = 'airbnb-demo' AND units_open = 0"
    )
    return {
        listing: _within_window(night for its_listing, night in rows if its_listing == listing)
        for listing in LISTINGS
    }


def differing(found: Closed, before: Closed, after: Closed) -> list[str]:
    """Listings whose nights are neither those of one look at the truth nor those of a later one."""
    return [listing for listing in LISTINGS if found[listing] not in (before[listing], after[listing])]


def _within_window(nights: Iterable[date]) -> frozenset[date]:
    """Those that every look at the window of a run covers."""
    first, end = FIRST_NIGHT, month_from_now(MONTHS)
    return frozenset(night for night in nights if first <= night < end)
