"""When pulls run by themselves: each account every 15 minutes at a minute of its own, and everything at night.

The schedules tick every minute and launch only the accounts whose minute it is: accounts come and go with the
portfolio, and a schedule per account would have to be redeployed with it.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from zlib import crc32

import dagster as dg

from adapters.model import Evidence
from channel_sync.defs.jobs import JOBS, housekeeping
from channel_sync.defs.partitions import ACCOUNTS, accounts_of, range_tags
from channel_sync.storage import observations, portfolio
from channel_sync.storage.portfolio import AccountRow
from channel_sync.sync.engine import Engine

EVERY_MINUTES = 15
NEAR = timedelta(days=180)
NIGHTLY_HOUR = 3  # UTC
_LONGEST_BOOKINGS_GAP = timedelta(days=30)
_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def minute_of(account: str) -> int:
    """The minute of every quarter of an hour at which the account is pulled: the same on every machine."""
    return crc32(account.encode()) % EVERY_MINUTES


def _quarter_hourly(subject: str) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{subject}_every_{EVERY_MINUTES}_minutes",
        job=JOBS[subject],
        cron_schedule="* * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Pull {subject} of each account every {EVERY_MINUTES} minutes, at the account's own minute.",
    )
    def schedule(
        context: dg.ScheduleEvaluationContext, engine: dg.ResourceParam[Engine]
    ) -> list[dg.RunRequest] | dg.SkipReason:
        now = context.scheduled_execution_time
        due = [
            account
            for account in _accounts(context, engine, subject)
            if minute_of(account.code) == now.minute % EVERY_MINUTES
        ]
        requests = [
            _request(engine, subject, account, now, everything=False)
            for account in due
            if not _under_way(context, subject, account.code)
        ]
        return requests or dg.SkipReason(
            f"{len(due)} due, all of them under way" if due else "no account is due this minute"
        )

    return schedule


def _nightly(subject: str) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{subject}_nightly",
        job=JOBS[subject],
        cron_schedule=f"* {NIGHTLY_HOUR} * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            f"Pull {subject} of each account whole, once a night: the whole horizon, and whole answers even where the "
            "channel could say that nothing changed."
        ),
    )
    def schedule(
        context: dg.ScheduleEvaluationContext, engine: dg.ResourceParam[Engine]
    ) -> list[dg.RunRequest] | dg.SkipReason:
        now = context.scheduled_execution_time
        due = [
            account
            for account in _accounts(context, engine, subject)
            if crc32(account.code.encode()) % 60 == now.minute
        ]
        requests = [_request(engine, subject, account, now, everything=True) for account in due]
        return requests or dg.SkipReason("no account is due this minute")

    return schedule


def _accounts(context: dg.ScheduleEvaluationContext, engine: Engine, subject: str) -> Iterator[AccountRow]:
    """Enabled accounts that can be pulled for the subject and already have their partitions."""
    with engine.database.connect() as connection:
        rows = portfolio.accounts(connection)
    able = set(accounts_of(subject, ((row.code, engine.declaration_of(row)) for row in rows)))
    name = ACCOUNTS[subject].name
    known = set(context.instance.get_dynamic_partitions(name)) if name else set()
    return (row for row in rows if row.code in able & known)


def _under_way(context: dg.ScheduleEvaluationContext, subject: str, account: str) -> bool:
    """Whether the account's last pull has not ended yet: another one behind it would only queue."""
    runs = dg.RunsFilter(
        job_name=f"sync_{subject}", tags={"channel_sync/account": account}, statuses=_UNDER_WAY
    )
    return context.instance.get_runs_count(runs) > 0


def _request(
    engine: Engine, subject: str, account: AccountRow, now: datetime, *, everything: bool
) -> dg.RunRequest:
    first, last = _window(engine, subject, account, now, everything=everything)
    config = (
        {}
        if subject == "bookings"
        else {"ops": {f"channel_{subject}": {"ops": _everything(subject, everything)}}}
    )
    return dg.RunRequest(
        run_key=f"{subject}:{account.code}:{'night' if everything else 'quarter'}:{now.isoformat()}",
        run_config=config,
        tags={
            "channel_sync/channel": account.channel,
            "channel_sync/account": account.code,
            **range_tags(subject, account.code, first.date(), last.date()),
        },
    )


def _everything(subject: str, everything: bool) -> dict[str, object]:  # noqa: FBT001 - becomes one config value
    return {f"list_{subject}": {"config": {"everything": everything}}}


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
    return now, now + (horizon if whole else min(horizon, NEAR))


def _days_of_change(engine: Engine, account: AccountRow, now: datetime, *, everything: bool) -> datetime:
    """From the day before the last success, so that an outage leaves no gap; a week back at night."""
    with engine.database.connect() as connection:
        last = observations.last_success(connection, account.channel_account_id, "bookings")
    if last is None:
        return now - _LONGEST_BOOKINGS_GAP
    back = timedelta(days=7 if everything else 1)
    return max(min(last, now) - back, now - _LONGEST_BOOKINGS_GAP)


@dg.schedule(
    job=housekeeping,
    cron_schedule="20 4 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def housekeeping_nightly() -> dg.RunRequest:
    """Tidy up once a night."""
    return dg.RunRequest()


SCHEDULES = [
    *(_quarter_hourly(subject) for subject in JOBS),
    *(_nightly(subject) for subject in JOBS),
    housekeeping_nightly,
]
