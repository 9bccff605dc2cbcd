"""Replay recorded feed histories through the product and compare what it put up for sale with hindsight.

    python -m tests.benchmarks.feed_history FILE... [--patience H] [--curve] [--every-poll] [--rule-only]

Each history is served over real HTTP in its producer's dialect and pulled by the real engine into real tables on an
embedded server, at every change and every hour in between, with the clock set to the recorded time. Prints one JSON
object per file and last one over all files; see ``feed_truth`` for what the figures mean.

A poll that shows the same feed on the same day while nothing is held finds nothing to do and is left out, to save
most of the time; ``--every-poll`` makes them all.
``--rule-only`` leaves out wire and tables and asks the release rule alone: the same figures in a fraction of the time.
``--curve`` adds that for every patience from quick to cautious, before the last line.
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import reduce
from multiprocessing import get_context
from operator import add
from pathlib import Path
from time import perf_counter

from adapters.model import ClosureKind, NightAvailability
from channel_sync import bootstrap, config
from channel_sync.portfolio import applying, loading
from channel_sync.storage import embedded
from channel_sync.storage import portfolio as accounts
from channel_sync.storage.database import Database, with_database
from channel_sync.storage.migrate import migrate
from channel_sync.storage.observations import LogEntry
from channel_sync.sync import plan, pull, release, store
from channel_sync.sync.engine import Engine
from channel_sync.sync.pull import Batch
from tests.benchmarks.feed_host import Feed
from tests.benchmarks.feed_truth import Event, Score, Shown, State, history, polls, score

PATIENCES = (0, 0.5, 1, 2, 3, 4, 6, 12, 24)
HORIZON_DAYS = bootstrap.declarations()["ical"].horizon_days

_PORTFOLIO = """
properties:
  - {code: home, name: Home, time_zone: UTC, currency: EUR, unit_types: [{code: whole, name: Whole, units: 1}]}
channel_accounts:
  - code: feed
    channel: ical
    listings:
      - {listing_id: home, unit_type: home/whole, patience_hours: %s, secrets: {feed_url: FEED_URL}}
"""


# The rule alone ----------------------------------------------------------------------------------------------


def replay_rule(states: Sequence[State], patience: timedelta) -> Shown:
    """What the release rule shows over a history, observed without wire or tables."""
    shown = Shown()
    known: dict[date, release.NightState] = {}
    observed_s = 0.0
    last: datetime | None = None
    seen: tuple[State, date] | None = None
    for at, state in polls(states):
        observed_s = release.advance(observed_s, last, at)
        last, today = at, at.date()
        if seen == (state, today) and not any(night.hold for night in known.values()):
            continue  # the same feed, nothing held: nothing can change
        seen = (state, today)
        listed = [_as_listed(night, event) for night, event in state.cover().items()]
        known = {night: kept for night, kept in known.items() if night >= today}
        decision = release.decide(
            known.values(),
            listed,
            window=plan.whole_horizon(today, HORIZON_DAYS),
            today=today,
            now=at,
            observed_s=observed_s,
            patience=patience,
        )
        for night in decision.changed:
            known[night.night] = night
            shown.turn(night.night, at, is_open=night.units_open > 0)
        shown.check_closings(at, (night.night for night in listed if night.night >= today))
    return shown


def _as_listed(night: date, event: Event) -> NightAvailability:
    code = re.search(r"/details/(\w+)", event.description or "")
    if event.summary == "Reserved":
        return NightAvailability(night, 0, ClosureKind.BOOKED, code[1] if code else event.uid)
    blocked = event.summary == "Airbnb (Not available)"
    return NightAvailability(night, 0, ClosureKind.BLOCKED if blocked else ClosureKind.UNKNOWN, event.uid)


# The whole product -------------------------------------------------------------------------------------------


def replay_product(
    states: Sequence[State], patience: timedelta, server: str, name: str, *, every_poll: bool
) -> Shown:
    """What the product shows over a history: adapter, engine and tables, in a database of its own."""
    url = with_database(server, name)
    migrate(url)
    shown = Shown()
    idle: tuple[State, date] | None = None
    with (
        tempfile.TemporaryDirectory() as folder,
        Feed(states[0]).running() as feed,
        _opened(_engine(url, feed, Path(folder), patience)) as (engine, batch),
        engine.database.connect(autocommit=True) as connection,
    ):
        for number, (feed.at, feed.state) in enumerate(polls(states)):
            today = feed.at.date()
            if idle == (feed.state, today) and not every_poll:
                continue  # the same feed on the same day and nothing held: such a poll finds nothing to do
            window = plan.whole_horizon(today, HORIZON_DAYS)
            entry = _poll(engine, replace(batch, name=f"poll_{number}", run_id=f"{number}", window=window))
            idle = None if entry.nights_held else (feed.state, today)
            for night, units_open in connection.execute(_CHANGED, [entry.sync_log_id]):
                shown.turn(night, feed.at, is_open=units_open > 0)
            shown.check_closings(feed.at, (night for night in feed.state.cover() if night >= today))
    return shown


_CHANGED = "SELECT night, units_open FROM channel_availability WHERE sync_log_id = %s"


def _engine(url: str, feed: Feed, folder: Path, patience: timedelta) -> Engine:
    """The engine on this database, with a portfolio of one home whose only channel is the feed."""
    environ = {config.DATABASE_URL: url, config.STATE_DIR: str(folder), "FEED_URL": feed.url}
    file = folder / "portfolio.yaml"
    file.write_text(_PORTFOLIO % (patience / timedelta(hours=1)))
    applying.apply(Database(url), loading.load(file, bootstrap.declarations()))
    return bootstrap.engine(config.load(environ), environ=environ, clock=lambda: feed.at)


@contextmanager
def _opened(engine: Engine) -> Iterator[tuple[Engine, Batch]]:
    """The engine with its one channel opened once for all polls, and the batch of that channel's one listing."""
    with engine.database.connect() as connection:
        account = accounts.account(connection, "feed")
    (batch,) = plan.batches(engine, "first", "availability", "feed", [], everything=False)
    with engine.open_channel(account) as channel:
        yield replace(engine, open_channel=lambda _: nullcontext(channel), threads=1), batch


def _poll(engine: Engine, batch: Batch) -> LogEntry:
    """Pull and store once, as a run does."""
    (result,) = store.store_batch(engine, pull.pull_batch(engine, batch))
    if result.failed:
        raise RuntimeError(f"a poll failed: {result.entry.error}: {result.entry.error_message}")
    return result.entry


# Figures -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Work:
    """One history to replay. ``server`` None asks the rule alone."""

    file: Path
    patience: timedelta
    server: str | None
    number: int = 0
    every_poll: bool = False


def replayed(work: Work) -> tuple[Score, Mapping[str, float]]:
    """The score of one history, how many polls it has and how many were made, and the seconds it took."""
    started = perf_counter()
    states = history(work.file)
    if work.server is None:
        shown = replay_rule(states, work.patience)
    else:
        name = f"history_{work.number}"
        shown = replay_product(states, work.patience, work.server, name, every_poll=work.every_poll)
    cost = {
        "polls": sum(1 for _ in polls(states)),
        "polls_made": shown.polls,
        "seconds": round(perf_counter() - started, 1),
    }
    return score(states, shown), cost


def curve(files: Sequence[Path], workers: ProcessPoolExecutor) -> list[Mapping[str, object]]:
    """What the one number that a person sets per listing buys and costs, by the rule alone."""
    points: list[Mapping[str, object]] = []
    for hours in PATIENCES:
        works = [Work(file, timedelta(hours=hours), None) for file in files]
        figures = reduce(add, (each for each, _ in workers.map(replayed, works))).report()
        kept = (
            "mass_drop_false_open_nights",
            "false_open_night_hours",
            "release_delay_hours_p50",
            "release_delay_hours_p95",
            "ordinary_release_delay_hours_p50",
            "ordinary_release_delay_hours_p95",
            "closed_again_before_release",
            "never_released",
        )
        points.append({"patience_hours": hours, "by": "rule only"} | {name: figures[name] for name in kept})
    return points


@contextmanager
def _server(*, wanted: bool) -> Iterator[str | None]:
    """The URL of a throw-away embedded server, or None where none is wanted."""
    if not wanted:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="feeds-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # as root the server runs as another user
        data_dir = Path(folder).resolve() / "data"
        try:
            yield embedded.start(data_dir, durable=False).url
        finally:
            embedded.stop(data_dir)


def main(arguments: Sequence[str]) -> None:
    """Replay the files and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.feed_history")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="*.jsonl or *.jsonl.gz")
    parser.add_argument("--patience", type=float, default=2.0, metavar="H", help="hours, 0 .. 168")
    parser.add_argument("--curve", action="store_true", help="also every patience, by the rule alone")
    parser.add_argument("--every-poll", action="store_true", help="also the polls that find nothing to do")
    parser.add_argument("--rule-only", action="store_true", help="leave out wire and tables")
    parser.add_argument("--processes", type=int, default=2, metavar="N")
    chosen = parser.parse_args(arguments)
    patience = timedelta(hours=chosen.patience)
    by = "rule only" if chosen.rule_only else "adapter, engine and tables"
    with (
        _server(wanted=not chosen.rule_only) as server,
        ProcessPoolExecutor(chosen.processes, mp_context=get_context("spawn")) as workers,
    ):
        works = [
            Work(file, patience, server, number, chosen.every_poll)
            for number, file in enumerate(chosen.files)
        ]
        total = Score()
        started = perf_counter()
        for work, (figures, cost) in zip(works, workers.map(replayed, works), strict=True):
            total += figures
            print(json.dumps({"file": work.file.name, **figures.report(), **cost}), flush=True)
        seconds = perf_counter() - started
        for point in curve(chosen.files, workers) if chosen.curve else ():
            print(json.dumps(point), flush=True)
    last = {"files": len(works), "patience_hours": chosen.patience, "by": by}
    print(json.dumps({**last, **total.report(), "seconds": round(seconds, 1)}))


if __name__ == "__main__":
    main(sys.argv[1:])
