"""What is odd about Expedia, over real HTTP: its queue of bookings, its order of messages, its warnings and limits."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from lxml import etree

from adapters.accounts import Account, Listing
from adapters.errors import (
    AuthenticationFailed,
    ConfigurationError,
    RateLimited,
    Rejected,
    Unavailable,
    UnexpectedResponse,
)
from adapters.expedia import adapter as module
from adapters.expedia.adapter import ExpediaAdapter
from adapters.expedia.confirmations import Confirmation, endings
from adapters.model import (
    ONE_DAY,
    BookingPage,
    BookingStatus,
    Money,
    Receipt,
    Restrictions,
    Secret,
    Stay,
    Validators,
)
from adapters.updates import AvailabilityUpdate, Outcome, PricingUpdate, Verdict
from adapters.xml_body import read_xml
from channel_sync.sandbox.expedia.channel import PASSWORD
from channel_sync.sandbox.faults import Fault
from channel_sync.sandbox.guests import bookings_at_random
from channel_sync.sandbox.server import Sandbox
from tests.adapters.expedia_messages import LISTINGS, NOW, SECRETS
from tests.adapters.token_stores import TokensInMemory

TODAY = NOW.date()
NIGHTS = Stay(TODAY + 5 * ONE_DAY, TODAY + 8 * ONE_DAY)
ALL_HOTELS = {"hotel_ids": "1780001, 1780002,1780003"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox at NOW where nothing happens but what a test scripts."""
    with Sandbox(lively=False) as sandbox:
        sandbox.clock.set(NOW)
        yield sandbox


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A client without limits of ours."""
    with httpx.Client(timeout=20.0, trust_env=False) as client:
        yield client


@pytest.fixture
def expedia(sandbox: Sandbox, client: httpx.Client) -> ExpediaAdapter:
    """The adapter of the sample's account."""
    return adapter_of(sandbox, client)


def adapter_of(sandbox: Sandbox, client: httpx.Client, **different: Any) -> ExpediaAdapter:
    """The adapter of an account that differs from the sample's."""
    account = Account("expedia-demo", f"{sandbox.url}/expedia", ALL_HOTELS, SECRETS)
    return ExpediaAdapter(client, replace(account, **different), TokensInMemory(), sandbox.clock.now)


def polled(expedia: ExpediaAdapter) -> list[BookingPage]:
    """What waits."""
    return list(expedia.pull_bookings(LISTINGS, NOW, NOW))


def told(sandbox: Sandbox, path: str) -> list[etree._Element]:
    """The messages sent to one endpoint, in order."""
    return [etree.fromstring(call.body) for call in sandbox.calls if call.path == f"/expedia/eqc/{path}"]


# Bookings.


def test_a_long_queue_is_read_to_its_end(sandbox: Sandbox, expedia: ExpediaAdapter) -> None:
    """300 pending bookings come in answers of 125, each once; confirmed ten by ten, round by round, nothing is left."""
    codes = bookings_at_random(sandbox.worlds["expedia"], 300, 3, NOW, happenings=330)
    pages = polled(expedia)
    assert len(codes) == len({booking.booking_id for page in pages for booking in page.bookings})
    assert max(len(page.bookings) for page in pages) <= 125
    assert [125, 125, 50] == [len(page.receipts) for page in pages]

    rounds = 0
    receipts = [receipt for page in pages for receipt in page.receipts]
    while receipts:
        rounds += 1
        assert rounds < 10
        outcomes = list(expedia.acknowledge_bookings(receipts))
        assert {Verdict.ACCEPTED} == {outcome.verdict for outcome in outcomes}
        receipts = [receipt for page in polled(expedia) for receipt in page.receipts]
    assert () == sandbox.expedia.acknowledged.waiting()
    assert max(len(list(each.iter("{*}BookingConfirmNumber"))) for each in told(sandbox, "bc")) == 10


def test_what_a_killed_pull_retrieved_comes_again(sandbox: Sandbox, expedia: ExpediaAdapter) -> None:
    """A pull that ends after its first page loses nothing: the next one gives it again, with equal receipts."""
    bookings_at_random(sandbox.worlds["expedia"], 40, 3, NOW, happenings=40)
    first = next(iter(expedia.pull_bookings(LISTINGS, NOW, NOW)))
    assert [first] == polled(expedia) == polled(expedia)


def test_the_next_version_is_released_by_confirming(sandbox: Sandbox, expedia: ExpediaAdapter) -> None:
    """Book, modification and cancellation come one after another, each only when the one before it is confirmed."""
    world = sandbox.worlds["expedia"]
    code = world.book("1001", NIGHTS.check_in, NIGHTS.check_out, at=NOW - timedelta(hours=3))
    world.move(code, NIGHTS.check_in, NIGHTS.check_out + ONE_DAY, at=NOW - timedelta(hours=2))
    world.cancel(code, at=NOW - timedelta(hours=1))
    found = []
    for _ in range(4):
        pages = polled(expedia)
        assert polled(expedia) == pages  # reading it twice releases nothing
        found += [booking for page in pages for booking in page.bookings]
        list(expedia.acknowledge_bookings([receipt for page in pages for receipt in page.receipts]))
    assert [BookingStatus.CONFIRMED, BookingStatus.CONFIRMED, BookingStatus.CANCELLED] == [
        booking.status for booking in found
    ]
    assert [NIGHTS, Stay(NIGHTS.check_in, NIGHTS.check_out + ONE_DAY), None] == [
        booking.stay for booking in found
    ]
    assert {sandbox.expedia.reservation_id(code)} == {booking.whole for booking in found}
    assert ["1780001/200001001/300001001"] * 2 + ["1780001/0/0"] == [each.listing_id for each in found]


def test_confirmed_ones_are_asked_for_by_the_window(sandbox: Sandbox, expedia: ExpediaAdapter) -> None:
    """What was confirmed comes again for the window of its change, without a receipt, and never when only polled."""
    world = sandbox.worlds["expedia"]
    codes = [
        world.book("1001", night, night + ONE_DAY, at=NOW - timedelta(days=age))
        for age, night in zip((40, 9, 2), NIGHTS, strict=True)
    ]
    list(expedia.acknowledge_bookings([each for page in polled(expedia) for each in page.receipts]))
    assert [] == polled(expedia)
    for since, until, expected in ((50, 0, codes[1:]), (9, 2, codes[1:2]), (2, 0, codes[2:])):
        pages = expedia.pull_bookings(LISTINGS, NOW - timedelta(days=since), NOW - timedelta(days=until))
        found = [(booking.booking_id, page.receipts) for page in pages for booking in page.bookings]
        assert [(sandbox.expedia.reservation_id(code), ()) for code in expected] == found


def test_a_full_answer_is_asked_for_hotel_by_hotel(sandbox: Sandbox, expedia: ExpediaAdapter) -> None:
    """More than 125 confirmed bookings of the window come all the same, where no hotel has more."""
    bookings_at_random(sandbox.worlds["expedia"], 200, 3, NOW, happenings=200)
    list(expedia.acknowledge_bookings([each for page in polled(expedia) for each in page.receipts]))
    pages = list(expedia.pull_bookings(LISTINGS, NOW - ONE_DAY, NOW))
    ids = [booking.booking_id for page in pages for booking in page.bookings]
    assert 200 == len(ids) == len(set(ids))


def test_a_message_refused_as_a_whole_is_told_one_by_one(sandbox: Sandbox, expedia: ExpediaAdapter) -> None:
    """One bad confirmation does not keep nine good ones from being told."""
    bookings_at_random(sandbox.worlds["expedia"], 6, 3, NOW, happenings=6)
    receipts = [each for page in polled(expedia) for each in page.receipts]
    sandbox.expedia.failures.append((3010, "Validation against schema failed"))
    outcomes = list(expedia.acknowledge_bookings(receipts))
    assert [Verdict.ACCEPTED] * 6 == [outcome.verdict for outcome in outcomes]
    assert () == sandbox.expedia.acknowledged.waiting()


def test_our_number_is_told_and_the_time_is_ours(sandbox: Sandbox, expedia: ExpediaAdapter) -> None:
    """A confirmation has the booking's type, our number for it and the time of our clock."""
    code = sandbox.worlds["expedia"].book("1002", NIGHTS.check_in, NIGHTS.check_out, at=NOW - ONE_DAY)
    booking_id = sandbox.expedia.reservation_id(code)
    list(expedia.acknowledge_bookings([each for page in polled(expedia) for each in page.receipts]))
    (number,) = told(sandbox, "bc")[0].iter("{*}BookingConfirmNumber")
    expected = {
        "bookingType": "Book",
        "bookingID": booking_id,
        "confirmNumber": f"CS-{booking_id}",
        "confirmTime": "2026-03-10T09:30:00Z",
    }
    assert expected == dict(number.attrib)


BATCH = [
    Confirmation("1", "11", "Book"),
    Confirmation("1", "12", "Modify"),
    Confirmation("1", "12", "Cancel"),
]


@pytest.mark.parametrize(
    ("warnings", "expected"),
    [
        ("", ["accepted", "accepted", "accepted"]),
        ('<Warning code="10081" bookingID="11" bookingType="Book"/>', ["rejected", "accepted", "accepted"]),
        ('<Warning code="10100" bookingID="12" bookingType="Cancel"/>', ["accepted", "accepted", "rejected"]),
        ('<Warning code="10100" bookingID="12"/>', ["accepted", "rejected", "rejected"]),
        ('<Warning code="10105" bookingID="11" bookingType="Book"/>', ["unknown", "accepted", "accepted"]),
        ('<Warning code="9000" bookingID="11" bookingType="Book"/>', ["warned", "accepted", "accepted"]),
        ('<Warning code="10080"/>', ["unknown", "unknown", "unknown"]),
        ('<Warning code="10080"/><Warning code="10081" bookingID="11"/>', ["rejected", "unknown", "unknown"]),
    ],
)
def test_what_a_warning_is_about(warnings: str, expected: list[str]) -> None:
    """A warning is about the booking that it names; one that names none may be about any of them."""
    root = read_xml(f"<BookingConfirmRS><Success>{warnings}</Success></BookingConfirmRS>".encode())
    found = endings(root, BATCH, "test")
    assert expected == [found[each][0] for each in BATCH]


def test_a_warning_without_a_name_is_about_the_only_one() -> None:
    """In a message of one confirmation there is no doubt."""
    root = read_xml(b'<BookingConfirmRS><Success><Warning code="10080"/></Success></BookingConfirmRS>')
    assert (Verdict.REJECTED, "warning 10080") == endings(root, BATCH[:1], "test")[BATCH[0]]


# Pushes.


def closing(listings: tuple[Listing, ...], nights: Stay = NIGHTS) -> list[AvailabilityUpdate]:
    """These nights closed."""
    return [AvailabilityUpdate(listing, nights, 0) for listing in listings]


def as_far_as(outcomes: Iterator[Outcome[Any]]) -> tuple[list[Outcome[Any]], Exception | None]:
    """The outcomes, and the error after them."""
    found: list[Outcome[Any]] = []
    try:
        found.extend(outcomes)
    except Exception as error:  # noqa: BLE001 - whatever ended it is what the test looks at
        return found, error
    return found, None


def test_a_failed_message_holds_back_its_hotel_and_no_other(
    sandbox: Sandbox, expedia: ExpediaAdapter
) -> None:
    """After an error that may pass nothing more is sent to that hotel; the others are told, then the error is raised."""
    year = Stay(TODAY, TODAY + 700 * ONE_DAY)
    room, other, _ = LISTINGS
    many = [replace(room, listing_id=f"1780001/{number}/1") for number in range(5)]
    sandbox.expedia.failures.append((4001, "Internal timeout error"))
    updates = closing((*many, other), year)
    outcomes, error = as_far_as(expedia.push_availability(updates))
    assert isinstance(error, Unavailable)
    assert 60.0 == error.retry_after
    assert [(updates[-1], Verdict.ACCEPTED)] == [(each.item, each.verdict) for each in outcomes]
    hotels = [each.find("{*}Hotel").get("id") for each in told(sandbox, "ar")]  # type: ignore[union-attr]
    assert ["1780001", "1780002"] == hotels


def test_without_a_connection_nothing_more_is_sent(sandbox: Sandbox, expedia: ExpediaAdapter) -> None:
    """Where nobody answers, the other hotels are not tried either."""
    sandbox.faults.add(Fault("drop"))
    outcomes, error = as_far_as(expedia.push_availability(closing(LISTINGS)))
    assert isinstance(error, Unavailable)
    assert (None, [], 1) == (error.retry_after, outcomes, len(sandbox.calls))


def test_more_than_a_message_holds(sandbox: Sandbox, expedia: ExpediaAdapter) -> None:
    """Two years of prices and rules that differ from night to night go in messages that Expedia takes, and all is shown."""
    listing = LISTINGS[0]
    updates = [
        PricingUpdate(
            listing,
            Stay(night, night + ONE_DAY),
            Money(Decimal(100 + number), "EUR"),
            Restrictions(2, None, 9, closed_to_arrival=False, closed_to_departure=False, stop_sell=False),
        )
        for number, night in enumerate(Stay(TODAY, TODAY + 731 * ONE_DAY))
    ]
    outcomes = list(expedia.push_pricing(updates))
    assert [(update, Verdict.ACCEPTED) for update in updates] == [
        (each.item, each.verdict) for each in outcomes
    ]
    assert 1 < len(told(sandbox, "ar")) < 5
    shown = sandbox.expedia.extranet.shown("1001", TODAY, TODAY + 731 * ONE_DAY)
    assert [Decimal(100 + number) for number in range(731)] == [night.price for night in shown]


def test_a_warning_is_told(sandbox: Sandbox, expedia: ExpediaAdapter) -> None:
    """A rate beyond the hotel's threshold is left out by Expedia and told as a warning, not as success."""
    sandbox.expedia.thresholds["1780001"] = (Decimal(50), Decimal(500))
    updates = [
        PricingUpdate(listing, NIGHTS, Money(Decimal(5000), listing.currency)) for listing in LISTINGS[:2]
    ]
    outcomes = list(expedia.push_pricing(updates))
    assert [(Verdict.WARNED, "warning 7021"), (Verdict.ACCEPTED, "")] == [
        (outcome.verdict, outcome.words) for outcome in outcomes
    ]


def test_one_bad_room_does_not_spoil_the_others(sandbox: Sandbox, expedia: ExpediaAdapter) -> None:
    """A message with a room that the hotel has not is refused whole: told room by room, the others are done."""
    good = LISTINGS[0]
    bad = replace(good, listing_id="1780001/4711/1")
    outcomes = expedia.push_availability(closing((bad, good)))
    assert [(bad, Verdict.REJECTED, "error 3203"), (good, Verdict.ACCEPTED, "")] == [
        (outcome.item.listing, outcome.verdict, outcome.words) for outcome in outcomes
    ]
    assert [0, 0, 0] == [
        night.units for night in sandbox.expedia.extranet.shown("1001", NIGHTS.check_in, NIGHTS.check_out)
    ]


@pytest.mark.parametrize(
    ("code", "words", "kind"),
    [
        (4299, "Request throttled, try later", RateLimited),
        (3210, "exceed max number of connections allowed (1).", RateLimited),
        (1000, "Access denied", AuthenticationFailed),
        (4100, "Internal System Error", None),
        (2002, "Parsing error", None),
    ],
)
def test_errors_with_http_200(
    sandbox: Sandbox, expedia: ExpediaAdapter, code: int, words: str, kind: type[Exception] | None
) -> None:
    """HTTP 200 is not success: a limit, refused credentials, or a message that is refused for good."""
    sandbox.expedia.failures.append((code, words))
    outcomes, error = as_far_as(expedia.push_availability(closing(LISTINGS[:1])))
    if kind is None:
        assert (None, [Verdict.REJECTED]) == (error, [outcome.verdict for outcome in outcomes])
    else:
        assert (kind, []) == (type(error), outcomes)
    sandbox.expedia.failures.append((code, words))
    with pytest.raises(kind or Rejected):
        polled(expedia)


def test_nothing_is_sent_for_what_cannot_be_said(sandbox: Sandbox, expedia: ExpediaAdapter) -> None:
    """Too far ahead, past, too many units: rejected one by one, without a call."""
    listing = LISTINGS[0]
    far = Stay(TODAY + 731 * ONE_DAY, TODAY + 733 * ONE_DAY)
    past = Stay(TODAY - 3 * ONE_DAY, TODAY)
    updates = [
        *closing((listing,), far),
        *closing((listing,), past),
        AvailabilityUpdate(listing, NIGHTS, 5_000),
    ]
    outcomes = list(expedia.push_availability(updates))
    assert [(update, Verdict.REJECTED) for update in updates] == [
        (each.item, each.verdict) for each in outcomes
    ]
    assert all(outcome.words for outcome in outcomes)
    (empty,) = expedia.push_pricing([PricingUpdate(listing, NIGHTS)])
    assert (Verdict.ACCEPTED, "nothing is to be told") == (empty.verdict, empty.words)
    assert not sandbox.calls


# What is shown.


def test_a_hotel_that_checks_stays_on_every_night(sandbox: Sandbox, client: httpx.Client) -> None:
    """Where the account says so, the minimum stay is read and told as one of every night."""
    expedia = adapter_of(sandbox, client, settings={**ALL_HOTELS, "length_of_stay": "through"})
    update = PricingUpdate(LISTINGS[0], NIGHTS, restrictions=Restrictions(min_stay_through=6))
    (outcome,) = expedia.push_pricing([update])
    assert Verdict.ACCEPTED is outcome.verdict
    (page,) = expedia.pull_pricing(LISTINGS[0], NIGHTS)
    assert [(None, 6)] * 3 == [
        (night.restrictions.min_stay_arrival, night.restrictions.min_stay_through) for night in page.nights
    ]


def test_a_calendar_that_is_cut_off_is_refused(
    expedia: ExpediaAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for more than it gives at once, Expedia says nothing: the missing nights are noticed."""
    year = Stay(TODAY, TODAY + 400 * ONE_DAY)
    assert [365, 35] == [
        len(page.nights) for page in expedia.pull_availability(LISTINGS[0], year, Validators())
    ]
    monkeypatch.setattr(module, "LONGEST_CALENDAR", 400)
    with pytest.raises(UnexpectedResponse, match="35 of 400 nights are missing"):
        list(expedia.pull_availability(LISTINGS[0], year, Validators()))


def test_a_closed_room_is_closed_whatever_is_left(sandbox: Sandbox, expedia: ExpediaAdapter) -> None:
    """The flag counts, not the units; a closed rate is a matter of its restrictions."""
    list(expedia.push_availability(closing(LISTINGS[:1])))
    sandbox.expedia.extranet.sell("1001", NIGHTS, 3)
    (page,) = expedia.pull_availability(LISTINGS[0], NIGHTS, Validators())
    assert [0, 0, 0] == [night.units_open for night in page.nights]
    list(
        expedia.push_pricing([PricingUpdate(LISTINGS[1], NIGHTS, restrictions=Restrictions(stop_sell=True))])
    )
    (page,) = expedia.pull_availability(LISTINGS[1], NIGHTS, Validators())
    assert [1, 1, 1] == [night.units_open for night in page.nights]
    (prices,) = expedia.pull_pricing(LISTINGS[1], NIGHTS)
    assert {True} == {night.restrictions.stop_sell for night in prices.nights}


# Credentials and settings.


def test_refused_credentials_are_not_shown(sandbox: Sandbox, client: httpx.Client) -> None:
    """A wrong password is told with HTTP 200 and code 1001; neither it nor the right one is in the error."""
    wrong = {**SECRETS, "password": Secret("not-the-password")}
    with pytest.raises(AuthenticationFailed) as caught:
        adapter_of(sandbox, client, secrets=wrong).verify_credentials()
    assert "1001" in str(caught.value)
    assert not [
        each
        for each in ("not-the-password", PASSWORD)
        if each in repr(vars(caught.value)) + str(caught.value)
    ]


@pytest.mark.parametrize(
    ("different", "named"),
    [
        ({"settings": {}}, "hotel_ids"),
        ({"settings": {"hotel_ids": "1780001/2"}}, "hotel_ids"),
        ({"secrets": {**SECRETS, "username": Secret("abc")}}, "username has 4 to 30"),
        ({"secrets": {**SECRETS, "password": Secret("line\nend-of-it")}}, "password has 6 to 30"),
    ],
)
def test_a_setting_that_is_wrong_is_named(
    sandbox: Sandbox, client: httpx.Client, different: dict[str, Any], named: str
) -> None:
    """Before any call, without its value."""
    with pytest.raises(ConfigurationError, match=named):
        adapter_of(sandbox, client, **different).verify_credentials()
    assert not sandbox.calls


@pytest.mark.parametrize("listing_id", ["1780001", "hotel/1/2", "1780001/1/2 3", "1/2/3/4"])
def test_a_listing_that_is_wrong_is_named(sandbox: Sandbox, expedia: ExpediaAdapter, listing_id: str) -> None:
    """A listing is hotel/room/rate, the hotel a number."""
    listing = replace(LISTINGS[0], listing_id=listing_id)
    with pytest.raises(ConfigurationError, match=listing_id):
        list(expedia.push_availability(closing((listing,))))
    with pytest.raises(ConfigurationError, match=listing_id):
        list(expedia.pull_pricing(listing, NIGHTS))
    assert not sandbox.calls


def test_one_message_of_a_hotel_at_a_time(sandbox: Sandbox, expedia: ExpediaAdapter) -> None:
    """Updates are marked so that no two of a hotel are under way, and as ones that may be repeated."""
    seen: list[SimpleNamespace] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(
            SimpleNamespace(**{name.rpartition(".")[2]: value for name, value in request.extensions.items()})
        )
        return httpx.Response(200, content=b'<AvailRateUpdateRS xmlns="x"><Success/></AvailRateUpdateRS>')

    with httpx.Client(transport=httpx.MockTransport(handler)) as client:
        list(adapter_of(sandbox, client).push_availability(closing(LISTINGS[:2])))
    assert ["hotel 1780001", "hotel 1780002"] == [each.spend.one_at_a_time for each in seen]
    assert ["1780001", "1780002"] == [each.spend.property_id for each in seen]
    assert all(each.repeatable for each in seen)
    assert ExpediaAdapter.declaration.ordered_pushes
    assert ExpediaAdapter.declaration.counts_its_own
    assert expedia.declaration.acknowledge_within == timedelta(minutes=30)


def test_a_receipt_of_nothing(expedia: ExpediaAdapter) -> None:
    """What is not ours is refused among what is."""
    (outcome,) = expedia.acknowledge_bookings([Receipt("1", "{}")])
    assert Verdict.REJECTED is outcome.verdict
