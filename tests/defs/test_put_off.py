"""A channel that asks for a long wait: the step begins again after it, and asks only for what it does not have."""

from collections import Counter
from collections.abc import Iterator
from datetime import date
from types import SimpleNamespace

import dagster as dg
import pytest
from dagster._core.execution.plan import active

from channel_sync.defs import assets
from channel_sync.defs.partitions import range_tags
from channel_sync.defs.pools import pool_of
from channel_sync.sandbox.faults import Fault
from tests.house import House

MARCH = date(2026, 3, 1)
POOL = pool_of("airbnb-demo")


class Sleep:
    """Dagster's executor on a clock of its own: what it would sleep is over at once. ``seconds`` lists its sleeps."""

    def __init__(self, house: House, instance: dg.DagsterInstance) -> None:
        self.now = 1_000_000.0
        self.seconds: list[float] = []
        self.stored: list[int] = []
        self.slots_held: list[int] = []
        self._house, self._instance = house, instance

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Everybody's time has passed: also the database's, whose penalties are over then."""
        self.now += seconds
        self.seconds.append(round(seconds))
        self._house.execute("UPDATE rate_limit_state SET blocked_until_us = 0")
        (found,) = self._house.rows("SELECT count(DISTINCT listing_id) FROM channel_availability")
        self.stored.append(found["count"])
        info = self._instance.event_log_storage.get_concurrency_info(POOL)
        self.slots_held.append(len(info.claimed_slots))


@pytest.fixture
def sleep(house: House, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sleep]:
    """The executor's sleeps, in no time; the account has a pool."""
    instance.event_log_storage.set_concurrency_slots(POOL, 1)
    made = Sleep(house, instance)
    monkeypatch.setattr(active, "time", SimpleNamespace(time=made.time, sleep=made.sleep))
    yield made
    assert set(made.slots_held) <= {0}


def run(definitions: dg.Definitions, instance: dg.DagsterInstance, subject: str) -> dg.ExecuteInProcessResult:
    """One run of the account's month or day."""
    return definitions.resolve_job_def(f"sync_{subject}").execute_in_process(
        instance=instance, tags=range_tags(subject, "airbnb-demo", MARCH, MARCH), raise_on_error=False
    )


def asked(house: House) -> Counter[str]:
    """How often each listing's calendar was asked for."""
    paths = (call.path.split("/") for call in house.sandbox.calls if "/calendars/" in call.path)
    return Counter(parts[parts.index("calendars") + 1] for parts in paths)


def test_the_rest_is_pulled_after_the_wait(
    house: House, definitions: dg.Definitions, instance: dg.DagsterInstance, sleep: Sleep
) -> None:
    """What was read before the channel said "in two minutes" is stored before the wait and not asked for again."""
    house.sandbox.faults.add(Fault("status", path="*/calendars/1003/*", times=1, code=429, retry_after="120"))

    result = run(definitions, instance, "availability")

    assert result.success
    assert [120] == sleep.seconds
    (stored,) = sleep.stored
    counted = asked(house)
    assert {"1001", "1002", "1003", "1004", "1005", "1006"} == set(counted)
    assert 2 == counted.pop("1003")
    assert {1} == set(counted.values())
    assert 1 <= stored <= 5
    assert [{"count": 6}] == house.rows("SELECT count(DISTINCT listing_id) FROM channel_availability")
    (summary,) = [
        event.step_materialization_data.materialization.metadata
        for event in result.get_asset_materialization_events()
    ]
    assert 6 == summary["pulled"].value


def test_bookings_are_pulled_after_the_wait(
    house: House, definitions: dg.Definitions, instance: dg.DagsterInstance, sleep: Sleep
) -> None:
    """The same for an account's bookings, which are asked for again as a whole."""
    house.sandbox.faults.add(Fault("status", path="*/reservations*", times=1, code=429, retry_after="120"))

    assert run(definitions, instance, "bookings").success
    assert [120] == sleep.seconds


@pytest.mark.parametrize("subject", ["availability", "bookings"])
def test_a_wait_beyond_the_next_schedule_is_not_slept(
    house: House, definitions: dg.Definitions, instance: dg.DagsterInstance, sleep: Sleep, subject: str
) -> None:
    """Told to come back in half an hour, the run ends at once: it stores what it has, and fails for the rest."""
    house.sandbox.faults.add(Fault("status", path="*/calendars/1003/*", code=429, retry_after="1800"))
    house.sandbox.faults.add(Fault("status", path="*/reservations*", code=429, retry_after="1800"))

    result = run(definitions, instance, subject)

    assert not result.success
    assert [] == sleep.seconds
    errors = {row["error"] for row in house.rows("SELECT error FROM sync_log WHERE outcome = 'failed'")}
    assert errors
    assert errors <= {"RateLimited", "RateLimitTimeout"}


def test_the_wait_is_not_repeated_for_ever(
    house: House, definitions: dg.Definitions, instance: dg.DagsterInstance, sleep: Sleep
) -> None:
    """A channel that asks to wait each time is asked so many times; then what is left is reported as failed."""
    house.sandbox.faults.add(Fault("status", path="*/calendars/1003/*", code=429, retry_after="120"))

    result = run(definitions, instance, "availability")

    assert not result.success
    assert [120] * assets.MOST_RETRIES == sleep.seconds
    assert assets.MOST_RETRIES + 1 == asked(house)["1003"]
    # Others may be among them: each 429 stops the whole account until its wait is over.
    outcomes = {
        row["external_id"]: row["outcome"]
        for row in house.rows("SELECT external_id, outcome FROM sync_log JOIN listing USING (listing_id)")
    }
    assert 6 == len(outcomes)
    assert "failed" == outcomes["1003"]
    assert "stored" in outcomes.values()
