"""The inbox's sensors: one run for what is due, until it is applied; one pull for a silence."""

from datetime import timedelta
from itertools import count
from typing import Any

import dagster as dg
import pytest

from channel_sync.defs.inbox import INBOX, WORKER, apply_webhooks, run_tags
from channel_sync.defs.pools import pool_of
from channel_sync.defs.webhook_sensors import _run_key
from channel_sync.storage import inbox_watch, webhooks
from channel_sync.storage.inbox_watch import DueInbox
from channel_sync.storage.webhooks import Arrival
from tests.house import House

ACCOUNT = "airbnb-demo"
_numbers = count(1)


def deliver(house: House, account: str = ACCOUNT) -> None:
    """One event that asks for nothing, just delivered."""
    (row,) = house.rows("SELECT channel_account_id FROM channel_account WHERE code = %s", account)
    arrival = Arrival(
        channel_account_id=row["channel_account_id"],
        account=account,
        delivery_key=f"d-{next(_numbers)}",
        method="POST",
        path=f"/webhooks/airbnb/{account}",
        query="",
        headers={},
        body=b'{"action": "review_created"}',
        kind="review",
        name="review_created",
    )
    with house.database.connect() as connection:
        webhooks.store(connection, [arrival])


@pytest.fixture
def second(house: House) -> str:
    """Another account of the same channel."""
    house.execute(
        "INSERT INTO channel_account (code, channel, environment) VALUES ('airbnb-second', 'airbnb', 'sandbox')"
    )
    return "airbnb-second"


def settle(house: House) -> None:
    """Everything is applied, whoever did it."""
    house.execute("UPDATE webhook_event SET state = 'applied', settled_at = now() WHERE state = 'received'")


def age(house: House, seconds: float) -> None:
    """All events arrived so much earlier."""
    house.execute(
        "UPDATE webhook_event SET next_attempt_at = next_attempt_at - %(by)s, received_at = received_at - %(by)s, "
        "last_received_at = last_received_at - %(by)s".replace("%(by)s", f"interval '{seconds} seconds'")
    )


def tick(
    definitions: dg.Definitions, instance: dg.DagsterInstance, name: str = "webhook_events_airbnb"
) -> tuple[list[dg.RunRequest], str]:
    """What a sensor asks for, or why it asks for nothing."""
    repository = definitions.get_repository_def()
    with dg.build_sensor_context(
        instance=instance, repository_def=repository, resources=dict(definitions.resources or {})
    ) as context:
        result = repository.get_sensor_def(name).evaluate_tick(context)
    return list(result.run_requests or ()), result.skip_message or ""


def keys(found: tuple[list[dg.RunRequest], str]) -> list[str | None]:
    """The run keys of what was asked for."""
    return [request.run_key for request in found[0]]


def start(
    instance: dg.DagsterInstance, request: dg.RunRequest, status: dg.DagsterRunStatus, **more: str
) -> str:
    """The daemon launched the request: its run."""
    tags = {**request.tags, "dagster/run_key": request.run_key or "", **more}
    job: Any = apply_webhooks if INBOX in request.tags else dg.GraphDefinition(name="sync_bookings").to_job()
    config = dict(request.run_config) if INBOX in request.tags else {}
    return instance.create_run_for_job(job, run_config=config, status=status, tags=tags).run_id


def test_many_events_of_an_account_are_one_run(
    house: House, second: str, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    """A run per account, with its account in config and tags, and no tag that a pull has."""
    assert ([], "nothing is due, and no worker lives") == tick(definitions, instance)
    for _ in range(3):
        deliver(house)
        deliver(house, second)

    requests, _ = tick(definitions, instance)

    assert {ACCOUNT, second} == {request.tags[INBOX] for request in requests}
    for request in requests:
        account = request.tags[INBOX]
        assert run_tags(account).items() <= request.tags.items()
        assert {"ops": {"apply_events": {"config": {"account": account}}}} == request.run_config
        assert not {"channel_sync/account", "channel_sync/channel"} & request.tags.keys()


def test_each_channel_that_sends_has_a_sensor_of_its_own(
    house: House, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    """It asks for its channel's accounts and no others."""
    mine = {each.name for each in house.engine.declarations.values() if each.sends_webhooks}
    assert {f"webhook_events_{channel}" for channel in mine} == {
        sensor.name
        for sensor in definitions.get_repository_def().sensor_defs
        if sensor.name.startswith("webhook_events_")
    }
    deliver(house, "vrbo-demo")
    assert {
        channel: [
            request.tags[INBOX] for request in tick(definitions, instance, f"webhook_events_{channel}")[0]
        ]
        for channel in mine
    } == {channel: ["vrbo-demo"] if channel == "vrbo" else [] for channel in mine}


def test_the_inbox_is_the_truth_and_not_the_tick(
    house: House, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    """A tick lost before its run asks again under the same key; only what was applied is not asked for again."""
    deliver(house)
    first = tick(definitions, instance)
    assert keys(first) == keys(tick(definitions, instance))

    run_id = start(instance, first[0][0], dg.DagsterRunStatus.STARTED)
    assert ([], f"due, and under way: {ACCOUNT}") == tick(definitions, instance)
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.report_run_failed(run)
    assert [INBOX] == [INBOX for request in tick(definitions, instance)[0] if request.tags[INBOX] == ACCOUNT]

    settle(house)
    assert [] == tick(definitions, instance)[0]


def test_a_run_that_left_events_due_is_launched_again(
    house: House, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    """The key changes with every new event and attempt, and by waiting, ever more slowly."""
    deliver(house)
    seen = keys(tick(definitions, instance))
    for change in ("attempts = attempts + 1", "next_attempt_at = next_attempt_at - interval '1 minute'"):
        house.execute(f"UPDATE webhook_event SET {change}")
        seen += keys(tick(definitions, instance))
    deliver(house)
    seen += keys(tick(definitions, instance))
    assert 4 == len(set(seen))

    waited = {_run_key(DueInbox(ACCOUNT, "airbnb", 1, 1, 0, minute * 60.0)) for minute in range(600)}
    assert 40 <= len(waited) <= 50


def test_a_living_worker_is_given_five_seconds(
    house: House, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    """What is younger is its own; what it has left longer is launched for, as is everything once it is gone."""
    with house.database.connect(autocommit=True) as worker:
        assert inbox_watch.become_worker(worker)
        with house.database.connect(autocommit=True) as another:
            assert not inbox_watch.become_worker(another)
        deliver(house)
        assert ([], "nothing is left by the worker") == tick(definitions, instance)
        age(house, 6)
        assert 1 == len(tick(definitions, instance)[0])
        settle(house)
        deliver(house)
        assert [] == tick(definitions, instance)[0]
    assert 1 == len(tick(definitions, instance)[0])


def test_the_run_of_a_lost_worker_holds_nothing_back(
    house: House, second: str, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    """It is ended once no worker lives, and the events are launched for; runs of launchers are left alone."""
    deliver(house)
    deliver(house, second)
    one, other = sorted(tick(definitions, instance)[0], key=lambda request: request.tags[INBOX])
    lost = start(instance, one, dg.DagsterRunStatus.STARTED, **{WORKER: "resident"})
    launched = start(instance, other, dg.DagsterRunStatus.STARTED)
    with house.database.connect(autocommit=True) as worker:
        assert inbox_watch.become_worker(worker)
        age(house, 6)
        assert [] == tick(definitions, instance)[0]

    assert [ACCOUNT] == [request.tags[INBOX] for request in tick(definitions, instance)[0]]

    statuses = [run.status for run in map(instance.get_run_by_id, (lost, launched)) if run]
    assert [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED] == statuses


def test_an_account_that_is_off_is_left_alone(
    house: House, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    """Its events stay due until it is on again."""
    deliver(house)
    for column, off, on in (("enabled", "false", "true"), ("retired_at", "now()", "NULL")):
        house.execute(f"UPDATE channel_account SET {column} = {off}")
        assert [] == tick(definitions, instance)[0]
        house.execute(f"UPDATE channel_account SET {column} = {on}")
        assert 1 == len(tick(definitions, instance)[0])


def test_silence_is_three_times_the_longest_gap(house: House) -> None:
    """Between an hour and a day, by the last fifty events; a day where nothing is known of the gaps."""
    for gaps, silent_after_h in (
        ([60] * 10, 1),
        ([60, 7200, 60], 6),
        ([60, 86400, 60], 24),
        ([20 * 3600, *[60] * 49], 1),
        ([20 * 3600, *[60] * 48], 24),
        ([], 24),
    ):
        house.execute("TRUNCATE webhook_event")
        deliver(house)
        for gap in gaps:
            age(house, gap)
            deliver(house)
        age(house, 3600 * silent_after_h - 60)
        assert [] == silent(house)
        age(house, 120)
        assert [ACCOUNT] == silent(house)


def silent(house: House) -> list[str]:
    """The accounts that fell silent."""
    with house.database.connect() as connection:
        return [inbox.account for inbox in inbox_watch.silent_inboxes(connection)]


def test_a_silence_is_answered_by_one_pull(
    house: House, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    """A week of bookings once per silence, said in the tick; another silence is another pull; a paused account none."""
    silence = "webhook_silence"
    assert ([], "no account that sends webhooks is silent") == tick(definitions, instance, silence)
    deliver(house)
    settle(house)
    age(house, 90000)
    instance.event_log_storage.set_concurrency_slots(pool_of(ACCOUNT), 0)
    assert [] == tick(definitions, instance, silence)[0]
    instance.event_log_storage.set_concurrency_slots(pool_of(ACCOUNT), 1)

    first = tick(definitions, instance, silence)
    assert keys(first) == keys(tick(definitions, instance, silence))
    (request,) = first[0]
    assert "sync_bookings" == request.job_name
    assert ACCOUNT == request.tags["channel_sync/account"]
    last = house.engine.clock() - timedelta(days=30)
    assert f"{ACCOUNT}|{last.date()}" == request.tags["dagster/asset_partition_range_start"]
    start(instance, request, dg.DagsterRunStatus.SUCCESS)
    requests, reason = tick(definitions, instance, silence)
    assert [] == requests
    assert f"{ACCOUNT} silent for 25.0 h: pulled already" in reason

    deliver(house)
    settle(house)
    assert [] == tick(definitions, instance, silence)[0]
    age(house, 90000)
    again = tick(definitions, instance, silence)
    assert 1 == len(again[0])
    assert keys(first) != keys(again)
