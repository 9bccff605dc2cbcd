"""Are these nights free? Yes only where every table says so."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from adapters.model import Stay
from adapters.webhook import Question
from channel_sync.sync.questions import is_free
from tests.house import House

_ASKED, _OTHER = "1001", "harbour-studio-vrbo"  # one unit type, sold on Airbnb and on a feed
_STAY = Stay(date(2026, 5, 4), date(2026, 5, 8))
_BEFORE, _FIRST, _LAST, _AFTER = (date(2026, 5, day) for day in (3, 4, 7, 8))

Ask = Callable[..., bool]


@pytest.fixture
def ask(quiet_house: House) -> Ask:
    """The verdict on a listing of Airbnb, in a house whose calendars were all read once.

    ``after`` is a statement whose effect is taken back afterwards.
    """
    house = quiet_house
    house.execute(
        "INSERT INTO listing_state SELECT listing_id, 'availability', now(), 0, '2027-01-01', 'x' FROM listing"
    )

    def asked(
        listing: str = _ASKED, stay: Stay | None = _STAY, booking: str | None = None, after: str = "SELECT"
    ) -> bool:
        with house.database.connect() as connection:
            connection.execute(after.encode())
            ((account,),) = connection.execute(
                "SELECT channel_account_id FROM channel_account WHERE code = 'airbnb-demo'"
            ).fetchall()
            verdict = is_free(connection, account, Question(listing, stay, booking))
            connection.rollback()
            return verdict

    return asked


def _close(house: House, listing: str, *nights: date) -> None:
    for night in nights:
        house.execute(
            "INSERT INTO channel_availability SELECT listing_id, %s, 0, 'blocked', NULL, NULL, NULL, NULL, 0 "
            "FROM listing WHERE external_id = %s",
            night,
            listing,
        )


def _sell(house: House, listing: str, code: str, stay: Stay, *, allocated: bool = True) -> None:
    house.execute(
        "INSERT INTO booking (channel_account_id, external_id, listing_id, listing_external_id, status, check_in, check_out,"
        " units, revised_at, first_seen_at, sync_log_id) SELECT channel_account_id, %s, listing_id, external_id, 'confirmed',"
        " %s, %s, 1, now(), now(), 0 FROM listing WHERE external_id = %s",
        code,
        stay.check_in,
        stay.check_out,
        listing,
    )
    if allocated:
        house.execute(
            "INSERT INTO allocation SELECT unit_id, booking_id, daterange(check_in, check_out) FROM booking "
            "JOIN listing USING (listing_id) JOIN unit USING (unit_type_id) WHERE booking.external_id = %s "
            "ORDER BY unit_id LIMIT 1",
            code,
        )


def test_nights_that_nothing_closes_are_free(ask: Ask) -> None:
    """Yes, for a listing of ours; no for one that is not; a test of the connection is always answered with yes."""
    assert ask()
    assert not ask("9999")
    assert not ask("")
    assert ask("0", None)


def test_a_night_closed_elsewhere_is_not_free(quiet_house: House, ask: Ask) -> None:
    """Half-open: the night of departure may be closed. What is closed on this listing itself is the channel's own."""
    _close(quiet_house, _ASKED, *_STAY)
    for night, free in ((_BEFORE, True), (_FIRST, False), (_LAST, False), (_AFTER, True)):
        closing = (
            f"INSERT INTO channel_availability SELECT listing_id, '{night}', 0, 'blocked', NULL, NULL, NULL, NULL, 0 "
            f"FROM listing WHERE external_id = '{_OTHER}'"
        )
        assert free == ask(after=closing)


@pytest.mark.parametrize("allocated", [True, False])
def test_a_booked_night_is_not_free(quiet_house: House, ask: Ask, allocated: bool) -> None:  # noqa: FBT001 - one column of the table
    """Whichever listing it was booked on, and also while the booking found no unit; but not for the booking itself."""
    _sell(quiet_house, _ASKED, "HM1", Stay(_BEFORE, _FIRST + timedelta(days=1)), allocated=allocated)
    assert not ask()
    assert not ask(booking="HM2")
    assert ask(booking="HM1")
    assert ask(stay=Stay(_LAST, _AFTER))


def test_its_own_nights_show_on_other_channels(quiet_house: House, ask: Ask) -> None:
    """A booking to be altered has closed its nights elsewhere: these do not stand in its way, others do."""
    _sell(quiet_house, _ASKED, "HM1", Stay(_BEFORE, _LAST))
    _close(quiet_house, _OTHER, _FIRST)
    assert ask(booking="HM1")
    _close(quiet_house, _OTHER, _LAST)
    assert not ask(booking="HM1")


def test_of_several_units_one_has_to_be_free_for_the_whole_stay(quiet_house: House, ask: Ask) -> None:
    """Two units: one sold leaves one; a second booking without a unit wants that one."""
    quiet_house.execute(
        "INSERT INTO unit (unit_type_id, code) SELECT unit_type_id, 'S2' FROM listing WHERE external_id = %s",
        _ASKED,
    )
    _sell(quiet_house, _ASKED, "HM1", _STAY)
    assert ask()
    _sell(quiet_house, _OTHER, "HM2", _STAY, allocated=False)
    assert not ask()


def test_what_is_not_sold_or_not_known_is_not_free(ask: Ask) -> None:
    """No unit, no longer sold, or another channel that is pulled and was never seen."""
    unseen = "DELETE FROM listing_state"
    others = "external_id LIKE 'harbour-%'"
    for change, free in (
        ("UPDATE listing SET enabled = false WHERE external_id = '1001'", False),
        ("UPDATE listing SET retired_at = now() WHERE external_id = '1001'", False),
        ("UPDATE channel_account SET enabled = false WHERE code = 'airbnb-demo'", False),
        ("UPDATE unit SET retired_at = now()", False),
        (unseen, False),
        (f"{unseen}; UPDATE listing SET retired_at = now() WHERE {others}", True),
        (f"{unseen}; UPDATE listing SET enabled = false WHERE {others}", True),
    ):
        assert free == ask(after=change)
    assert ask()


def test_a_booking_in_the_inbox_may_be_of_these_nights(quiet_house: House, ask: Ask) -> None:
    """Acknowledged and not applied: until it is, its unit type is not sold; another's is, and it alters itself."""
    quiet_house.execute(
        "INSERT INTO webhook_event (channel_account_id, delivery_key, method, path, query, headers, body, times_received,"
        " kind, name, booking_external_id, listing_external_ids) SELECT channel_account_id, 'd', 'POST', '', '', '{}', '', 1,"
        " 'booking', 'x', 'HM1', '{1001}' FROM channel_account WHERE code = 'airbnb-demo'"
    )
    assert not ask()
    assert ask("1002")
    assert ask(booking="HM1")
    quiet_house.execute("UPDATE webhook_event SET state = 'applied', settled_at = now()")
    assert ask()
