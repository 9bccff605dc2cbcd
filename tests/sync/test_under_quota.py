"""A run of an account with a quota, whose channel refuses, fails and breaks off: it ends, within the quota, whole."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from channel_sync.defs import assemble
from channel_sync.defs.partitions import ACCOUNTS, range_tags
from channel_sync.portfolio import applying, loading
from channel_sync.resilience.retry import RetryPolicy
from channel_sync.sandbox.faults import Fault
from channel_sync.sandbox.server import Sandbox
from channel_sync.storage.database import Database
from tests.benchmarks.arrivals import windows
from tests.benchmarks.large_account import ACCOUNT, portfolio_of
from tests.house import House, build_house

LISTINGS = 40
LIMIT = 20
MARCH = date(2026, 3, 1)


@pytest.fixture
def large_house(database: Database, tmp_path: Path) -> Iterator[House]:
    """One account with forty listings and 20 calls a second."""
    with Sandbox(listings=LISTINGS) as sandbox:
        house = build_house(sandbox, database, tmp_path)
        quotas = [{"limit": LIMIT, "window_s": 1, "per": "account"}]
        file = tmp_path / "portfolio.yaml"
        file.write_text(json.dumps(portfolio_of(list(sandbox.world.listings.values()), quotas)))
        applying.apply(database, loading.load(file, house.engine.declarations))
        yield house


def test_every_listing_is_stored_once_and_the_quota_kept(large_house: House, tmp_path: Path) -> None:
    """429s, 500s and dropped connections among forty calendars cost neither a listing nor the quota."""
    for fault in (
        Fault("status", path="*/calendars/*", code=429, retry_after="1", every=17, times=1),
        Fault("status", path="*/calendars/*", code=500, every=11),
        Fault("drop", path="*/calendars/*", every=13),
    ):
        large_house.sandbox.faults.add(fault)
    large_house.execute("TRUNCATE rate_limit_state")
    large_house.sandbox.calls.clear()
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.add_dynamic_partitions(str(ACCOUNTS["availability"].name), [ACCOUNT])
        definitions = assemble.definitions(replace(large_house.engine, retry=RetryPolicy()))
        job = definitions.resolve_job_def("sync_availability")
        result = job.execute_in_process(
            instance=instance, tags=range_tags("availability", ACCOUNT, MARCH, MARCH), raise_on_error=False
        )

    assert result.success
    calls = list(large_house.sandbox.calls)
    answers = {call.status for call in calls}
    assert {200, 429, 500, None} == answers
    # The receiver is a busy Python process that may look at a call late: a fifth of the window is for that.
    arrived = sorted(round(call.arrived * 1e9) for call in calls)
    assert windows(arrived, LIMIT, 0.8).fullest <= LIMIT
    assert [{"outcome": "stored", "lines": LISTINGS, "listings": LISTINGS}] == large_house.rows(
        "SELECT outcome, count(*)::int AS lines, count(DISTINCT listing_id)::int AS listings"
        " FROM sync_log WHERE subject = 'availability' AND run_id = %s GROUP BY outcome",
        result.run_id,
    )
    assert [{"count": LISTINGS * 31}] == large_house.rows("SELECT count(*)::int FROM channel_availability")
    (attempts,) = large_house.rows(
        "SELECT sum(requests)::int AS sent FROM sync_log WHERE subject = 'availability'"
    )
    assert attempts["sent"] == sum("/calendars/" in call.path for call in calls)
