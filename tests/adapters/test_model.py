"""The words of the trade: nights, money, secrets."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.model import (
    MINOR_DIGITS,
    ONE_DAY,
    Booking,
    BookingStatus,
    Money,
    Secret,
    Stay,
    minor_digits,
    spans,
)

dates = st.dates(date(2020, 1, 1), date(2035, 12, 31))
stays = st.builds(lambda start, length: Stay(start, start + length * ONE_DAY), dates, st.integers(1, 60))
currencies = st.sampled_from(["EUR", "USD", "JPY", "KRW", "KWD", "TND", "CLF", "UYW"])
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@given(dates, dates)
def test_a_stay_has_at_least_one_night(start: date, end: date) -> None:
    """A stay that ends on or before its first day is refused, every other has as many nights as days between."""
    if end <= start:
        with pytest.raises(ValueError, match="ends after it begins"):
            Stay(start, end)
    else:
        assert len(Stay(start, end)) == (end - start).days


@given(stays)
def test_a_stay_is_half_open(stay: Stay) -> None:
    """The night of check-in belongs to a stay, that of check-out does not, and iteration agrees with ``in``."""
    nights = list(stay)
    assert nights[0] == stay.check_in
    assert nights[-1] == stay.check_out - ONE_DAY
    assert len(nights) == len(stay)
    assert all(night in stay for night in nights)
    assert stay.check_out not in stay
    assert stay.check_in - ONE_DAY not in stay


@given(stays, stays)
def test_overlap_is_a_shared_night(one: Stay, other: Stay) -> None:
    """Two stays overlap exactly when one night belongs to both, whichever is asked."""
    shared = bool(set(one) & set(other))
    assert one.overlaps(other) is other.overlaps(one) is shared


@given(stays, st.integers(1, 30))
def test_a_turnover_day_is_no_overlap(stay: Stay, length: int) -> None:
    """A stay that begins on the day another ends does not overlap it."""
    assert not stay.overlaps(Stay(stay.check_out, stay.check_out + length * ONE_DAY))


@given(stays, stays)
def test_clipping_is_intersection(stay: Stay, window: Stay) -> None:
    """What is left of a stay inside a window is the nights of both, or None where there are none."""
    clipped = stay.clipped_to(window)
    assert set(clipped or ()) == set(stay) & set(window)


@given(st.sets(dates, max_size=80))
def test_spans_hold_exactly_their_nights(nights: set[date]) -> None:
    """Spans give back the nights they were made of, in order, and no two of them touch."""
    found = spans(nights)
    assert [night for stay in found for night in stay] == sorted(nights)
    assert all(one.check_out < other.check_in for one, other in pairwise(found))


@given(st.lists(stays, max_size=8))
def test_spans_of_overlapping_stays_are_a_union(taken: list[Stay]) -> None:
    """Nights named twice are covered once."""
    assert {night for stay in spans(night for stay in taken for night in stay) for night in stay} == {
        night for stay in taken for night in stay
    }


@given(st.integers(-(10**20), 10**20), currencies)
def test_money_survives_its_minor_units(units: int, currency: str) -> None:
    """An amount in the smallest unit comes back as the same number, with the currency's digits."""
    money = Money.from_minor(units, currency)
    assert money.to_minor() == units
    assert money.amount.as_tuple().exponent == -minor_digits(currency)


@pytest.mark.parametrize(
    ("units", "currency", "written"),
    [
        (20000, "EUR", "200.00 EUR"),
        (20000, "JPY", "20000 JPY"),
        (20000, "KWD", "20.000 KWD"),
        (20000, "CLF", "2.0000 CLF"),
    ],
)
def test_money_is_written_with_its_own_digits(units: int, currency: str, written: str) -> None:
    """Two, no, three and four decimal digits are each the currency's own."""
    assert str(Money.from_minor(units, currency)) == written


@given(currencies, st.integers(1, 9))
def test_money_refuses_a_digit_too_many(currency: str, digit: int) -> None:
    """An amount finer than the smallest unit is refused and never rounded."""
    with pytest.raises(ValueError, match="decimal digits"):
        Money(Decimal(digit).scaleb(-minor_digits(currency) - 1), currency)


def test_money_takes_trailing_zeros() -> None:
    """Zeros beyond the currency's digits say nothing and are dropped: 12.500 EUR are 12.50 EUR."""
    assert Money(Decimal("12.500"), "EUR") == Money(Decimal("12.5"), "EUR")
    assert Money(Decimal("100.00"), "JPY").amount.as_tuple().exponent == 0


@pytest.mark.parametrize("amount", ["NaN", "sNaN", "Infinity", "-Infinity", "1e40", "1e-999999", "1" * 30])
def test_money_refuses_what_is_no_amount(amount: str) -> None:
    """Not-a-number, infinities and amounts beyond exact arithmetic are a ValueError, never another error."""
    with pytest.raises(ValueError, match=r"EUR|amount"):
        Money(Decimal(amount), "EUR")


@pytest.mark.parametrize("currency", ["eur", "EU", "EURO", "E1R", "", "EUR\n"])
def test_money_refuses_what_is_no_currency(currency: str) -> None:
    """A currency is three capital letters and nothing else."""
    with pytest.raises(ValueError, match="ISO 4217"):
        Money(Decimal(1), currency)


def test_the_table_of_digits_holds_exceptions_only() -> None:
    """Two digits are the rule, so no currency of two digits stands in the table."""
    assert set(MINOR_DIGITS.values()) == {0, 3, 4}
    assert minor_digits("EUR") == 2


def test_a_secret_is_not_seen() -> None:
    """Neither str, repr, format nor a dataclass that holds it shows a secret; equal ones compare equal."""
    secret = Secret("s3cret")
    assert "s3cret" not in f"{secret} {secret!r} {[secret]} {secret!s:>20}"
    assert secret.reveal() == "s3cret"
    assert secret == Secret("s3cret") != Secret("other")


def test_a_booking_lives_in_utc() -> None:
    """A booking's times have to be in UTC: neither without zone nor in another."""
    stay = Stay(date(2026, 5, 1), date(2026, 5, 3))
    for moment in (NOON.replace(tzinfo=None), NOON.astimezone(timezone(timedelta(hours=2)))):
        with pytest.raises(ValueError, match="not in UTC"):
            Booking("HMA", "1", BookingStatus.CONFIRMED, moment, stay)
        with pytest.raises(ValueError, match="not in UTC"):
            Booking("HMA", "1", BookingStatus.CONFIRMED, NOON, stay, booked_at=moment)


def test_only_a_cancelled_booking_may_lack_nights() -> None:
    """A confirmed booking without nights is refused; a cancellation may come without them."""
    with pytest.raises(ValueError, match="no nights"):
        Booking("HMA", "1", BookingStatus.CONFIRMED, NOON, None)
    assert Booking("HMA", "1", BookingStatus.CANCELLED, NOON, None).stay is None
