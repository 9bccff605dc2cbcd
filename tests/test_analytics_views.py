"""The views that analysts read: documented, right, quick, and all that the analysts' role can see."""

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from channel_sync.storage import migrate as migration
from channel_sync.storage.database import Database, create_database, with_database
from channel_sync.storage.embedded import EmbeddedServer
from channel_sync.storage.migrate import migrate
from tests.analytics_rows import seed

TODAY = datetime.now(UTC).date()

VIEWS = {
    "listing",
    "calendar_night",
    "price_night",
    "booking",
    "booking_night",
    "occupancy_night",
    "sync_health",
    "channel_call",
    "acknowledgements",
}


@pytest.fixture(scope="module")
def seeded(postgres: EmbeddedServer) -> Iterator[Database]:
    """A database with a small portfolio in it, for tests that only read."""
    url = with_database(postgres.url, "views_of_analytics")
    migrate(url)
    seed(Database(url), TODAY)
    yield Database(url)
    with Database(postgres.url).connect(autocommit=True) as connection:
        connection.execute("DROP DATABASE views_of_analytics WITH (FORCE)")


def _rows(database: Database, statement: str, *given: object) -> list[dict[str, Any]]:
    with database.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement.encode(), given).fetchall()


def test_every_view_and_column_has_a_comment(database: Database) -> None:
    """Whoever opens the schema in a client is told what each row and each value means."""
    relations = _rows(
        database,
        "SELECT relname, relkind::text, obj_description(oid, 'pg_class') AS said FROM pg_class"
        " WHERE relnamespace = 'analytics'::regnamespace AND relkind <> 'c'",
    )
    columns = _rows(
        database,
        "SELECT attrelid::regclass::text || '.' || attname AS name, col_description(attrelid, attnum) AS said"
        " FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
        " WHERE relnamespace = 'analytics'::regnamespace AND attnum > 0",
    )

    assert {row["relname"] for row in relations} == VIEWS
    assert {row["relkind"] for row in relations} == {"v"}
    assert [row for row in (*relations, *columns) if not row["said"] or len(row["said"]) < 10] == []


def test_no_column_is_about_a_person_or_a_secret(database: Database) -> None:
    """No guest's details, no secret and no setting has a column."""
    columns = _rows(
        database, "SELECT column_name FROM information_schema.columns WHERE table_schema = 'analytics'"
    )
    private = re.compile("guest|secret|setting|token|mail|phone|password|credential|message|payload")

    assert [row["column_name"] for row in columns if private.search(row["column_name"])] == []


def test_the_analyst_reads_every_view_and_nothing_else(seeded: Database) -> None:
    """The role sees each view's rows, and may neither read the engine's tables nor write anything."""
    with seeded.connect(autocommit=True) as connection:
        connection.execute("SET ROLE channel_sync_analyst")
        for view in sorted(VIEWS):
            statement = sql.SQL("SELECT * FROM {} LIMIT 1").format(sql.Identifier("analytics", view))
            assert connection.execute(statement).fetchone() is not None
        readable = connection.execute(
            "SELECT pg_class.oid::regclass::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
            " WHERE nspname NOT IN ('analytics', 'pg_catalog', 'information_schema', 'pg_toast')"
            " AND relkind IN ('r', 'v', 'm', 'p', 'f', 'S')"
            " AND CASE relkind WHEN 'S' THEN has_sequence_privilege(pg_class.oid, 'SELECT, UPDATE, USAGE')"
            " ELSE has_table_privilege(pg_class.oid, 'SELECT, INSERT, UPDATE, DELETE') END"
        ).fetchall()
        assert readable == []
        writable = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'analytics'::regnamespace"
            " AND has_table_privilege(oid, 'INSERT, UPDATE, DELETE, TRUNCATE')"
        ).fetchall()
        assert writable == []
        for refused in (
            "SELECT * FROM channel_sync.channel_token",
            "SELECT * FROM channel_sync.booking",
            "CREATE TABLE analytics.mine (n integer)",
            "CREATE TABLE public.mine (n integer)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(refused.encode())


def test_a_night_shows_its_calendar_and_its_price(seeded: Database) -> None:
    """calendar_night joins availability, price and the time of the last good reading."""
    (row,) = _rows(
        seeded,
        "SELECT * FROM analytics.calendar_night WHERE property = 'harbour-house' AND channel = 'airbnb' AND night = %s",
        TODAY + timedelta(3),
    )
    observed_at = row.pop("observed_at")

    assert row == {
        "property": "harbour-house",
        "unit_type": "studio",
        "rate_plan": "standard",
        "channel": "airbnb",
        "channel_account": "airbnb-1",
        "listing": "1001",
        "night": TODAY + timedelta(3),
        "units": 2,
        "units_open": 0,
        "is_closed": True,
        "closure": "booked",
        "is_held": False,
        "held_since": None,
        "amount": Decimal("100.50"),
        "currency": "EUR",
        "min_stay_arrival": 2,
        "min_stay_through": None,
        "max_stay": None,
        "closed_to_arrival": False,
        "closed_to_departure": None,
        "stop_sell": None,
        "is_live": True,
    }
    assert timedelta(minutes=9) < datetime.now(UTC) - observed_at < timedelta(minutes=30)


def test_an_acknowledgement_shows_how_long_it_took(seeded: Database) -> None:
    """Minutes where it was taken, overdue where it still waits; what it is made with is in no column."""
    rows = _rows(seeded, "SELECT * FROM analytics.acknowledgements ORDER BY booking")

    assert [("HM1", 2, False), ("HM2", None, False), ("HM3", None, True), ("HM4", None, False)] == [
        (row["booking"], row["minutes"], row["is_overdue"]) for row in rows
    ]
    assert "token" not in str(rows)


def test_bookings_count_nights_and_lead_in_local_days(seeded: Database) -> None:
    """A stay booked in the evening UTC was booked the next day in Tokyo; one without dates has no nights."""
    rows = {row["booking"]: row for row in _rows(seeded, "SELECT * FROM analytics.booking")}

    assert {code: (row["nights"], row["lead_days"]) for code, row in rows.items()} == {
        "HM1": (2, 13),
        "HM2": (None, None),
        "HM3": (2, 15),
        "HM4": (1, None),
    }
    assert [code for code, row in rows.items() if row["is_overbooked"]] == ["HM3"]
    assert (rows["HM4"]["property"], rows["HM4"]["listing"]) == (None, "9999")
    assert (rows["HM1"]["payout_amount"], rows["HM3"]["payout_amount"]) == (Decimal("180.90"), None)


def test_a_night_of_a_booking_has_the_price_it_was_told_and_no_other(seeded: Database) -> None:
    """Nobody shares out a total: a night whose price the channel does not tell has none."""
    rows = _rows(seeded, "SELECT booking, night, amount FROM analytics.booking_night ORDER BY booking, night")

    assert [(row["booking"], (row["night"] - TODAY).days, row["amount"]) for row in rows] == [
        ("HM1", 3, Decimal("100.50")),
        ("HM1", 4, Decimal("100.50")),
        ("HM3", 6, None),
        ("HM3", 7, None),
        ("HM4", 1, None),
    ]


def test_occupancy_counts_bookings_and_what_only_a_feed_tells(seeded: Database) -> None:
    """A booking on record takes its units; a feed's booked night takes one; a held night none."""
    rows = {
        (row["unit_type"], (row["night"] - TODAY).days): row
        for row in _rows(seeded, "SELECT * FROM analytics.occupancy_night")
    }
    shown = {
        day: tuple(
            rows["studio", day][name] for name in ("units", "units_sold", "units_occupied", "listings_closed")
        )
        for day in (0, 3, 5, 10)
    }

    assert shown == {0: (2, 0, 0, 0), 3: (2, 1, 1, 1), 5: (2, 0, 0, 1), 10: (2, 0, 1, 1)}
    assert rows["studio", 5]["listings_held"] == 1
    assert rows["villa", 6]["units_sold"] == 1
    assert rows["studio", 0]["listings"] == 2


def test_sync_health_says_how_old_each_calendar_is_and_what_is_held(seeded: Database) -> None:
    """The last success, the last failure and future holds are told; a past night that stayed held is not."""
    rows = {
        (row["channel_account"], row["listing"], row["subject"]): row
        for row in _rows(seeded, "SELECT * FROM analytics.sync_health")
    }
    villa = rows["airbnb-1", "2001", "availability"]
    feed = rows["feeds-1", "studio-feed", "availability"]

    assert set(rows) == {
        ("airbnb-1", "1001", "availability"),
        ("airbnb-1", "1001", "pricing"),
        ("airbnb-1", "2001", "availability"),
        ("airbnb-1", None, "bookings"),
        ("feeds-1", "studio-feed", "availability"),
    }
    assert (villa["last_outcome"], villa["last_error"]) == ("failed", "Unavailable")
    assert timedelta(hours=2) <= villa["staleness"] < timedelta(hours=3)
    assert (feed["last_success_at"], feed["staleness"], feed["nights_held"]) == (None, None, 1)
    assert rows["airbnb-1", "1001", "availability"]["nights_held"] == 0
    bookings = rows["airbnb-1", None, "bookings"]
    assert bookings["nights_held"] is None
    # What a webhook brought a minute ago is no pull.
    assert timedelta(minutes=7) <= bookings["staleness"] < timedelta(minutes=9)


def test_channel_calls_tell_sent_from_held_back_and_answers_from_failures(seeded: Database) -> None:
    """Each outcome says whether it was sent and whether it went well; an account that is gone keeps its counts."""
    rows = _rows(
        seeded,
        "SELECT channel, channel_account, outcome, calls, was_sent, has_succeeded FROM analytics.channel_call"
        " ORDER BY minute, channel_account, outcome",
    )

    assert [tuple(row.values()) for row in rows] == [
        ("airbnb", "airbnb-1", "200", 40, True, True),
        ("airbnb", "airbnb-1", "503", 2, True, False),
        ("airbnb", "airbnb-1", "refused: circuit open", 3, False, False),
        ("ical", "feeds-1", "304", 1, True, True),
        (None, "gone", "ReadTimeout", 1, True, False),
    ]


def test_what_left_the_portfolio_keeps_its_facts_and_is_no_longer_watched(database: Database) -> None:
    """A retired listing's nights stay, marked; its health is nobody's business any more."""
    seed(database, TODAY)
    with database.connect() as connection:
        connection.execute("UPDATE channel_sync.listing SET retired_at = now() WHERE external_id = '1001'")
    live = {
        row["is_live"]
        for row in _rows(database, "SELECT is_live FROM analytics.calendar_night WHERE listing = '1001'")
    }
    health = _rows(database, "SELECT FROM analytics.sync_health WHERE listing = '1001'")

    assert live == {False}
    assert health == []


def test_a_window_of_one_property_touches_only_its_own_rows(database: Database) -> None:
    """The plan reads the large tables by listing and night, through their keys."""
    with database.connect() as connection:
        connection.execute(
            """
            INSERT INTO channel_sync.property (code, name, time_zone, currency)
                SELECT 'p' || n, 'P', 'UTC', 'EUR' FROM generate_series(1, 150) AS n;
            INSERT INTO channel_sync.unit_type (property_id, code, name)
                SELECT property_id, 'studio', 'Studio' FROM channel_sync.property;
            INSERT INTO channel_sync.channel_account (code, channel, environment) VALUES ('a', 'airbnb', 'production');
            INSERT INTO channel_sync.listing (channel_account_id, external_id, unit_type_id)
                SELECT channel_account_id, unit_type_id, unit_type_id
                FROM channel_sync.unit_type, channel_sync.channel_account;
            INSERT INTO channel_sync.channel_availability (listing_id, night, units_open, sync_log_id)
                SELECT listing_id, date '2027-01-01' + n, 1, 1 FROM channel_sync.listing, generate_series(0, 364) AS n;
            INSERT INTO channel_sync.channel_price (listing_id, night, sync_log_id)
                SELECT listing_id, date '2027-01-01' + n, 1 FROM channel_sync.listing, generate_series(0, 364) AS n;
            ANALYZE;
            """
        )
    large = {"channel_availability", "channel_price"}
    for view in ("calendar_night", "price_night", "occupancy_night"):
        (row,) = _rows(
            database,
            "EXPLAIN (FORMAT json) SELECT * FROM analytics.VIEW WHERE property = 'p7'"
            " AND night >= '2027-03-01' AND night < '2027-04-01'".replace("VIEW", view),
        )
        scans = [node for node in _nodes(row["QUERY PLAN"][0]["Plan"]) if node.get("Relation Name") in large]
        assert scans
        assert {node["Node Type"] for node in scans} <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
        assert all("night" in node.get("Index Cond", node.get("Recheck Cond", "")) for node in scans)


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for inner in plan.get("Plans", ()) for node in _nodes(inner))]


def _role_statements(role: str) -> bytes:
    """The part of the schema that creates the role and grants to it, for a role of another name."""
    text = (Path(migration.__file__).parent / "sql" / "analytics.sql").read_text(encoding="utf-8")
    return text[text.index("DO $$") :].replace("channel_sync_analyst", role).encode()


def test_the_role_can_be_created_by_many_databases_at_once(postgres: EmbeddedServer) -> None:
    """Roles belong to the server: whoever comes second finds it made, and nobody fails."""
    role, names = "analyst_of_many", [f"analyst_of_many_{number}" for number in range(3)]
    databases = [Database(with_database(postgres.url, name)) for name in names]
    statements, ready, failures = _role_statements(role), threading.Barrier(len(names)), []

    def create(database: Database) -> None:
        try:
            with database.connect() as connection:
                connection.execute("CREATE SCHEMA analytics")
                ready.wait(20)
                connection.execute(statements)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            failures.append(error)

    try:
        for name in names:
            create_database(postgres.url, name)
        with ThreadPoolExecutor(len(names)) as threads:
            list(threads.map(create, databases))
        assert failures == []
        for database in databases:
            (row,) = _rows(database, "SELECT has_schema_privilege(%s, 'analytics', 'USAGE') AS granted", role)
            assert row["granted"]
    finally:
        with Database(postgres.url).connect(autocommit=True) as connection:
            for name in (
                *(f"DATABASE IF EXISTS {name} WITH (FORCE)" for name in names),
                f"ROLE IF EXISTS {role}",
            ):
                connection.execute(f"DROP {name}".encode())


def test_a_user_who_may_not_create_roles_gets_the_views_all_the_same(database: Database) -> None:
    """Without the right to create roles the schema is made, and a notice says what is missing."""
    notices: list[str] = []
    with database.connect() as connection:
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
        connection.execute("CREATE ROLE plain_user; SET LOCAL ROLE plain_user")
        connection.execute(_role_statements("analyst_of_nobody"))
        connection.rollback()

    assert notices == ["the role analyst_of_nobody was not created: plain_user may not create roles"]


def test_nights_are_dates(database: Database) -> None:
    """Every column named night, check_in or check_out is a DATE, never a timestamp."""
    types = _rows(
        database,
        "SELECT DISTINCT data_type FROM information_schema.columns WHERE table_schema = 'analytics'"
        " AND column_name IN ('night', 'check_in', 'check_out')",
    )

    assert types == [{"data_type": "date"}]
