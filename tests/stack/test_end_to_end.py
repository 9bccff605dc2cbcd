"""The whole stack, driven as an operator drives it: real processes, real Postgres, simulated channels over HTTP."""

import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from adapters.factory import WEBHOOKS
from channel_sync import analytics
from channel_sync.defs.schedules import EVERY_MINUTES, minute_of
from tests.stack.demo_account import (
    FIRST_NIGHT,
    LISTINGS,
    MONTHS,
    accounts_by_subject,
    block,
    code_is_served,
    code_server_of,
    differing,
    launch,
    launch_slow,
    month_from_now,
    no_run_is_under_way,
    small_portfolio,
    tables,
    truth,
    worker_of,
)
from tests.stack.graphql import Dagster, until
from tests.stack.untold import all_secrets, told_in_files, told_in_tables
from tests.stack.whole_stack import WholeStack, whole_stack

pytestmark = pytest.mark.timeout(900)

ACCOUNTS = accounts_by_subject()
CHECKS = {
    "no_overlapping_allocation",
    "no_price_without_currency",
    "no_listing_without_mapping",
    "no_feed_held_longer_than_a_day",
    "no_open_circuit",
    "no_exhausted_quota",
    "no_overdue_acknowledgement",
}
SENSORS = {
    "portfolio_accounts",
    "channel_guards",
    "webhook_silence",
    *(f"webhook_events_{channel}" for channel in WEBHOOKS),
}
_MOST_MEMORY = 900 * 2**20

_NO_SECRET = "airbnb-demo"  # told everywhere: who finds no secret must find this


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[WholeStack]:
    """The whole stack, serving."""
    with whole_stack() as made:
        made.start("--portfolio", str(small_portfolio(tmp_path)))
        yield made


def test_the_whole_stack_at_work(stack: WholeStack, request: pytest.FixtureRequest) -> None:
    """From `up` to tables and back: definitions, first pulls, a run, a backfill, faults, ticks, and no secret told."""
    everything_is_defined_and_on(stack.dagster)
    the_sensor_brings_the_accounts_in(stack.dagster)
    a_schedule_asks_for_the_accounts_of_its_minute(stack.dagster)
    backfill, partitions = backfill_far_months(stack.dagster)
    a_run_makes_the_tables_equal_to_the_channel(stack)
    the_backfill_covers_its_partitions_and_no_more(stack, backfill, partitions)
    a_fault_fails_its_run_and_stores_the_rest(stack)
    analysts_find_rows_and_every_check_was_made(stack)
    the_clock_ticks(stack.dagster)
    the_backfill_is_told_complete(stack.dagster, backfill)
    nothing_secret_was_written(stack)

    memory = memory_at_rest(stack)
    request.node.user_properties.append(("memory_pss_mb", round(memory / 2**20)))
    assert memory < _MOST_MEMORY
    assert stack.end(signal.SIGTERM) == 0
    assert stack.processes() == []


def test_nothing_is_lost_by_kill_9(stack: WholeStack, tmp_path: Path) -> None:
    """A killed run worker, code server and `up` leave no run unfinished, no lock and no process behind."""
    dagster = stack.dagster
    the_sensor_brings_the_accounts_in(dagster)

    run_id = launch_slow(stack)
    worker_of(stack, run_id).kill()
    stack.sandbox("DELETE", "faults")
    assert dagster.end_of(run_id) == "FAILURE"
    the_second_try_succeeds(dagster, run_id)

    run_id = launch_slow(stack)
    worker = worker_of(stack, run_id)
    code_server_of(stack).kill()
    assert dagster.end_of(run_id) == "FAILURE"
    assert not worker.is_running()
    stack.sandbox("DELETE", "faults")
    until("a code server again", lambda: code_is_served(stack))
    # Dagster fails what it takes from the queue, and drops a second try, until its daemon has found the code server.
    until("a run that succeeds again", lambda: dagster.end_of(launch(dagster)) == "SUCCESS")

    run_id = launch_slow(stack)
    queued = launch(dagster)
    until("a queued run", lambda: dagster.status(queued) == "QUEUED")
    assert stack.end(signal.SIGKILL) == -signal.SIGKILL

    stack.start("--portfolio", str(small_portfolio(tmp_path)))
    dagster = stack.dagster
    assert dagster.sick_daemons() == []
    assert dagster.end_of(run_id) in ("FAILURE", "CANCELED")
    assert dagster.end_of(queued) == "SUCCESS"
    no_run_is_under_way(dagster)
    before = truth(stack)
    assert dagster.end_of(launch(dagster)) == "SUCCESS"
    assert [] == differing(tables(stack), before, truth(stack))
    assert dagster.end_of(dagster.launch("housekeeping", {})) == "SUCCESS"

    assert stack.end(signal.SIGTERM) == 0
    assert stack.processes() == []


# The steps ----------------------------------------------------------------------------------------------------------


def everything_is_defined_and_on(dagster: Dagster) -> None:
    """The pages answer, the daemons are well, and all definitions are there and on."""
    assert dagster.http.get(f"{dagster.url}/server_info").status_code == 200
    assert dagster.sick_daemons() == []
    defined = dagster.defined()
    assert {f"channel_{subject}" for subject in ACCOUNTS} == {
        node["assetKey"]["path"][0] for node in defined["assetNodes"]
    }
    assert len(defined["schedules"]) == 2 * len(ACCOUNTS) + 1
    assert {"RUNNING"} == {schedule["scheduleState"]["status"] for schedule in defined["schedules"]}
    assert dict.fromkeys(SENSORS, "RUNNING") == {
        sensor["name"]: sensor["sensorState"]["status"] for sensor in defined["sensors"]
    }


def the_sensor_brings_the_accounts_in(dagster: Dagster) -> None:
    """Every account gets its partitions of every subject it has, and a first pull that succeeds."""
    until("the accounts' partitions", lambda: partitioned_accounts(dagster) == ACCOUNTS)
    wanted = sum(map(len, ACCOUNTS.values()))

    def asked() -> list[Any] | None:
        runs = dagster.runs({"dagster/sensor_name": "portfolio_accounts"})
        return runs if len(runs) >= wanted else None

    first = until("the first pulls", asked)
    assert wanted == len(first)
    assert {"SUCCESS"} == {dagster.end_of(run["runId"]) for run in first}


def a_schedule_asks_for_the_accounts_of_its_minute(dagster: Dagster) -> None:
    """At an account's minute its pull is asked for; at a minute of nobody nothing is."""
    noon = datetime.combine(datetime.now(UTC).date(), datetime.min.time(), UTC) + timedelta(hours=12)
    minutes = {account: minute_of(account) for account in ACCOUNTS["availability"]}
    for minute in [*minutes.values(), min(set(range(EVERY_MINUTES)) - set(minutes.values()))]:
        moment = noon + timedelta(minutes=minute)
        found = dagster.evaluate(f"availability_every_{EVERY_MINUTES}_minutes", moment.timestamp())
        assert found["error"] is None
        asked = [{tag["key"]: tag["value"] for tag in wish["tags"]} for wish in found["runRequests"] or []]
        due = {account for account, its_minute in minutes.items() if its_minute == minute}
        assert due == {tags["channel_sync/account"] for tags in asked}
        assert due or found["skipReason"] == "no account is due this minute"
        for tags in asked:
            start = f"{tags['channel_sync/account']}|{moment.date().replace(day=1)}"
            assert start == tags["dagster/asset_partition_range_start"]


def backfill_far_months(dagster: Dagster) -> tuple[str, list[str]]:
    """Ask for three months that no first pull reaches."""
    partitions = [f"airbnb-demo|{month_from_now(number)}" for number in (10, 11, 12)]
    return dagster.backfill("channel_availability", partitions), partitions


def a_run_makes_the_tables_equal_to_the_channel(stack: WholeStack) -> None:
    """What happened on the channel since the last pull is in the tables after the next."""
    earlier = tables(stack)
    blocked = block(stack, "1002")
    assert not blocked & earlier["1002"]
    before = truth(stack)

    run_id = launch(stack.dagster)

    assert stack.dagster.end_of(run_id) == "SUCCESS"
    found = tables(stack)
    assert blocked <= found["1002"]
    assert [] == differing(found, before, truth(stack))
    assert [
        f"airbnb-demo|{month_from_now(number)}" for number in range(MONTHS)
    ] == stack.dagster.materialised(run_id)


def a_fault_fails_its_run_and_stores_the_rest(stack: WholeStack) -> None:
    """One listing's broken answer fails the run and is named; five are stored; the next run is well again."""
    dagster = stack.dagster
    blocked = block(stack, "1004")
    stack.sandbox("POST", "faults", {"kind": "html", "path": "*/calendars/1003/*"})
    stack.sandbox("POST", "faults", {"kind": "status", "code": 403, "path": "/ical/*"})
    run_id, feeds = launch(dagster), launch(dagster, "feeds-demo")

    assert dagster.end_of(run_id) == dagster.end_of(feeds) == "FAILURE"
    assert dagster.materialised(run_id) == []
    told = dagster.events(run_id)
    assert "1 of 6 pulls failed" in told
    assert "airbnb-demo/1003" in told
    outcomes = dict(
        stack.rows(
            "SELECT external_id, outcome FROM sync_log JOIN listing USING (listing_id) WHERE run_id = %s",
            run_id,
        )
    )
    assert LISTINGS == sorted(outcomes)
    assert ["1003"] == [listing for listing, outcome in outcomes.items() if outcome == "failed"]
    assert blocked <= tables(stack)["1004"]
    assert dagster.runs({"dagster/parent_run_id": run_id}) == []

    stack.sandbox("DELETE", "faults")
    assert dagster.end_of(launch(dagster)) == "SUCCESS"
    assert dagster.end_of(launch(dagster, "feeds-demo")) == "SUCCESS"


def the_backfill_covers_its_partitions_and_no_more(
    stack: WholeStack, backfill: str, partitions: list[str]
) -> None:
    """One run pulls exactly the months asked for."""
    (run,) = until("the backfill's run", lambda: stack.dagster.backfill_state(backfill)["runs"])
    assert stack.dagster.end_of(run["runId"]) == "SUCCESS"
    assert partitions == stack.dagster.materialised(run["runId"])
    windows = stack.rows(
        "SELECT external_id, window_start, window_end FROM sync_log JOIN listing USING (listing_id) "
        "WHERE run_id = %s ORDER BY external_id",
        run["runId"],
    )
    assert [(listing, month_from_now(10), month_from_now(13)) for listing in LISTINGS] == windows


def the_backfill_is_told_complete(dagster: Dagster, backfill: str) -> None:
    """Dagster looks after its backfills every half minute."""

    def complete() -> str | None:
        status = str(dagster.backfill_state(backfill)["status"])
        return status if status.startswith(("COMPLETED", "FAILED", "CANCELED")) else None

    assert until("the backfill's end", complete, within_s=180) == "COMPLETED_SUCCESS"


def analysts_find_rows_and_every_check_was_made(stack: WholeStack) -> None:
    """The documented frames hold what was pulled, and each asset check has passed."""
    calendar = analytics.calendar(stack.database, channels=["airbnb"], start=FIRST_NIGHT)
    assert LISTINGS == sorted(calendar["listing"].unique())
    assert calendar["amount"].notna().any()
    health = analytics.sync_health(stack.database)
    assert set(health["channel_account"]) == set().union(*ACCOUNTS.values())
    assert not analytics.bookings(stack.database).empty
    passed = dict.fromkeys(CHECKS, "SUCCEEDED")
    with suppress(AssertionError):  # a scheduled one may be under way; what does not hold is told below
        until("a good end of every check", lambda: stack.dagster.checks() == passed)
    assert passed == stack.dagster.checks()


def the_clock_ticks(dagster: Dagster) -> None:
    """Each minute's schedules tick by themselves, and no tick of anything failed."""
    every_minute = {f"{subject}_every_{EVERY_MINUTES}_minutes" for subject in ACCOUNTS}
    until(
        "a tick of every schedule",
        lambda: every_minute <= {name for name, ticks in all_ticks(dagster) if ticks},
    )
    failed = [tick for _, ticks in all_ticks(dagster) for tick in ticks if tick["status"] == "FAILURE"]
    assert failed == []


def nothing_secret_was_written(stack: WholeStack) -> None:
    """No secret, no feed's URL and nothing of a guest is in a log, a file, the event log or a table."""
    no_run_is_under_way(stack.dagster)
    needles = [_NO_SECRET, *all_secrets(stack.sandbox_url)]
    for found in (told_in_files(stack, needles), told_in_tables(stack, needles, dagster=False)):
        assert {_NO_SECRET} == set(found), found
    found = told_in_tables(stack, needles, dagster=True)
    assert {_NO_SECRET} == set(found), found


def memory_at_rest(stack: WholeStack) -> int:
    """Bytes of all processes together, shared pages counted once; 0 where the system cannot say."""
    no_run_is_under_way(stack.dagster)
    if sys.platform != "linux":
        return 0
    memory = 0
    for process in stack.processes():
        with suppress(psutil.NoSuchProcess):
            memory += process.memory_full_info().pss
    return memory


def the_second_try_succeeds(dagster: Dagster, run_id: str) -> None:
    """A run that lost its process is launched once more, by itself."""
    (again,) = until("the second try of a lost run", lambda: dagster.runs({"dagster/parent_run_id": run_id}))
    assert dagster.end_of(again["runId"]) == "SUCCESS"


# What the steps are made of -----------------------------------------------------------------------------------------


def partitioned_accounts(dagster: Dagster) -> dict[str, set[str]]:
    """The accounts that have partitions, by subject."""
    return {
        node["assetKey"]["path"][0].removeprefix("channel_"): {
            key
            for dimension in node["partitionKeysByDimension"]
            if dimension["name"] == "account"
            for key in dimension["partitionKeys"]
        }
        for node in dagster.defined()["assetNodes"]
    }


def all_ticks(dagster: Dagster) -> list[tuple[str, list[Any]]]:
    """Every schedule and sensor with its newest ticks."""
    defined = dagster.defined()
    return [(one["name"], one["scheduleState"]["ticks"]) for one in defined["schedules"]] + [
        (one["name"], one["sensorState"]["ticks"]) for one in defined["sensors"]
    ]
