"""How fast calendars of nights are stored, beside what else could be used for it.

    python -m tests.benchmarks.bulk_store [--rows 1000000] [--dlt-rows 100000]

One embedded server with fsync on. Every candidate is a process of its own, so that its peak memory is its own, and is
fed the same rows by the same generator: 730 nights a listing, a third of them booked. The time is from the first row
made to the commit. "1 %" means that every hundredth night was closed or opened meanwhile.

- COPY, text and binary: into an unlogged table without key, index or check: the floor.
- ours: the staging table and the MERGE of channel_sync.storage.nights into channel_availability; "page hash" is the
  way the engine takes first, comparing each listing's fingerprint with the one stored last.
- dlt: its merge (upsert) on the same primary key, from dicts and from Arrow tables. It is given fewer rows, because
  its rate does not grow with them.

WAL is what the whole server wrote to its log; rows written are those of the target table. Prints figures, last as JSON.
"""

import argparse
import gc
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import quote

from psycopg.sql import SQL

from channel_sync.storage import embedded
from channel_sync.storage.database import Database, create_database, with_database
from channel_sync.storage.migrate import migrate
from channel_sync.storage.nights import AvailabilityRow, Changes, Staging, fingerprint

_NIGHTS = 730
_FIRST = date(2026, 11, 23)
_EMPTY_COLUMNS = {"held_since": "timestamp", "release_at_s": "double", "hold_reason": "text"}


@dataclass(frozen=True, slots=True)
class Figures:
    """What one candidate did."""

    candidate: str
    rows: int
    seconds: float
    rows_per_s: int
    rows_written: int
    wal_mb: float
    peak_rss_mb: int


@dataclass(frozen=True, slots=True)
class Task:
    """What a candidate is given. ``log`` numbers the observation; ``changed`` flips every hundredth night."""

    url: str
    rows: int
    log: int = 1
    changed: bool = False


def nights(task: Task) -> Iterator[AvailabilityRow]:
    """The rows every candidate is fed, made one by one."""
    calendar = [_FIRST + timedelta(day) for day in range(_NIGHTS)]
    return islice(
        (
            _night(listing, day, night, task)
            for listing in range(1, task.rows // _NIGHTS + 2)
            for day, night in enumerate(calendar)
        ),
        task.rows,
    )


def _night(listing: int, day: int, night: date, task: Task) -> AvailabilityRow:
    booked = day % 21 < 7
    if task.changed and (listing * _NIGHTS + day) % 100 == 0:
        booked = not booked
    if booked:
        reference = f"HM{listing}X{day // 21}"
        return AvailabilityRow(listing, night, 0, "booked", reference, None, None, None, task.log)
    return AvailabilityRow(listing, night, 1, None, None, None, None, None, task.log)


def pages(task: Task) -> Iterator[list[AvailabilityRow]]:
    """The same rows, a listing at a time."""
    source = nights(task)
    while page := list(islice(source, _NIGHTS)):
        yield page


# Candidates: each stores the task's rows -----------------------------------------------------------------------------


def make_rows(task: Task) -> None:
    """What every other candidate spends before it begins."""
    for _ in nights(task):
        pass


def copy_into_unlogged(task: Task, form: LiteralString) -> None:
    """COPY and nothing else."""
    with Database(task.url).connect() as connection:
        connection.execute("DROP TABLE IF EXISTS channel_sync_staging.floor")
        connection.execute("CREATE UNLOGGED TABLE channel_sync_staging.floor (LIKE channel_availability)")
        statement = SQL("COPY channel_sync_staging.floor FROM STDIN (FORMAT {})").format(SQL(form))
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            types = ["int8", "date", "int2", "text", "text", "timestamptz", "float8", "text", "int8"]
            copy.set_types(types)
            for row in nights(task):
                copy.write_row(row)


def merge(task: Task) -> None:
    """Our way for whatever the page hash does not know."""
    with Database(task.url).connect() as connection:
        staging = Staging.create(connection, "availability", "benchmark")
        staging.copy(nights(task))
        changes = staging.merge()
        staging.drop()
    total = [sum(part) for part in zip(*(_counts(each) for each in changes.values()), strict=True)]
    print(
        "changes:",
        dict(zip(("inserted", "updated", "closed", "opened"), total, strict=False)),
        file=sys.stderr,
    )


def _counts(changes: Changes) -> tuple[int, int, int, int]:
    return changes.inserted, changes.updated, changes.closed, changes.opened


def vacuum(task: Task) -> None:
    """What autovacuum does within a minute of a load; set apart so that its log is not taken for the next pass's."""
    with Database(task.url).connect(autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) channel_availability")


def page_hash(task: Task) -> None:
    """Our way for what was seen before: nothing is staged where the fingerprint is the one stored last."""
    with Database(task.url).connect() as connection:
        known = dict(connection.execute("SELECT listing_id, fingerprint FROM listing_state").fetchall())
        differing = sum(fingerprint(page) != known[page[0].listing_id] for page in pages(task))
    if differing:
        raise AssertionError(f"{differing} pages differ")


def remember_pages(task: Task) -> None:
    """Store the fingerprints of the first load, as the engine does; not measured."""
    with Database(task.url).connect() as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO listing_state (listing_id, subject, observed_at, window_end, fingerprint)"
            " VALUES (%s, 'availability', now(), %s, %s)",
            [(page[0].listing_id, _FIRST + timedelta(_NIGHTS), fingerprint(page)) for page in pages(task)],
        )


def dlt_upsert(task: Task, form: str) -> None:
    """The load tool dlt: merge by the same primary key, into a data set of its own."""
    import dlt  # type: ignore[import-not-found,unused-ignore]
    import pyarrow as pa  # type: ignore[import-not-found,unused-ignore]
    from dlt.destinations.impl.postgres.configuration import (  # type: ignore[import-not-found,unused-ignore]
        PostgresCredentials,
    )

    credentials = PostgresCredentials()
    credentials.database, credentials.username, credentials.password = (
        Database(task.url).name,
        "postgres",
        "-",
    )
    credentials.host = quote(task.url.partition("host=")[2], safe="")  # libpq's way of naming a socket folder
    names = AvailabilityRow._fields
    types = [
        pa.int64(),
        pa.date32(),
        pa.int16(),
        pa.string(),
        pa.string(),
        pa.timestamp("us", "UTC"),
        pa.float64(),
    ]
    schema = pa.schema(list(zip(names, [*types, pa.string(), pa.int64()], strict=True)))

    # Columns without a value: a dict does not say their type, a table does.
    hints: Any = {name: {"data_type": kind} for name, kind in _EMPTY_COLUMNS.items()}

    def source() -> Iterator[Any]:
        if form == "dicts":
            for row in nights(task):
                yield row._asdict()
            return
        rows = nights(task)
        while piece := list(islice(rows, 50_000)):
            columns = zip(*piece, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            yield pa.Table.from_arrays(arrays, schema=schema)

    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            f"bulk_{form}",
            pipelines_dir=folder,
            destination=dlt.destinations.postgres(credentials=credentials),
            dataset_name=f"dlt_{form}",
        )
        resource_ = dlt.resource(
            source,
            name="channel_availability",
            write_disposition={"disposition": "merge", "strategy": "upsert"},
            primary_key=("listing_id", "night"),
            columns=hints if form == "dicts" else {},
        )
        pipeline.run(resource_).raise_on_failed_jobs()


_CANDIDATES: dict[str, Callable[[Task], None]] = {
    "making the rows only": make_rows,
    "COPY text": lambda task: copy_into_unlogged(task, "text"),
    "COPY binary": lambda task: copy_into_unlogged(task, "binary"),
    "ours, first": merge,
    "VACUUM after it": vacuum,
    "ours, again": merge,
    "ours, again by page hash": page_hash,
    "ours, 1 % changed": merge,
    "dlt from dicts, first": lambda task: dlt_upsert(task, "dicts"),
    "dlt from dicts, again": lambda task: dlt_upsert(task, "dicts"),
    "dlt from Arrow, first": lambda task: dlt_upsert(task, "arrow"),
    "dlt from Arrow, again": lambda task: dlt_upsert(task, "arrow"),
}

# Measuring ----------------------------------------------------------------------------------------------------------


def measure(candidate: str, task: Task) -> Figures:
    """Run one candidate in this process."""
    before, written_before = _server(task.url)
    gc.freeze()  # for every candidate alike: the modules that are loaded are not what is measured
    began = time.perf_counter()
    _CANDIDATES[candidate](task)
    seconds = time.perf_counter() - began
    after, written = _server(task.url)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1 / 1024)
    return Figures(
        candidate,
        task.rows,
        round(seconds, 3),
        round(task.rows / seconds),
        written - written_before,
        round((after - before) / 2**20, 2),
        round(peak / 2**20),
    )


def _server(url: str) -> tuple[int, int]:
    """The end of the server's log in bytes, and how many rows were ever written to target tables."""
    with Database(url).connect() as connection:
        log = connection.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchone()
        written = connection.execute(
            "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_all_tables"
            " WHERE relname = 'channel_availability' AND schemaname NOT LIKE '%staging'"
        ).fetchone()
    assert log is not None
    assert written is not None
    return log[0], written[0]


def run_all(url: str, rows: int, dlt_rows: int) -> list[Figures]:
    """Every candidate in a process of its own, in an order in which each finds what it needs."""
    found = []
    for log, candidate in enumerate(_CANDIDATES, 1):
        task = Task(url, dlt_rows if candidate.startswith("dlt") else rows, log, changed="1 %" in candidate)
        if candidate == "ours, again":
            remember_pages(task)
        with Database(url).connect(autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        command = [
            sys.executable,
            "-m",
            "tests.benchmarks.bulk_store",
            "--child",
            json.dumps([candidate, asdict(task)]),
        ]
        # Standard error stays visible: a candidate that fails says why.
        ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        figures = Figures(**json.loads(ended.stdout.splitlines()[-1]))
        print(
            f"{candidate:26} {figures.rows:9,} rows {figures.seconds:8.2f} s {figures.rows_per_s:10,} rows/s"
            f" {figures.rows_written:9,} written {figures.wal_mb:8.1f} MB WAL {figures.peak_rss_mb:5} MB peak",
            flush=True,
        )
        found.append(figures)
    return found


def summary(found: list[Figures]) -> dict[str, object]:
    """The figures with the ratios that matter."""
    by = {figures.candidate: figures for figures in found}
    first = by["ours, first"].rows_per_s
    return {
        "figures": [asdict(figures) for figures in found],
        "first_load_to_copy_text": round(first / by["COPY text"].rows_per_s, 2),
        "first_load_to_copy_binary": round(first / by["COPY binary"].rows_per_s, 2),
        "first_load_to_dlt_dicts": round(first / by["dlt from dicts, first"].rows_per_s, 1),
        "first_load_to_dlt_arrow": round(first / by["dlt from Arrow, first"].rows_per_s, 1),
        "again_to_first": round(by["ours, again"].rows_per_s / first, 2),
        "again_by_page_hash_to_first": round(by["ours, again by page hash"].rows_per_s / first, 2),
        "again_to_dlt_dicts_again": round(
            by["ours, again"].rows_per_s / by["dlt from dicts, again"].rows_per_s, 1
        ),
        "rows_written_again": by["ours, again"].rows_written,
        "rows_written_1_percent": by["ours, 1 % changed"].rows_written,
        "peak_rss_mb": max(figures.peak_rss_mb for figures in found if figures.candidate.startswith("ours")),
    }


def main() -> None:
    """Read the arguments, start the server, run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dlt-rows", type=int, default=100_000)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        candidate, task = json.loads(arguments.child)
        print(json.dumps(asdict(measure(candidate, Task(**task)))))
        return
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        data_dir = Path(folder).resolve() / "data"
        try:
            url = with_database(embedded.start(data_dir).url, "bulk_store")
            create_database(with_database(url, "postgres"), "bulk_store")
            migrate(url)
            _make_listings(url, arguments.rows // _NIGHTS + 1)
            print(json.dumps(summary(run_all(url, arguments.rows, arguments.dlt_rows))))
        finally:
            embedded.stop(data_dir)


def _make_listings(url: str, count: int) -> None:
    with Database(url).connect() as connection:
        for statement in (
            "INSERT INTO property (code, name, time_zone, currency) VALUES ('p', 'P', 'UTC', 'EUR')",
            "INSERT INTO unit_type (property_id, code, name) SELECT property_id, 'u', 'U' FROM property",
            "INSERT INTO channel_account (code, channel, environment) VALUES ('a', 'ical', 'sandbox')",
        ):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO listing (channel_account_id, external_id, unit_type_id)"
            " SELECT channel_account_id, n, unit_type_id"
            " FROM channel_account, unit_type, generate_series(1, %s) AS n ORDER BY n",
            [count],
        )


if __name__ == "__main__":
    main()
