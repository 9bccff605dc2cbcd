"""A small portfolio with calendars, prices, bookings and pulls in the tables: what the tests of analytics read.

Nights count from ``today``; times from the database's clock.
"""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import psycopg

from channel_sync.portfolio.applying import apply
from channel_sync.portfolio.model import Portfolio
from channel_sync.storage.database import Database

PORTFOLIO = {
    "properties": [
        {
            "code": "harbour-house",
            "name": "Harbour House",
            "time_zone": "Europe/Lisbon",
            "currency": "EUR",
            "unit_types": [
                {
                    "code": "studio",
                    "name": "Studio",
                    "units": ["S1", "S2"],
                    "rate_plans": [{"code": "standard", "name": "Standard"}],
                }
            ],
        },
        {
            "code": "kyoto-house",
            "name": "Kyoto House",
            "time_zone": "Asia/Tokyo",
            "currency": "JPY",
            "unit_types": [{"code": "villa", "name": "Villa", "units": ["V1"]}],
        },
    ],
    "channel_accounts": [
        {
            "code": "airbnb-1",
            "channel": "airbnb",
            "settings": {"user_id": "7"},
            "secrets": {"client_id": "A_CLIENT_ID"},
            "listings": [
                {"listing_id": "1001", "unit_type": "harbour-house/studio", "rate_plan": "standard"},
                {"listing_id": "2001", "unit_type": "kyoto-house/villa"},
            ],
        },
        {
            "code": "feeds-1",
            "channel": "ical",
            "listings": [
                {
                    "listing_id": "studio-feed",
                    "unit_type": "harbour-house/studio",
                    "secrets": {"feed_url": "STUDIO_FEED_URL"},
                }
            ],
        },
    ],
}

HORIZON = 40  # nights observed from today on


def seed(database: Database, today: date) -> None:
    """Fill the tables of a fresh database."""
    apply(database, Portfolio.model_validate(PORTFOLIO))
    with database.connect() as connection:
        listings = {
            external_id: (listing_id, account_id)
            for external_id, listing_id, account_id in connection.execute(
                "SELECT external_id, listing_id, channel_account_id FROM channel_sync.listing"
            )
        }
        _seed_calendars(connection, {name: ids[0] for name, ids in listings.items()}, today)
        _seed_bookings(connection, listings, today)
        _seed_pulls(connection, listings, today)
        _seed_calls(connection)
        _seed_receipts(connection, listings["1001"][1])


def _seed_calendars(connection: psycopg.Connection, listings: dict[str, int], today: date) -> None:
    """Studio: sold on Airbnb on nights 3 and 4, by the feed on night 10, held there on night 5 and on a past one."""
    for name, units in (("1001", 2), ("2001", 1), ("studio-feed", 1)):
        connection.execute(
            "INSERT INTO channel_sync.channel_availability (listing_id, night, units_open, sync_log_id)"
            " SELECT %s, %s::date + day, %s, 1 FROM generate_series(-3, %s) AS day",
            [listings[name], today, units, HORIZON - 1],
        )
    closed = [("1001", 3, "booked"), ("1001", 4, "booked"), ("studio-feed", 10, "booked")]
    held = [("studio-feed", 5, "blocked"), ("studio-feed", -3, "blocked")]
    for name, day, closure in closed + held:
        connection.execute(
            "UPDATE channel_sync.channel_availability SET units_open = 0, closure = %s WHERE listing_id = %s AND night = %s",
            [closure, listings[name], today + timedelta(day)],
        )
    for name, day, _ in held:
        connection.execute(
            "UPDATE channel_sync.channel_availability SET held_since = now() - interval '3 hours', release_at_s = 7200,"
            " hold_reason = 'absent' WHERE listing_id = %s AND night = %s",
            [listings[name], today + timedelta(day)],
        )
    for name, amount, currency, stay in (("1001", Decimal("100.50"), "EUR", 2), ("2001", 20000, "JPY", None)):
        connection.execute(
            "INSERT INTO channel_sync.channel_price (listing_id, night, amount, currency, min_stay_arrival,"
            " closed_to_arrival, sync_log_id) SELECT %s, %s::date + day, %s, %s, %s, false, 1"
            " FROM generate_series(0, %s) AS day",
            [listings[name], today, amount, currency, stay, HORIZON - 1],
        )


def _seed_bookings(connection: psycopg.Connection, listings: dict[str, tuple[int, int]], today: date) -> None:
    """HM1 confirmed in the studio, HM2 cancelled without dates, HM3 overbooked in the villa, HM4 of no listing of ours."""
    late = datetime.combine(today - timedelta(10), time(20), tzinfo=UTC)  # already tomorrow in Tokyo
    account = listings["1001"][1]
    rows = (
        ("HM1", "1001", "confirmed", 3, 5, "201.00", "EUR", "180.90"),
        ("HM2", "1001", "cancelled", None, None, None, None, None),
        ("HM3", "2001", "confirmed", 6, 8, "40000", "JPY", None),
        ("HM4", "9999", "confirmed", 1, 2, "50.00", "USD", None),
    )
    for code, name, status, first, last, total, currency, payout in rows:
        row = connection.execute(
            "INSERT INTO channel_sync.booking (channel_account_id, external_id, listing_id, listing_external_id, status,"
            " check_in, check_out, units, guests, total_amount, total_currency, payout_amount, payout_currency, booked_at,"
            " revised_at, first_seen_at, sync_log_id)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, 1, 2, %s, %s, %s, %s, %s, %s, now(), 1) RETURNING booking_id",
            [
                account,
                code,
                listings.get(name, (None,))[0],
                name,
                status,
                None if first is None else today + timedelta(first),
                None if last is None else today + timedelta(last),
                total,
                currency,
                payout,
                payout and currency,
                late,
                late,
            ],
        ).fetchone()
        assert row is not None
        for day in range(first or 0, last or 0):
            connection.execute(
                "INSERT INTO channel_sync.booking_night (booking_id, night, amount, currency) VALUES (%s, %s, %s, %s)",
                [
                    row[0],
                    today + timedelta(day),
                    "100.50" if code == "HM1" else None,
                    "EUR" if code == "HM1" else None,
                ],
            )
        if code in {"HM3", "HM4"}:
            connection.execute(
                "INSERT INTO channel_sync.conflict (kind, booking_id, detail, opened_at, sync_log_id)"
                " VALUES (%s, %s, 'x', now(), 1)",
                ["overbooking" if code == "HM3" else "unmapped", row[0]],
            )


def _seed_pulls(connection: psycopg.Connection, listings: dict[str, tuple[int, int]], today: date) -> None:
    """Studio fresh; villa failing for two hours; the feed never pulled to its end; bookings fresh, one by a webhook."""
    pulls = (
        ("availability", "1001", 10, "stored", None),
        ("availability", "2001", 120, "unchanged", None),
        ("availability", "2001", 5, "failed", "Unavailable"),
        ("availability", "studio-feed", 5, "failed", "UnexpectedResponse"),
        ("pricing", "1001", 12, "stored", None),
        ("bookings", None, 7, "stored", None),
        ("bookings", None, 1, "webhook", None),
    )
    for subject, name, minutes, outcome, error in pulls:
        listing_id, account_id = listings[name] if name else (None, listings["1001"][1])
        connection.execute(
            "INSERT INTO channel_sync.sync_log (run_id, subject, channel_account_id, listing_id, window_start, window_end,"
            " started_at, finished_at, outcome, problems, error, error_message, requests)"
            " VALUES ('run', %s, %s, %s, %s, %s, now() - %s, now(), %s, 1, %s, 'token 123', %s)",
            [subject, account_id, listing_id, today, today + timedelta(HORIZON), timedelta(minutes=minutes),
             "stored" if outcome == "webhook" else outcome, error, int(outcome != "webhook")],
        )  # fmt: skip
        if listing_id and outcome != "failed":
            connection.execute(
                "INSERT INTO channel_sync.listing_state (listing_id, subject, observed_at, window_end, fingerprint)"
                " VALUES (%s, %s, now() - %s, %s, 'x')",
                [listing_id, subject, timedelta(minutes=minutes), today + timedelta(HORIZON)],
            )


def _seed_calls(connection: psycopg.Connection) -> None:
    """Calendars called, answered and held back in one minute; the feed in the next; an account that is gone."""
    connection.execute(
        """
        INSERT INTO channel_sync.api_call
            (minute, account, endpoint, outcome, calls, waited_s, longest_wait_s, took_s, longest_s)
        SELECT timestamptz '2027-01-01 10:00Z' + age, account, endpoint, outcome, calls, 1.5, 0.5, took, 0.25 FROM (VALUES
            (interval '0', 'airbnb-1', 'calendars', '200', 40, 8.0),
            ('0', 'airbnb-1', 'calendars', '503', 2, 0.5),
            ('0', 'airbnb-1', 'calendars', 'refused: circuit open', 3, 0.0),
            ('1 minute', 'feeds-1', 'feed', '304', 1, 0.25),
            ('1 minute', 'gone', 'feed', 'ReadTimeout', 1, 30.0)
        ) AS call (age, account, endpoint, outcome, calls, took)
        """
    )


def _seed_receipts(connection: psycopg.Connection, account: int) -> None:
    """HM1 acknowledged after two minutes, HM2 rejected, HM3 overdue, HM4 still in time."""
    for booking, due, took, verdict in (
        ("HM1", 30, 2, "accepted"),
        ("HM2", 30, None, "rejected"),
        ("HM3", -10, None, None),
        ("HM4", 30, None, None),
    ):
        connection.execute(
            "INSERT INTO channel_sync.booking_receipt (channel_account_id, reference, booking_external_id, received_at,"
            " due_at, acknowledged_at, verdict) SELECT %s, %s || ' token', %s, now(), now() + make_interval(mins => %s),"
            " now() + make_interval(mins => %s), %s",
            [account, booking, booking, due, took, verdict],
        )
