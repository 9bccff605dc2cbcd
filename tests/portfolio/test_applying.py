"""The portfolio in the tables: made, changed, retired and restored, and read by the engine."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.base_adapter import Quota, QuotaScope
from adapters.errors import ConfigurationError
from channel_sync.portfolio.applying import apply, render
from channel_sync.portfolio.model import Portfolio
from channel_sync.storage import portfolio as stored
from channel_sync.storage.database import Database, with_database
from channel_sync.storage.embedded import EmbeddedServer
from channel_sync.storage.migrate import migrate
from channel_sync.storage.portfolio import Change

TODAY = datetime.now(UTC).date()

SAMPLE: dict[str, Any] = {
    "properties": [
        {
            "code": "house",
            "name": "House",
            "time_zone": "Europe/Lisbon",
            "currency": "EUR",
            "unit_types": [
                {
                    "code": "studio",
                    "name": "Studio",
                    "units": 2,
                    "rate_plans": [{"code": "flex", "name": "Flex"}],
                },
                {"code": "loft", "name": "Loft", "units": ["L"]},
            ],
        }
    ],
    "channel_accounts": [
        {
            "code": "air",
            "channel": "airbnb",
            "environment": "sandbox",
            "settings": {"user_id": "7"},
            "secrets": {"client_id": "AIR_CLIENT_ID"},
            "listings": [
                {
                    "listing_id": "1",
                    "unit_type": "house/studio",
                    "rate_plan": "flex",
                    "settings": {"quirk": "x"},
                },
                {"listing_id": "2", "unit_type": "house/loft", "enabled": False},
            ],
        },
        {
            "code": "feeds",
            "channel": "ical",
            "listings": [
                {
                    "listing_id": "f",
                    "unit_type": "house/studio",
                    "patience_hours": 0.1,
                    "secrets": {"feed_url": "F_URL"},
                }
            ],
        },
    ],
}


def _sample(**changes: object) -> Portfolio:
    """The sample with the values at the given ways replaced: ``properties_0_currency="USD"``."""
    tree = deepcopy(SAMPLE)
    for way, value in changes.items():
        *steps, last = [int(step) if step.isdigit() else step.replace("-", "_") for step in way.split("__")]
        part: Any = tree
        for step in steps:
            part = part[step]
        part[last] = value
    return Portfolio.model_validate(tree)


def _book(database: Database, listing: str, unit: str) -> None:
    """A confirmed stay from yesterday to tomorrow, in one unit."""
    with database.connect() as connection:
        connection.execute(
            "WITH sold AS (INSERT INTO channel_sync.booking (channel_account_id, external_id, listing_id,"
            " listing_external_id, status, check_in, check_out, units, revised_at, first_seen_at, sync_log_id)"
            " SELECT channel_account_id, 'HM1', listing_id, external_id, 'confirmed', %s, %s, 1, now(), now(), 1"
            " FROM channel_sync.listing WHERE external_id = %s RETURNING booking_id, check_in, check_out)"
            " INSERT INTO channel_sync.allocation (unit_id, booking_id, stay)"
            " SELECT unit_id, booking_id, daterange(check_in, check_out)"
            " FROM sold, channel_sync.unit JOIN channel_sync.unit_type USING (unit_type_id)"
            " WHERE unit_type.code || '/' || unit.code = %s",
            [TODAY - timedelta(1), TODAY + timedelta(2), listing, unit],
        )


def test_a_new_portfolio_is_added_once(database: Database) -> None:
    """Everything in the file is added, owners first; the same file again changes nothing."""
    changes = apply(database, _sample())

    assert {change.kind for change in changes} == {"added"}
    assert [change.what for change in changes] == [
        "property house",
        "unit type house/studio",
        "unit type house/loft",
        "unit house/studio/1",
        "unit house/studio/2",
        "unit house/loft/L",
        "rate plan house/studio/flex",
        "channel account air",
        "channel account feeds",
        "listing air/1",
        "listing air/2",
        "listing feeds/f",
    ]
    assert apply(database, _sample()) == []


def test_the_engine_reads_what_the_file_says(database: Database) -> None:
    """Accounts and enabled listings come back with everything a pull needs."""
    apply(database, _sample())
    with database.connect() as connection:
        air, feeds = stored.accounts(connection)
        (listing,) = stored.listings(connection, air.channel_account_id)
        (feed,) = stored.listings(connection, feeds.channel_account_id)

    assert (air.code, air.channel, air.environment, air.settings, air.secrets, air.enabled) == (
        "air",
        "airbnb",
        "sandbox",
        {"user_id": "7"},
        {"client_id": "AIR_CLIENT_ID"},
        True,
    )
    assert (listing.external_id, listing.property_code, listing.unit_type_code, listing.rate_plan_code) == (
        "1",
        "house",
        "studio",
        "flex",
    )
    assert (listing.time_zone, listing.currency, listing.units, listing.patience_hours) == (
        "Europe/Lisbon",
        "EUR",
        2,
        2.0,
    )
    assert (feed.rate_plan_code, feed.patience_hours, feed.secrets) == (None, 0.1, {"feed_url": "F_URL"})
    assert feed.unit_type_id == listing.unit_type_id


def test_a_disabled_account_is_found_by_name_only(database: Database) -> None:
    """Schedules do not see it; a person who names it does."""
    apply(database, _sample(channel_accounts__0__enabled=False))
    with database.connect() as connection:
        assert [account.code for account in stored.accounts(connection)] == ["feeds"]
        assert not stored.account(connection, "air").enabled


def test_an_unknown_or_retired_account_is_a_configuration_error(database: Database) -> None:
    """The error names the account and the mend."""
    apply(database, _sample())
    apply(database, _sample(channel_accounts=[]))
    with database.connect() as connection:
        for code in ("air", "nobody"):
            with pytest.raises(ConfigurationError, match=f"no channel account '{code}': add it"):
                stored.account(connection, code)


def test_changes_are_named_with_before_and_after(database: Database) -> None:
    """A changed value is shown as it was and as it is; settings and secrets are shown by name only."""
    apply(database, _sample())
    changes = apply(
        database,
        _sample(
            properties__0__currency="USD",
            channel_accounts__0__settings={"user_id": "hidden"},
            channel_accounts__0__enabled=False,
            channel_accounts__0__listings__0={
                "listing_id": "1",
                "unit_type": "house/loft",
                "patience_hours": 3,
            },
        ),
    )

    assert changes == [
        Change("changed", "property house", "currency: EUR -> USD"),
        Change("changed", "channel account air", "settings differ; enabled: true -> false"),
        Change(
            "changed",
            "listing air/1",
            "unit_type: house/studio -> house/loft; rate_plan: house/studio/flex -> none;"
            " patience_hours: 2 -> 3; settings differ",
        ),
    ]


def test_quotas_of_an_account_are_stored_shown_and_read(database: Database) -> None:
    """They reach the engine in the contract's words; a change is shown in full, the same file again changes nothing."""
    apply(database, _sample())
    quotas = [
        {"limit": 50, "window_s": 1, "per": "account"},
        {
            "limit": 900,
            "window_s": 0.5,
            "per": "property",
            "burst": 9,
            "endpoints": ["listings", "calendars"],
        },
    ]
    own = _sample(channel_accounts__0__quotas=quotas)

    changes = apply(database, own)
    with database.connect() as connection:
        air, feeds = stored.accounts(connection)

    assert [
        Change(
            "changed",
            "channel account air",
            "quotas: none -> 50 in 1 s per account, 900 in 0.5 s per property (burst 9, only calendars+listings)",
        )
    ] == changes
    assert (
        Quota(50, timedelta(seconds=1), QuotaScope.ACCOUNT),
        Quota(
            900,
            timedelta(seconds=0.5),
            QuotaScope.PROPERTY,
            burst=9,
            endpoints=frozenset({"calendars", "listings"}),
        ),
    ) == air.quotas
    assert () == feeds.quotas
    assert [] == apply(database, own)
    assert 1 == len(apply(database, _sample()))


def test_what_leaves_the_file_is_retired_and_comes_back(database: Database) -> None:
    """Nothing is deleted: the row keeps its key and its facts, and is restored with the next file that has it."""
    apply(database, _sample())
    _book(database, "f", "studio/1")
    without = apply(database, _sample(channel_accounts__1__listings=[]))
    with database.connect() as connection:
        feeds = stored.account(connection, "feeds")
        gone = stored.listings(connection, feeds.channel_account_id)
        booked = connection.execute("SELECT count(*) FROM channel_sync.booking").fetchone()
    again = apply(database, _sample())

    assert without == [Change("retired", "listing feeds/f", "warning: 1 stay not yet over sold on it")]
    assert (gone, booked) == ([], (1,))
    assert again == [Change("restored", "listing feeds/f")]
    assert apply(database, _sample()) == []


def test_a_retired_unit_with_a_stay_is_told(database: Database) -> None:
    """A unit may leave while somebody is in it, but not silently; it no longer counts as supply."""
    apply(database, _sample())
    _book(database, "1", "studio/2")
    changes = apply(database, _sample(properties__0__unit_types__0__units=1))
    with database.connect() as connection:
        air = stored.account(connection, "air")
        (listing,) = stored.listings(connection, air.channel_account_id)

    assert changes == [
        Change("retired", "unit house/studio/2", "warning: 1 stay not yet over allocated to it")
    ]
    assert listing.units == 1


@pytest.mark.parametrize(
    ("column", "was", "becomes"), [("channel", "airbnb", "ical"), ("environment", "sandbox", "production")]
)
def test_an_account_with_facts_never_becomes_another(
    database: Database, column: str, was: str, becomes: str
) -> None:
    """Its nights and bookings would be taken for the other's: refused, and nothing else of the file is applied."""
    apply(database, _sample())
    _book(database, "1", "studio/1")
    with pytest.raises(
        ConfigurationError, match=f"channel account air has nights or bookings from {column} {was} and"
    ):
        apply(
            database, _sample(**{f"channel_accounts__0__{column}": becomes, "properties__0__name": "Other"})
        )

    assert apply(database, _sample()) == []


def test_a_slip_in_a_new_account_can_be_mended(database: Database) -> None:
    """As long as nothing was pulled through it, an account's environment is a setting like any other."""
    apply(database, _sample())

    assert apply(database, _sample(channel_accounts__0__environment="production")) == [
        Change("changed", "channel account air", "environment: sandbox -> production")
    ]


def test_a_time_zone_that_the_server_does_not_know_is_refused(database: Database) -> None:
    """Nights are reckoned in the database too: better no portfolio than views that fail."""
    house = _sample().properties[0].model_copy(update={"time_zone": "Mars/Olympus"})
    with pytest.raises(ConfigurationError, match="Mars/Olympus"):
        apply(database, _sample().model_copy(update={"properties": (house,)}))


def test_two_processes_apply_one_after_the_other(database: Database) -> None:
    """At once they add everything once."""
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda _: apply(database, _sample()), range(4)))

    assert sorted(len(changes) for changes in results) == [0, 0, 0, 12]


def test_render_says_each_change_in_a_line() -> None:
    """A person sees the kind, the part and the detail; and that there was nothing to do."""
    changes = [Change("added", "listing air/1"), Change("changed", "property house", "currency: EUR -> USD")]

    assert render(changes) == "added    listing air/1\nchanged  property house (currency: EUR -> USD)"
    assert render([]) == "nothing to change: the tables agree with the portfolio"


_CODES = st.sampled_from(["a", "b", "c"])
_PROPERTIES: st.SearchStrategy[list[dict[str, Any]]] = st.lists(
    st.fixed_dictionaries(
        {
            "code": _CODES,
            "name": st.sampled_from(["One", "Two"]),
            "time_zone": st.sampled_from(["Europe/Lisbon", "Asia/Tokyo"]),
            "currency": st.sampled_from(["EUR", "JPY"]),
            "unit_types": st.lists(
                st.fixed_dictionaries(
                    {"code": _CODES, "name": st.just("Kind"), "units": st.integers(min_value=1, max_value=3)}
                ),
                min_size=1,
                max_size=2,
                unique_by=lambda kind: kind["code"],
            ),
        }
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda place: place["code"],
)


@st.composite
def _portfolios(draw: st.DrawFn) -> Portfolio:
    """Small portfolios over the same few codes, so that parts leave, come back and change."""
    properties = draw(_PROPERTIES)
    references = [f"{place['code']}/{kind['code']}" for place in properties for kind in place["unit_types"]]
    listings = st.lists(
        st.fixed_dictionaries(
            {
                "listing_id": _CODES,
                "unit_type": st.sampled_from(references),
                "patience_hours": st.sampled_from([0, 0.1, 2, 168]),
                "enabled": st.booleans(),
            }
        ),
        max_size=3,
        unique_by=lambda listing: listing["listing_id"],
    )
    accounts = draw(st.lists(_CODES, max_size=2, unique=True))
    return Portfolio.model_validate(
        {
            "properties": properties,
            "channel_accounts": [
                {"code": code, "channel": "airbnb", "listings": draw(listings)} for code in accounts
            ],
        }
    )


@pytest.fixture(scope="module")
def reused(postgres: EmbeddedServer) -> Iterator[Database]:
    """One database through which all the portfolios of the property test go."""
    url = with_database(postgres.url, "portfolio_in_turn")
    migrate(url)
    yield Database(url)
    with Database(postgres.url).connect(autocommit=True) as connection:
        connection.execute("DROP DATABASE portfolio_in_turn WITH (FORCE)")


def _live(database: Database) -> set[tuple[object, ...]]:
    """What the tables say is managed, in the words of the file."""
    with database.connect() as connection:
        units = connection.execute(
            "SELECT property.code, property.time_zone, property.currency, property.name, unit_type.code, unit.code"
            " FROM channel_sync.property JOIN channel_sync.unit_type USING (property_id)"
            " JOIN channel_sync.unit USING (unit_type_id)"
            " WHERE property.retired_at IS NULL AND unit_type.retired_at IS NULL AND unit.retired_at IS NULL"
        ).fetchall()
        listings = [
            (account.code, listing.external_id, listing.property_code, listing.unit_type_code, listing.patience_hours)
            for account in stored.accounts(connection)
            for listing in stored.listings(connection, account.channel_account_id)
        ]  # fmt: skip
    return {*units, *listings}


def _wanted(portfolio: Portfolio) -> set[tuple[object, ...]]:
    units = {
        (place.code, place.time_zone, place.currency, place.name, kind.code, unit)
        for place in portfolio.properties
        for kind in place.unit_types
        for unit in kind.units
    }
    listings = {
        (account.code, listing.listing_id, *listing.unit_type.split("/"), listing.patience_hours)
        for account in portfolio.channel_accounts
        for listing in account.listings
        if listing.enabled
    }
    return {*units, *listings}


def _row_count(database: Database) -> int:
    with database.connect() as connection:
        (count,) = connection.execute(
            "SELECT (SELECT count(*) FROM channel_sync.property) + (SELECT count(*) FROM channel_sync.unit_type)"
            " + (SELECT count(*) FROM channel_sync.unit) + (SELECT count(*) FROM channel_sync.rate_plan)"
            " + (SELECT count(*) FROM channel_sync.channel_account) + (SELECT count(*) FROM channel_sync.listing)"
        ).fetchall()[0]
    return int(count)


@given(portfolio=_portfolios())
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_portfolio_after_any_other_is_what_is_live(reused: Database, portfolio: Portfolio) -> None:
    """Whatever was there before: the tables agree with the file, no row is lost, and again changes nothing."""
    before = _row_count(reused)
    changes = apply(reused, portfolio)
    added = sum(change.kind == "added" for change in changes)

    assert _live(reused) == _wanted(portfolio)
    assert _row_count(reused) == before + added
    assert apply(reused, portfolio) == []
