"""Ask a channel whether bookings wait to be acknowledged, store and acknowledge them: quick, often, mostly in vain."""

from dataclasses import dataclass

import psycopg

from channel_sync.storage import acknowledgements, observations, portfolio
from channel_sync.sync.account_turn import Busy, account_turn
from channel_sync.sync.acknowledge import Acknowledged, acknowledge_in_turn
from channel_sync.sync.bookings import BookingBatch, PulledBookings, pull_bookings, store_bookings
from channel_sync.sync.engine import Engine
from channel_sync.sync.store import PullResult

_LONGEST_WAIT_S = 1.0
POLL = "poll"  # in the place of a run's id, in the sync log and elsewhere


@dataclass(frozen=True, slots=True)
class Polled:
    """What became of a poll. ``stored`` is None where there was nothing; the sync log has a line where bookings changed.

    ``error`` names what failed, with why; None where nothing did. ``put_off_s``: the channel is not to be asked for so
    many seconds.
    """

    stored: PullResult | None
    acknowledged: Acknowledged
    error: str | None = None
    put_off_s: float | None = None


def poll(engine: Engine, account_code: str) -> Polled:
    """Pull what waits to be acknowledged, store it and acknowledge it, with what waited before.

    Errors of the channel are in the result. Raises ConfigurationError for an account that is not in the portfolio or
    cannot be opened.
    """
    with engine.database.connect() as connection:
        account = portfolio.account(connection, account_code)
        (number,) = observations.reserve(connection, 1)
    try:
        with account_turn(engine, account, _LONGEST_WAIT_S) as connection:
            pulled = pull_bookings(engine, BookingBatch(f"bookings_poll_{number}", POLL, account_code, None))
            stored = store_bookings(engine, pulled) if pulled.staged else None
            if stored is None:
                _put_down(connection, pulled)
            acknowledged = acknowledge_in_turn(engine, connection, account, POLL)
    except Busy:
        return Polled(None, Acknowledged())  # a run is at it, and does all of this
    for error, message, put_off_s in (
        (pulled.error, pulled.error_message, pulled.put_off_s),
        (acknowledged.error, acknowledged.error_message, acknowledged.put_off_s),
    ):
        if error is not None:
            return Polled(stored, acknowledged, f"{error}: {message}", put_off_s)
    return Polled(stored, acknowledged)


def _put_down(connection: psycopg.Connection, pulled: PulledBookings) -> None:
    """Nothing is to be stored: keep what could not be read, and that all is committed if the channel said so."""
    with connection.transaction():
        observations.keep_unread(
            connection, pulled.channel_account_id, None, "bookings", pulled.problems, pulled.started_at
        )
        if pulled.error is None:
            acknowledgements.all_is_committed(connection, pulled.channel_account_id, pulled.sync_log_id)
