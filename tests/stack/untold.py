"""What must stay untold, and where it is told all the same: in the files of the state folder and in every table."""

import re
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path

from channel_sync.sandbox import demo
from channel_sync.sandbox.world import World
from tests.stack.whole_stack import WholeStack

_ACCESS_TOKEN = re.compile(rb"\bat-\d+-\d+-[0-9a-f]{32}")

Places = dict[str, list[str]]  # needle -> where it was found


def all_secrets(sandbox_url: str) -> list[str]:
    """Everything that must stay untold: credentials, feeds' URLs and their secret paths, what is known of guests."""
    told = demo.environment(sandbox_url)
    pair = f"{told['AIRBNB_DEMO_CLIENT_ID']}:{told['AIRBNB_DEMO_CLIENT_SECRET']}"
    feeds = [value.removeprefix(sandbox_url) for value in told.values() if value.startswith(sandbox_url)]
    assert feeds
    guests = [booking.guest for booking in World().bookings(datetime.now(UTC))]
    assert guests
    people = {detail for guest in guests for detail in (guest.email, guest.phone)}
    return [*told.values(), b64encode(pair.encode()).decode(), *feeds, *people]


def told_in_files(stack: WholeStack, needles: list[str]) -> Places:
    """Where in the state folder which needle, or an access token, is told."""
    places: Places = {}
    for file in _files_of(stack.state_dir):
        text = file.read_bytes()
        token = ["an access token"] if _ACCESS_TOKEN.search(text) else []
        for needle in [*(needle for needle in needles if needle.encode() in text), *token]:
            places.setdefault(needle, []).append(str(file.relative_to(stack.state_dir)))
    return places


def told_in_tables(stack: WholeStack, needles: list[str], *, dagster: bool) -> Places:
    """In which columns which needle is told. Tokens have a table of their own, which is not looked into."""
    places: Places = {}
    columns = stack.rows(
        "SELECT table_schema, table_name, column_name FROM information_schema.columns "
        "JOIN information_schema.tables USING (table_schema, table_name) "
        "WHERE table_type = 'BASE TABLE' AND table_schema IN ('channel_sync', 'public') "
        "AND data_type IN ('text', 'character varying', 'jsonb') AND table_name <> 'channel_token'",
        dagster=dagster,
    )
    for schema, table, column in columns:
        for (needle,) in stack.rows(
            "SELECT needle FROM unnest(%s::text[]) AS needle WHERE EXISTS "
            f'(SELECT FROM "{schema}"."{table}" WHERE position(needle IN "{column}"::text) > 0)',
            needles,
            dagster=dagster,
        ):
            places.setdefault(needle, []).append(f"{schema}.{table}.{column}")
    return places


def _files_of(state_dir: Path) -> list[Path]:
    """Everything that was written to the state folder: of the database only its log."""
    found = [
        file
        for file in state_dir.rglob("*")
        if file.is_file() and (file.suffix == ".log" or "postgres" not in file.relative_to(state_dir).parts)
    ]
    assert {"code-server.log", "daemon.log", "server.log"} <= {file.name for file in found}
    return found
