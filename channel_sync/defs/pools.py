"""Pools of Dagster's by channel account: no more than so many pull steps of one account at a time, over all runs.

Dagster's own ``pool=`` is fixed where an op is defined, and the pull ops are shared by all accounts. So a pull step
claims its account's slot itself, from the storage that Dagster keeps its pools in: operators see the pool under
Deployment > Concurrency and change its limit there, or with ``dagster instance concurrency set``. 0 pauses an account.

The limits of ``dagster.yaml`` already queue the runs of one account, by a tag. A backfill started in the UI has no
such tag: its steps are held back here.
"""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import dagster as dg
import psycopg
from dagster import DagsterInstance

from channel_sync.storage.database import Database
from channel_sync.storage.turns import turn

LIMIT = 1
LONGEST_WAIT_S = 60.0
MOST_WAITS = 10
_FIRST_WAIT_S = 1.0
_LONGEST_POLL_S = 10.0


def pool_of(account: str) -> str:
    """The name of the account's pool."""
    return f"account_{account}"


def give_pools(instance: DagsterInstance, accounts: Collection[str]) -> list[str]:
    """Give a pool of one slot to every account that has none, and return the new ones.

    A limit that an operator has set stays as it is. Where the storage keeps no pools nothing is done.
    """
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return []
    known = {pool.name for pool in storage.get_pool_limits()}
    new = [pool for pool in map(pool_of, sorted(accounts)) if pool not in known]
    for pool in new:
        storage.set_concurrency_slots(pool, LIMIT)
    return new


def take_pools(instance: DagsterInstance, accounts: Collection[str]) -> None:
    """Remove the pools of accounts that left the portfolio, where they have one."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    known = {pool.name for pool in storage.get_pool_limits()}
    for pool in known & {pool_of(account) for account in accounts}:
        storage.delete_concurrency_limit(pool)


def paused(instance: DagsterInstance, accounts: Collection[str]) -> set[str]:
    """Those of the accounts whose pool has the limit 0."""
    storage = instance.event_log_storage
    if not (accounts and storage.supports_global_concurrency_limits):
        return set()
    closed = {pool.name for pool in storage.get_pool_limits() if pool.limit == 0}
    return {account for account in accounts if pool_of(account) in closed}


@contextmanager
def account_pool(
    context: dg.OpExecutionContext,
    database: Database,
    account: str,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Hold a slot of the account's pool while the block runs; free it however the block ends.

    An account without a pool is not limited. Raises dg.RetryRequested when no slot became free for a minute: the
    step is shown as waiting, and begins again later. Raises dg.Failure when that has happened MOST_WAITS times. The
    slot of a process that was killed is free for who wants it as soon as its run is known to have ended.
    """
    storage = context.instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        yield
        return
    pool, step = pool_of(account), context.get_step_execution_context().step.key
    try:
        if not _claimed(context, database, pool, step, sleep):
            raise _later(context, pool)
        yield
    finally:
        try:
            with turn(database, pool):
                storage.free_concurrency_slot_for_step(context.run_id, step)
        except psycopg.OperationalError:  # better out of turn than not at all
            storage.free_concurrency_slot_for_step(context.run_id, step)


def _claimed(
    context: dg.OpExecutionContext,
    database: Database,
    pool: str,
    step: str,
    sleep: Callable[[float], None],
) -> bool:
    """Whether the slot was got, or there is no pool to get one of."""
    storage = context.instance.event_log_storage
    waited, wait = 0.0, _FIRST_WAIT_S
    while True:
        # In Postgres Dagster reads and takes a slot in two transactions: two claims at once would both be granted
        # (seen with 1.13.27). Nobody but this function claims these pools, so taking turns makes it exact.
        with turn(database, pool):
            claim = storage.claim_concurrency_slot(pool, context.run_id, step)
        if claim.is_claimed or pool not in {known.name for known in storage.get_pool_limits()}:
            return True
        if _free_lost_slots(context.instance, pool):
            continue
        if waited >= LONGEST_WAIT_S:
            return False
        if not waited:
            context.log.info(f"waiting for a free slot of pool {pool}")
        sleep(wait)
        waited += wait
        wait = min(2 * wait, _LONGEST_POLL_S)


def _free_lost_slots(instance: DagsterInstance, pool: str) -> bool:
    """Free the slots of runs that have ended without freeing them; whether there were any.

    Dagster does the same, a minute and a round of its run monitoring later.
    """
    storage = instance.event_log_storage
    ended = [
        run_id
        for run_id in storage.get_concurrency_info(pool).active_run_ids
        if (run := instance.get_run_by_id(run_id)) is None or run.is_finished
    ]
    for run_id in ended:
        storage.free_concurrency_slots_for_run(run_id)
    return bool(ended)


def _later(context: dg.OpExecutionContext, pool: str) -> dg.RetryRequested | dg.Failure:
    if context.retry_number < MOST_WAITS:
        return dg.RetryRequested(max_retries=MOST_WAITS, seconds_to_wait=LONGEST_WAIT_S)
    return dg.Failure(
        description=f"no slot of pool {pool} became free: another run holds it, or its limit is 0 "
        "(Deployment > Concurrency)",
        allow_retries=False,
    )
