"""The pandas frames: windows, filters and dtypes."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from inspect import cleandoc
from zoneinfo import ZoneInfo

import pandas as pd
import psycopg
import pytest
from psycopg import sql

from channel_sync import analytics
from channel_sync.storage.database import Database, with_database
from channel_sync.storage.embedded import EmbeddedServer
from channel_sync.storage.migrate import migrate
from tests.analytics_rows import HORIZON, seed

TODAY = datetime.now(UTC).date()
FRAMES: dict[Callable[..., pd.DataFrame], Mapping[str, str]] = {
    analytics.calendar: analytics.CALENDAR,
    analytics.prices: analytics.PRICES,
    analytics.bookings: analytics.BOOKINGS,
    analytics.occupancy: analytics.OCCUPANCY,
    analytics.sync_health: analytics.SYNC_HEALTH,
    analytics.channel_calls: analytics.CHANNEL_CALLS,
}
NO_ROWS: dict[Callable[..., pd.DataFrame], Mapping[str, list[str]]] = {
    **{function: {"properties": []} for function in FRAMES},
    analytics.channel_calls: {"channels": []},
}


@pytest.fixture(scope="module")
def seeded(postgres: EmbeddedServer) -> Iterator[Database]:
    """A database with a small portfolio in it, for tests that only read."""
    url = with_database(postgres.url, "frames_of_analytics")
    migrate(url)
    seed(Database(url), TODAY)
    yield Database(url)
    with Database(postgres.url).connect(autocommit=True) as connection:
        connection.execute("DROP DATABASE frames_of_analytics WITH (FORCE)")


def _dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def test_every_frame_has_its_dtypes_with_and_without_rows(seeded: Database) -> None:
    """A frame without rows can be treated like one with rows."""
    for function, columns in FRAMES.items():
        full, empty = function(seeded), function(seeded, **NO_ROWS[function])

        assert len(full) > 0
        assert len(empty) == 0
        assert _dtypes(full) == dict(columns)
        assert _dtypes(empty) == dict(columns)


def test_a_frame_has_the_columns_of_its_view(database: Database) -> None:
    """Nothing that an analyst can query is missing from the frames."""
    views = {"calendar_night": analytics.CALENDAR, "price_night": analytics.PRICES, "booking": analytics.BOOKINGS,
             "occupancy_night": analytics.OCCUPANCY, "sync_health": analytics.SYNC_HEALTH,
             "channel_call": analytics.CHANNEL_CALLS}  # fmt: skip
    with database.connect() as connection:
        for view, columns in views.items():
            cursor = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier("analytics", view)))
            assert [column.name for column in cursor.description or ()] == list(columns)


def test_the_window_is_half_open(seeded: Database) -> None:
    """The night of ``start`` is in the frame, the night of ``end`` is not."""
    frame = analytics.calendar(seeded, start=TODAY + timedelta(2), end=TODAY + timedelta(4))

    assert sorted(frame["night"].dt.date.unique()) == [TODAY + timedelta(2), TODAY + timedelta(3)]
    assert len(analytics.prices(seeded, start=TODAY, end=TODAY)) == 0
    assert len(analytics.prices(seeded, start=TODAY)) == 2 * HORIZON


def test_a_booking_is_in_the_window_if_one_of_its_nights_is(seeded: Database) -> None:
    """A stay that ends on the first morning is not in the window; one that begins before it and reaches in is."""

    def codes(start: int, end: int) -> list[str]:
        frame = analytics.bookings(seeded, start=TODAY + timedelta(start), end=TODAY + timedelta(end))
        return list(frame["booking"])

    assert codes(5, 6) == []
    assert codes(4, 6) == ["HM1"]
    assert codes(0, 3) == ["HM4"]
    assert codes(0, 4) == ["HM4", "HM1"]
    assert set(analytics.bookings(seeded)["booking"]) == {"HM1", "HM2", "HM3", "HM4"}


def test_properties_and_channels_filter(seeded: Database) -> None:
    """Rows of the properties and channels asked for, and no others; one code may be given without a list."""
    by_property = analytics.calendar(seeded, properties=["kyoto-house", "no-such-house"])
    by_channel = analytics.calendar(seeded, channels="ical")

    assert set(by_property["property"]) == {"kyoto-house"}
    assert set(by_channel["listing"]) == {"studio-feed"}
    assert len(analytics.calendar(seeded, properties=["kyoto-house"], channels=["ical"])) == 0
    assert set(analytics.sync_health(seeded, channels=["ical"])["listing"]) == {"studio-feed"}


def test_money_is_exact_and_missing_is_missing(seeded: Database) -> None:
    """Amounts are Decimals, and what a channel does not state is neither 0 nor False."""
    night = analytics.calendar(seeded, channels=["airbnb"], start=TODAY, end=TODAY + timedelta(1))
    row = night[night["listing"] == "1001"].iloc[0]

    assert isinstance(row["amount"], Decimal)
    assert row["amount"] == Decimal("100.50")
    assert row["max_stay"] is pd.NA
    assert row["stop_sell"] is pd.NA
    assert not row["closed_to_arrival"]


def test_calls_are_cut_by_the_minute_and_the_channel(seeded: Database) -> None:
    """Minutes of a half-open window in any zone; a moment without one is refused."""
    ten = datetime(2027, 1, 1, 10, tzinfo=UTC)

    def calls(start: datetime, end: datetime) -> int:
        return int(analytics.channel_calls(seeded, start=start, end=end)["calls"].sum())

    assert calls(ten, ten + timedelta(minutes=1)) == 45
    assert calls(ten.astimezone(ZoneInfo("Asia/Tokyo")), ten + timedelta(minutes=2)) == 47
    assert set(analytics.channel_calls(seeded, channels="ical")["endpoint"]) == {"feed"}
    with pytest.raises(ValueError, match="has no time zone"):
        analytics.channel_calls(seeded, start=ten.replace(tzinfo=None))


def test_a_url_will_do_and_days_may_be_timestamps(seeded: Database) -> None:
    """A notebook passes a URL and whatever pandas calls a day."""
    start = pd.Timestamp(TODAY)
    frame = analytics.calendar(seeded.url, start=start, end=start + pd.Timedelta(days=1))

    assert set(frame["night"]) == {start}


def test_an_inverted_window_is_refused() -> None:
    """Swapped ends give an error that names both, not an empty frame."""
    with pytest.raises(ValueError, match=r"2027-02-01 \.\. 2027-01-01: swap start and end"):
        analytics.calendar("postgresql://nowhere/x", start=date(2027, 2, 1), end=date(2027, 1, 1))


def test_the_analysts_role_is_enough(seeded: Database) -> None:
    """A session that has no more than the analysts' role can build every frame."""
    options = "options=-c%20role%3Dchannel_sync_analyst"
    as_analyst = Database(f"{seeded.url}{'&' if '?' in seeded.url else '?'}{options}")

    with pytest.raises(psycopg.errors.InsufficientPrivilege), as_analyst.connect() as connection:
        connection.execute("SELECT FROM channel_sync.booking")
    assert all(len(function(as_analyst)) > 0 for function in FRAMES)


def test_the_module_says_what_its_dtypes_are() -> None:
    """The documentation names each dtype that a column can have."""
    used = {dtype for columns in FRAMES.values() for dtype in columns.values()}
    documented = cleandoc(analytics.__doc__ or "")

    assert {dtype for dtype in used if dtype not in documented} == set()
