"""Sensors of the inbox: have due events applied, and pull the bookings of an account that has fallen silent.

The inbox in the tables is the truth, no cursor is: a tick that is evaluated twice asks for the same run twice, whose
key Dagster knows; a run that failed leaves its events due, and the key of the next one differs.
"""

from collections.abc import Mapping
from math import log2

import dagster as dg

from adapters.base_adapter import Declaration
from channel_sync.defs.inbox import INBOX, apply_webhooks, end_lost_runs, run_config, run_tags
from channel_sync.defs.jobs import JOBS
from channel_sync.defs.pools import paused
from channel_sync.defs.requests import pull_request, pulled_accounts, under_way
from channel_sync.storage import inbox_watch
from channel_sync.storage.inbox_watch import DueInbox, SilentInbox
from channel_sync.sync.engine import Engine

WORKERS_OWN_S = 5.0  # what a living worker is given before a run is launched for it
_QUARTER_MIN = 15


def _webhook_events(channel: str, title: str) -> dg.SensorDefinition:
    """A sensor that asks for a run for every account of the channel that has due events and no run under way."""

    @dg.sensor(
        name=f"webhook_events_{channel}",
        job_name=apply_webhooks.name,  # given the job itself, Dagster warns of a beta parameter of its own
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Launch one run for all due events of an account of {title}. While the worker lives it applies them "
            f"sooner, and is given {WORKERS_OWN_S:.0f} s for it."
        ),
    )
    def sensor(
        context: dg.SensorEvaluationContext, engine: dg.ResourceParam[Engine]
    ) -> list[dg.RunRequest] | dg.SkipReason:
        with engine.database.connect() as connection:
            worker_lives = inbox_watch.worker_lives(connection)
            longer_than_s = WORKERS_OWN_S if worker_lives else 0.0
            due = [
                inbox
                for inbox in inbox_watch.due_inboxes(connection, longer_than_s=longer_than_s)
                if inbox.channel == channel
            ]
        if not due:
            return dg.SkipReason(
                "nothing is left by the worker" if worker_lives else "nothing is due, and no worker lives"
            )
        if not worker_lives:
            end_lost_runs(context.instance, [inbox.account for inbox in due])
        return [
            dg.RunRequest(
                run_key=_run_key(inbox), run_config=run_config(inbox.account), tags=run_tags(inbox.account)
            )
            for inbox in due
            if not under_way(context.instance, apply_webhooks.name, {INBOX: inbox.account})
        ] or dg.SkipReason(f"due, and under way: {', '.join(inbox.account for inbox in due)}")

    return sensor


def _run_key(inbox: DueInbox) -> str:
    """The same until something is new: an event, an attempt, or so much waiting that the last run must have failed.

    That is after 1, 3, 7 and 15 minutes, then every quarter of an hour.
    """
    minutes = inbox.waiting_s / 60
    patience = int(log2(1 + minutes)) if minutes < _QUARTER_MIN else 3 + int(minutes // _QUARTER_MIN)
    return f"inbox:{inbox.account}:{inbox.newest_event_id}:{inbox.attempts}.{patience}"


@dg.sensor(
    name="webhook_silence",
    job=JOBS["bookings"],
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Pull the bookings of an account once that used to send webhooks and has been silent for three times its "
        "longest gap (an hour at least, a day at most): then webhooks may be lost."
    ),
)
def webhook_silence(
    context: dg.SensorEvaluationContext, engine: dg.ResourceParam[Engine]
) -> list[dg.RunRequest] | dg.SkipReason:
    """Ask for one pull per silence: the key names the silence."""
    with engine.database.connect() as connection:
        silent = {inbox.account: inbox for inbox in inbox_watch.silent_inboxes(connection)}
    held = paused(context.instance, silent)
    accounts = [
        account
        for account in pulled_accounts(context.instance, engine, "bookings")
        if account.code in silent and account.code not in held
    ]
    now = engine.clock()
    requests = [
        pull_request(engine, "bookings", account, now, run_key=run_key, everything=True)
        for account in accounts
        if not _is_known(context.instance, run_key := _silence_key(silent[account.code]))
    ]
    told = "; ".join(f"{inbox.account} silent for {inbox.silent_s / 3600:.1f} h" for inbox in silent.values())
    return requests or dg.SkipReason(
        f"{told}: pulled already, paused or not to be pulled"
        if told
        else "no account that sends webhooks is silent"
    )


def _silence_key(inbox: SilentInbox) -> str:
    return f"silence:{inbox.account}:{inbox.heard_at.isoformat()}"


def _is_known(instance: dg.DagsterInstance, run_key: str) -> bool:
    """Whether there was a run of this key. Dagster would drop another one without a word."""
    return instance.get_runs_count(dg.RunsFilter(tags={"dagster/run_key": run_key})) > 0


def webhook_sensors(declarations: Mapping[str, Declaration]) -> list[dg.SensorDefinition]:
    """One for the events of each channel that sends any, so that each can be switched off alone; and the backstop."""
    senders = [each for each in declarations.values() if each.sends_webhooks]
    return [*(_webhook_events(each.name, each.title) for each in senders), webhook_silence]
