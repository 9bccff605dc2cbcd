"""A pull step holds a slot of its account's pool, on the storage that installations use, and always gives it back."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import NoReturn

import dagster as dg
import psycopg
import pytest

from channel_sync import config
from channel_sync.defs import pools
from channel_sync.defs.partitions import range_tags
from channel_sync.storage.database import Database, create_database, with_database
from channel_sync.storage.embedded import EmbeddedServer
from tests.house import House

POOL = pools.pool_of("airbnb-demo")
OTHER_RUN = "another-run"


@pytest.fixture(scope="module")
def on_postgres(
    postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance that keeps its pools in Postgres."""
    name = "pools_of_test_pools"
    create_database(postgres.url, name)
    url = config.load(
        {"CHANNEL_SYNC_DAGSTER_DATABASE_URL": with_database(postgres.url, name)}
    ).dagster_database_url
    with dg.DagsterInstance.local_temp(
        str(tmp_path_factory.mktemp("pools")), overrides={"storage": {"postgres": {"postgres_url": url}}}
    ) as made:
        yield made
    with Database(postgres.url).connect(autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def pooled(on_postgres: dg.DagsterInstance) -> Iterator[dg.DagsterInstance]:
    """The same with one slot for the account; nobody holds it, before the test nor after it."""
    pools.give_pools(on_postgres, ["airbnb-demo"])
    yield on_postgres
    on_postgres.event_log_storage.free_concurrency_slots_for_run(OTHER_RUN)
    info = on_postgres.event_log_storage.get_concurrency_info(POOL)
    on_postgres.event_log_storage.delete_concurrency_limit(POOL)
    assert [] == info.claimed_slots
    assert [] == info.pending_steps


def _hold(instance: dg.DagsterInstance, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED) -> None:
    if instance.get_run_by_id(OTHER_RUN) is not None:
        instance.delete_run(OTHER_RUN)
    instance.add_run(dg.DagsterRun(job_name="another", run_id=OTHER_RUN, status=status))
    assert instance.event_log_storage.claim_concurrency_slot(POOL, OTHER_RUN, "a step").is_claimed


def _job(
    database: Database, work: Callable[[], None], sleep: Callable[[float], None] = time.sleep
) -> dg.JobDefinition:
    """One step that works while it holds the account's slot."""

    @dg.op
    def pull(context: dg.OpExecutionContext) -> None:
        with pools.account_pool(context, database, "airbnb-demo", sleep=sleep):
            work()

    @dg.job
    def pulling() -> None:
        pull()

    return pulling


def test_steps_of_one_account_never_work_at_once(pooled: dg.DagsterInstance, database: Database) -> None:
    """Of three runs that begin together each works alone, and all of them get their turn."""
    at_work, seen, done = threading.Semaphore(0), [], []

    def work() -> None:
        at_work.release()
        time.sleep(0.2)
        seen.append(at_work._value)
        at_work.acquire()
        done.append(1)

    job = _job(database, work, sleep=lambda _: time.sleep(0.05))
    with ThreadPoolExecutor(3) as threads:
        results = list(threads.map(lambda _: job.execute_in_process(instance=pooled).success, range(3)))

    assert [True] * 3 == results
    assert [1] * 3 == seen
    assert 3 == len(done)


def test_a_failed_step_gives_its_slot_back(pooled: dg.DagsterInstance, database: Database) -> None:
    """The slot is free again the moment the step has failed, and the next run gets it at once."""

    def fail() -> None:
        raise ValueError("a defect")

    assert not _job(database, fail).execute_in_process(instance=pooled, raise_on_error=False).success

    info = pooled.event_log_storage.get_concurrency_info(POOL)
    assert ([], []) == (info.claimed_slots, info.pending_steps)
    assert _job(database, lambda: None).execute_in_process(instance=pooled).success


def test_a_lost_database_does_not_keep_the_slot(
    pooled: dg.DagsterInstance, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the turn cannot be had at the end of the step, the slot is freed without it."""

    def lose() -> None:
        monkeypatch.setattr(pools, "turn", _unreachable)

    assert _job(database, lose).execute_in_process(instance=pooled).success


def _unreachable(*_: object) -> NoReturn:
    raise psycopg.OperationalError("the server is gone")


def test_a_step_waits_until_the_slot_is_free(pooled: dg.DagsterInstance, database: Database) -> None:
    """While another run holds the slot nothing is done; as soon as that run is gone the step goes on."""
    _hold(pooled)
    waits: list[float] = []
    done: list[int] = []

    def sleep(seconds: float) -> None:
        assert [] == done
        waits.append(seconds)
        if len(waits) == 3:
            pooled.event_log_storage.free_concurrency_slots_for_run(OTHER_RUN)

    assert _job(database, lambda: done.append(1), sleep).execute_in_process(instance=pooled).success

    assert [1.0, 2.0, 4.0] == waits
    assert [1] == done


def test_the_slot_of_a_run_that_ended_is_not_waited_for(
    pooled: dg.DagsterInstance, database: Database
) -> None:
    """A killed run cannot free its slot: who wants it frees it as soon as the run is known to have ended."""
    _hold(pooled, dg.DagsterRunStatus.FAILURE)
    done: list[int] = []

    def never(_seconds: float) -> None:
        pytest.fail("waited for a run that is over")

    assert _job(database, lambda: done.append(1), never).execute_in_process(instance=pooled).success

    assert [1] == done


def test_who_waits_too_long_gives_up_its_place_and_begins_again(
    pooled: dg.DagsterInstance, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that got no slot is up for retry, and fails with the pool's name after the last."""
    monkeypatch.setattr(pools, "LONGEST_WAIT_S", 0.0)
    monkeypatch.setattr(pools, "MOST_WAITS", 2)
    _hold(pooled)

    result = _job(database, lambda: pytest.fail("worked without a slot")).execute_in_process(
        instance=pooled, raise_on_error=False
    )

    assert not result.success
    kinds = [event.event_type for event in result.all_events]
    assert 2 == kinds.count(dg.DagsterEventType.STEP_UP_FOR_RETRY)
    failure = result.failure_data_for_node("pull")
    assert failure is not None
    assert failure.user_failure_data is not None
    assert f"no slot of pool {POOL} became free" in (failure.user_failure_data.description or "")


def test_an_account_without_a_pool_is_not_held_back(
    on_postgres: dg.DagsterInstance, database: Database
) -> None:
    """No pool, no limit: as with Dagster's own."""
    assert _job(database, lambda: None).execute_in_process(instance=on_postgres).success
    info = on_postgres.event_log_storage.get_concurrency_info(POOL)
    assert ([], []) == (info.claimed_slots, info.pending_steps)


def test_a_storage_that_keeps_no_pools_limits_nothing(database: Database) -> None:
    """An instance in memory has no pools, and steps run on it all the same."""
    with dg.DagsterInstance.ephemeral() as instance:
        assert [] == pools.give_pools(instance, ["airbnb-demo"])
        pools.take_pools(instance, ["airbnb-demo"])
        assert set() == pools.paused(instance, ["airbnb-demo"])
        assert _job(database, lambda: None).execute_in_process(instance=instance).success


def test_an_operators_limit_is_kept(on_postgres: dg.DagsterInstance) -> None:
    """New accounts get one slot; a limit set by hand stays, also 0, which pauses; who left loses the pool."""
    storage = on_postgres.event_log_storage
    storage.set_concurrency_slots(pools.pool_of("feeds-demo"), 0)
    storage.set_concurrency_slots("of somebody else", 7)

    assert [POOL] == pools.give_pools(on_postgres, ["feeds-demo", "airbnb-demo"])
    assert [] == pools.give_pools(on_postgres, ["feeds-demo", "airbnb-demo"])
    assert {POOL: 1, "account_feeds-demo": 0, "of somebody else": 7} == _limits(on_postgres)
    assert {"feeds-demo"} == pools.paused(on_postgres, ["feeds-demo", "airbnb-demo"])

    pools.take_pools(on_postgres, ["feeds-demo", "airbnb-demo", "never-had-one"])
    assert {"of somebody else": 7} == _limits(on_postgres)


def _limits(instance: dg.DagsterInstance) -> dict[str, int]:
    return {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}


@pytest.mark.parametrize("subject", ["availability", "pricing", "bookings"])
def test_no_pull_goes_past_the_pool(
    house: House,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    subject: str,
) -> None:
    """While an account is paused, also a run without the account's tag sends nothing that pulls."""
    monkeypatch.setattr(pools, "LONGEST_WAIT_S", 0.0)
    monkeypatch.setattr(pools, "MOST_WAITS", 0)
    instance.event_log_storage.set_concurrency_slots(POOL, 0)

    result = definitions.resolve_job_def(f"sync_{subject}").execute_in_process(
        instance=instance,
        tags=range_tags(subject, "airbnb-demo", date(2026, 3, 1), date(2026, 3, 1)),
        raise_on_error=False,
    )

    assert not result.success
    asked = {call.path.partition("?")[0] for call in house.sandbox.calls}
    assert not [path for path in asked if "calendars" in path or "reservations" in path]
