"""What a run is asked for: the partitions, the tags and the config of one account's pull."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import dagster as dg

from adapters.model import Evidence
from channel_sync.defs.partitions import ACCOUNTS, accounts_of, range_tags
from channel_sync.storage import observations, portfolio
from channel_sync.storage.portfolio import AccountRow
from channel_sync.sync.engine import Engine

NEAR = timedelta(days=180)
_LONGEST_BOOKINGS_GAP = timedelta(days=30)
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def pulled_accounts(instance: dg.DagsterInstance, engine: Engine, subject: str) -> Iterator[AccountRow]:
    """Enabled accounts that can be pulled for the subject and already have their partitions."""
    with engine.database.connect() as connection:
        rows = portfolio.accounts(connection)
    able = set(accounts_of(subject, ((row.code, engine.declaration_of(row)) for row in rows)))
    name = ACCOUNTS[subject].name
    known = set(instance.get_dynamic_partitions(name)) if name else set()
    return (row for row in rows if row.code in able & known)


def under_way(instance: dg.DagsterInstance, job: str, tags: Mapping[str, str]) -> bool:
    """Whether a run of the job with these tags has not ended yet."""
    runs = dg.RunsFilter(job_name=job, tags=dict(tags), statuses=_UNFINISHED)
    return instance.get_runs_count(runs) > 0


def pull_request(
    engine: Engine, subject: str, account: AccountRow, now: datetime, *, run_key: str, everything: bool
) -> dg.RunRequest:
    """A run that pulls ``subject`` of the account as it is due ``now``; ``everything`` pulls it whole."""
    first, last = _window(engine, subject, account, now, everything=everything)
    config: dict[str, object] = {}
    if subject != "bookings":
        listing = {f"list_{subject}": {"config": {"everything": everything}}}
        config = {"ops": {f"channel_{subject}": {"ops": listing}}}
    return dg.RunRequest(
        run_key=run_key,
        job_name=f"sync_{subject}",
        run_config=config,
        tags={
            "channel_sync/channel": account.channel,
            "channel_sync/account": account.code,
            **range_tags(subject, account.code, first.date(), last.date()),
        },
    )


def _window(
    engine: Engine, subject: str, account: AccountRow, now: datetime, *, everything: bool
) -> tuple[datetime, datetime]:
    """First and last day that the run has to cover."""
    if subject == "bookings":
        return _days_of_change(engine, account, now, everything=everything), now
    declaration = engine.declaration_of(account)
    horizon = timedelta(days=declaration.horizon_days)
    # A feed is always whole, and a night booked far ahead has to close now; a calendar is asked in parts.
    whole = everything or declaration.evidence is Evidence.ABSENCE
    # From yesterday: where it is still the last day of a month, that night is in the month before.
    return now - timedelta(days=1), now + (horizon if whole else min(horizon, NEAR))


def _days_of_change(engine: Engine, account: AccountRow, now: datetime, *, everything: bool) -> datetime:
    """From the day before the last success, so that an outage leaves no gap; a week back at night."""
    with engine.database.connect() as connection:
        last = observations.last_success(connection, account.channel_account_id, "bookings")
    if last is None:
        return now - _LONGEST_BOOKINGS_GAP
    back = timedelta(days=7 if everything else 1)
    return max(min(last, now) - back, now - _LONGEST_BOOKINGS_GAP)
