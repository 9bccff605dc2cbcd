"""The simulated Expedia is as strict as the real one: its limits, its order, its one message at a time."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from threading import Event, Thread
from typing import Any

import httpx
import pytest
from lxml import etree

from channel_sync.sandbox.clock import Clock
from channel_sync.sandbox.expedia.channel import PASSWORD, USERNAME
from channel_sync.sandbox.expedia.hotels import HOTELS
from channel_sync.sandbox.guests import bookings_at_random
from channel_sync.sandbox.server import Sandbox

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TODAY = NOW.date()
DAY = timedelta(days=1)
HOTEL = HOTELS["1780001"]
NAMES = {
    "ar": ("AvailRateUpdateRQ", "http://www.expediaconnect.com/EQC/AR/2011/06"),
    "br": ("BookingRetrievalRQ", "http://www.expediaconnect.com/EQC/BR/2014/01"),
    "bc": ("BookingConfirmRQ", "http://www.expediaconnect.com/EQC/BC/2007/09"),
    "parr": ("ProductAvailRateRetrievalRQ", "http://www.expediaconnect.com/EQC/PAR/2013/07"),
}
ROOM = f'<RoomType id="{HOTEL.room_id}" '
RATE = f'{ROOM}><RatePlan id="{HOTEL.rate_id}"'


@pytest.fixture
def quiet() -> Iterator[Sandbox]:
    """A sandbox at NOW where nothing happens but what a test scripts."""
    with Sandbox(lively=False, clock=Clock(NOW)) as sandbox:
        yield sandbox


def post(sandbox: Sandbox, endpoint: str, content: str, *, hotel: str | None = HOTEL.hotel_id) -> Any:
    """The answer's root to a message with this content."""
    name, namespace = NAMES[endpoint]
    about = f'<Hotel id="{hotel}"/>' if hotel else ""
    login = f'<Authentication username="{USERNAME}" password="{PASSWORD}"/>'
    body = f'<{name} xmlns="{namespace}">{login}{about}{content}</{name}>'
    return sent(sandbox, endpoint, body)


def sent(sandbox: Sandbox, endpoint: str, body: str) -> Any:
    """The answer's root to a body."""
    headers = {"Content-Type": "text/xml"}
    answer = httpx.post(f"{sandbox.url}/expedia/eqc/{endpoint}", content=body.encode(), headers=headers)
    assert answer.status_code == 200
    return etree.fromstring(answer.content)


def codes(root: Any, kind: str = "Error") -> list[int]:
    """The codes of an answer's errors or warnings."""
    return [int(each.get("code")) for each in root.iter(f"{{*}}{kind}")]


def days(first: int, last: int) -> str:
    """A range from so many days ahead to so many, both in it."""
    return f'<DateRange from="{TODAY + first * DAY}" to="{TODAY + last * DAY}"/>'


def update(nights: str, room: str) -> str:
    return f"<AvailRateUpdate>{nights}{room}</AvailRateUpdate>"


UNITS = f'{ROOM}closed="false"><Inventory totalInventoryAvailable="2"/></RoomType>'


@pytest.mark.parametrize(
    ("nights", "room", "code"),
    [
        (days(-2, 3), UNITS, 3020),
        (days(3, 2), UNITS, 3021),
        (days(0, 732), UNITS, 3022),
        ('<DateRange from="2026-13-01" to="2026-12-01"/>', UNITS, 3129),
        (days(0, 1), '<RoomType id="1" closed="true"/>', 3203),
        (days(0, 1), f'{ROOM}><RatePlan id="1" closed="true"/></RoomType>', 3204),
        (days(0, 1), f'{ROOM}><Inventory totalInventoryAvailable="5000"/></RoomType>', 3010),
        (days(0, 1), f'{ROOM}><Inventory totalInventoryAvailable="1" flexibleAllocation="1"/></RoomType>', 3026),
        (days(0, 1), f'{ROOM}closed="perhaps"/>', 3010),
        (days(0, 1), f'{RATE}><Rate currency="USD"><PerDay rate="9"/></Rate></RatePlan></RoomType>', 3103),
        (days(0, 1), f'{RATE}><Rate currency="EUR"><PerDay rate="9.1234"/></Rate></RatePlan></RoomType>', 3010),
        (days(0, 1), f'{RATE}><Rate currency="EUR"><PerOccupancy rate="9" occupancy="1"/></Rate></RatePlan></RoomType>',
         3090),
        (days(0, 1), f'{RATE}><Rate currency="EUR" lengthOfStay="1"><PerDay rate="9"/></Rate></RatePlan></RoomType>',
         3124),
        (days(0, 1), f'{RATE}><Rate rateChangeIndicator="true"/></RatePlan></RoomType>', 3125),
        (days(0, 1), f'{RATE}><Restrictions minLOS="29"/></RatePlan></RoomType>', 3010),
        (days(0, 1), f'{RATE}><Restrictions minLOS="5" maxLOS="4"/></RatePlan></RoomType>', 3015),
        (days(0, 625), f'{RATE}><Restrictions minLOS="1" maxLOS="9" closedToArrival="false" closedToDeparture="true"/>'
         f'</RatePlan></RoomType>{RATE} closed="true"><Rate currency="EUR"><PerDay rate="9"/></Rate></RatePlan></RoomType>'
         + UNITS, 3107),
        (days(0, 1) + days(1, 2), UNITS + UNITS.replace("false", "true"), 3108),
    ],
)  # fmt: skip
def test_a_wrong_update_is_refused_whole(quiet: Sandbox, nights: str, room: str, code: int) -> None:
    """Each mistake has its code, and nothing of the message is done."""
    before = quiet.expedia.extranet.shown("1001", TODAY, TODAY + 9 * DAY)
    root = post(quiet, "ar", update(days(4, 5), UNITS) + update(nights, room))
    assert [code] == codes(root)
    assert before == quiet.expedia.extranet.shown("1001", TODAY, TODAY + 9 * DAY)


def test_an_update_is_done(quiet: Sandbox) -> None:
    """The last day of a range is one of it, weekdays count once one is named, and what is not told stays."""
    before = quiet.expedia.extranet.shown("1001", TODAY, TODAY + 9 * DAY)
    weekends = f'<DateRange from="{TODAY}" to="{TODAY + 8 * DAY}" sat="true" sun="true" mon="false"/>'
    rules = f'{RATE}><Restrictions minLOS="5"/></RatePlan></RoomType>'
    root = post(quiet, "ar", update(weekends, UNITS.replace('"2"', '"3"')) + update(days(2, 3), rules))
    assert ([], []) == (codes(root), codes(root, "Warning"))
    after = quiet.expedia.extranet.shown("1001", TODAY, TODAY + 9 * DAY)
    assert [TODAY + 5 * DAY, TODAY + 6 * DAY] == [night.night for night in after if night.units == 3]
    assert [2, 3] == [number for number, night in enumerate(after) if night.min_stay_arrival == 5]
    assert [night.price for night in before] == [night.price for night in after]
    assert date(2026, 11, 28) == TODAY + 5 * DAY


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ((USERNAME, "somebody"), 1001),
        ((PASSWORD, "something"), 1001),
        (("BR/2014/01", "BR/2007/02"), 2010),
        (("</BookingRetrievalRQ>", ""), 2002),
        (("1780001", "42"), 3202),
    ],
)
def test_who_asks_and_how(quiet: Sandbox, change: tuple[str, str], code: int) -> None:
    """Wrong credentials, another namespace, no XML, somebody else's hotel: an error with HTTP 200."""
    name, namespace = NAMES["br"]
    login = f'<Authentication username="{USERNAME}" password="{PASSWORD}"/><Hotel id="1780001"/>'
    body = f'<{name} xmlns="{namespace}">{login}</{name}>'
    assert [] == codes(sent(quiet, "br", body))
    assert [code] == codes(sent(quiet, "br", body.replace(*change)))


def test_only_posts_of_xml(quiet: Sandbox) -> None:
    """Anything else is an error of HTTP."""
    url = f"{quiet.url}/expedia/eqc/br"
    assert [404, 404, 415] == [
        httpx.get(url).status_code,
        httpx.post(f"{url}/more", headers={"Content-Type": "text/xml"}).status_code,
        httpx.post(url, json={}).status_code,
    ]


def test_an_update_of_nothing_or_too_much_is_refused(quiet: Sandbox) -> None:
    """One that tells nothing of its rate, and more than 100 kB whatever they say."""
    assert [3015] == codes(post(quiet, "ar", update(days(0, 1), f"{RATE}/></RoomType>")))
    assert [3405] == codes(post(quiet, "ar", update(days(0, 1), UNITS) + " " * 100_000))


def test_one_update_of_a_hotel_at_a_time(quiet: Sandbox) -> None:
    """While one is worked on, a second of the same hotel is refused; one of another hotel is not."""
    began, end = Event(), Event()

    def hold() -> None:
        quiet.expedia.while_updating = lambda: None
        began.set()
        assert end.wait(20)

    quiet.expedia.while_updating = hold
    answers: list[Any] = []
    first = Thread(target=lambda: answers.append(post(quiet, "ar", update(days(0, 1), UNITS))))
    first.start()
    try:
        assert began.wait(20)
        assert [3210] == codes(post(quiet, "ar", update(days(0, 1), UNITS)))
        other = UNITS.replace(HOTEL.room_id, HOTELS["1780002"].room_id)
        assert [] == codes(post(quiet, "ar", update(days(0, 1), other), hotel="1780002"))
    finally:
        end.set()
        first.join(20)
    assert [[]] == [codes(answer) for answer in answers]
    assert [] == codes(post(quiet, "ar", update(days(0, 1), UNITS)))


# Bookings.


def bookings(sandbox: Sandbox, params: str = "", hotel: str | None = None) -> list[Any]:
    return list(post(sandbox, "br", params, hotel=hotel).iter("{*}Booking"))


def status(*words: str) -> str:
    told = "".join(f'<Status value="{word}"/>' for word in words)
    return f"<ParamSet>{told}</ParamSet>"


def confirm(sandbox: Sandbox, *told: tuple[str, str], hotel: str = "1780001") -> Any:
    numbers = "".join(
        f'<BookingConfirmNumber bookingID="{booking}" bookingType="{kind}" confirmNumber="A1" '
        'confirmTime="2026-11-23T12:00:00Z"/>'
        for booking, kind in told
    )
    return post(sandbox, "bc", f"<BookingConfirmNumbers>{numbers}</BookingConfirmNumbers>", hotel=hotel)


def booked(sandbox: Sandbox, age: timedelta, lead: int = 20, listing: str = "1001") -> str:
    """A booking made some time ago, in the world's code."""
    night = TODAY + lead * DAY
    return sandbox.worlds["expedia"].book(listing, night, night + 2 * DAY, at=NOW - age)


def test_what_was_asked_for_is_pending_no_more(quiet: Sandbox) -> None:
    """Given once it is retrieved, and confirmed when its confirmation came; each is asked for by its status."""
    code = booked(quiet, 3 * DAY)
    assert ["pending"] == [each.get("status") for each in bookings(quiet)]
    assert [] == bookings(quiet)
    assert ["retrieved"] == [each.get("status") for each in bookings(quiet, status("pending", "retrieved"))]
    booking_id = quiet.expedia.reservation_id(code)
    assert [] == codes(confirm(quiet, (booking_id, "Book")), "Warning")
    assert [] == bookings(quiet, status("pending", "retrieved"))
    assert ["confirmed"] == [each.get("status") for each in bookings(quiet, status("confirmed"))]
    assert [] == bookings(quiet, "<ParamSet><NbDaysInPast>2</NbDaysInPast></ParamSet>")
    assert 1 == len(bookings(quiet, "<ParamSet><NbDaysInPast>4</NbDaysInPast></ParamSet>"))
    assert 1 == len(bookings(quiet, f'<ParamSet><Booking id="{booking_id}"/></ParamSet>'))
    assert [3010] == codes(post(quiet, "br", "<ParamSet><NbDaysInPast>31</NbDaysInPast></ParamSet>"))


def test_at_most_125_the_newest_first(quiet: Sandbox) -> None:
    """What does not fit is still pending."""
    bookings_at_random(quiet.worlds["expedia"], 130, 1, NOW, happenings=130)
    found = bookings(quiet)
    moments = [each.get("createDateTime") for each in found]
    assert 125 == len(found)
    assert sorted(moments, reverse=True) == moments
    assert 5 == len(bookings(quiet))


def test_a_hotels_own_bookings(quiet: Sandbox) -> None:
    """Asked about one hotel only its bookings are given."""
    booked(quiet, DAY)
    booked(quiet, DAY, listing="1002")
    assert 1 == len(bookings(quiet, hotel="1780002"))
    assert 1 == len(bookings(quiet, hotel=None))


def test_one_open_transaction_of_each_booking(quiet: Sandbox) -> None:
    """The cancellation waits until the booking is confirmed, and has zeros for room, rate and money."""
    code = booked(quiet, 3 * DAY)
    quiet.worlds["expedia"].cancel(code, at=NOW - DAY)
    booking_id = quiet.expedia.reservation_id(code)
    assert ["Book"] == [each.get("type") for each in bookings(quiet)]
    assert [] == bookings(quiet)
    confirm(quiet, (booking_id, "Book"))
    (cancel,) = bookings(quiet)
    (room,) = cancel.iter("{*}RoomStay")
    amounts = {value for each in cancel.iter("{*}PerDayRate", "{*}Total") for name, value in each.items()
               if name.startswith(("base", "amount"))}  # fmt: skip
    assert ("Cancel", "0", "0", {"0.00"}) == (
        cancel.get("type"), room.get("roomTypeID"), room.get("ratePlanID"), amounts,
    )  # fmt: skip
    assert [] == list(cancel.iter("{*}PaymentCard"))


def test_what_a_confirmation_is_refused_for(quiet: Sandbox) -> None:
    """An unknown booking, another hotel, another type, a version not retrieved yet, the fourth time, the eleventh."""
    code = booked(quiet, 3 * DAY)
    booking_id = quiet.expedia.reservation_id(code)
    assert [10080] == codes(confirm(quiet, ("1", "Book")), "Warning")
    assert [10102] == codes(confirm(quiet, (booking_id, "Book")), "Warning")
    bookings(quiet)
    assert [10081] == codes(confirm(quiet, (booking_id, "Book"), hotel="1780002"), "Warning")
    assert [10100] == codes(confirm(quiet, (booking_id, "Modify")), "Warning")
    assert [] == [code for _ in range(3) for code in codes(confirm(quiet, (booking_id, "Book")), "Warning")]
    assert [10103] == codes(confirm(quiet, (booking_id, "Book")), "Warning")
    assert 3 == len(quiet.expedia.acknowledged.times(code, 1))
    assert [3301] == codes(confirm(quiet, *[(booking_id, "Book")] * 11))
    quiet.worlds["expedia"].move(code, TODAY + 20 * DAY, TODAY + 23 * DAY, at=NOW)
    assert [10102] == codes(confirm(quiet, (booking_id, "Book")), "Warning")


def test_what_is_not_confirmed_in_time_expires(quiet: Sandbox) -> None:
    """With that switched on: half an hour for today's guest, an hour for tomorrow's, else a day; then it is gone."""
    for lead in (0, 1, 20):
        booked(quiet, timedelta(0), lead, f"100{1 + bool(lead) + (lead > 1)}")
    quiet.expedia.transactions.expires = True
    left = []
    for minutes in (29, 2, 30, 60 * 22, 90):
        quiet.clock.advance(timedelta(minutes=minutes))
        left.append(len(bookings(quiet, status("pending", "retrieved"))))
    assert [3, 2, 1, 1, 0] == left


def test_the_guest_is_on_the_wire(quiet: Sandbox) -> None:
    """Name, mail, phone and a test card stand in a booking, with letters of any language."""
    code = booked(quiet, DAY)
    booking = quiet.worlds["expedia"].booking(code, NOW)
    assert booking is not None
    shown = etree.tostring(bookings(quiet)[0], encoding="unicode")
    guest = booking.guest
    assert all(each in shown for each in (guest.first_name, guest.email, guest.phone, "4111111111111111"))


# What is shown.


def test_a_calendar_is_cut_off_without_a_word(quiet: Sandbox) -> None:
    """365 days of one rate, 31 of more, the last day in them; filters leave out what is not wanted."""
    one = f'{ROOM}><RatePlan id="{HOTEL.rate_id}"/></RoomType>'
    for asked, room, expected in ((9, one, 10), (400, one, 365), (400, "", 31)):
        span = f'<AvailRateRetrieval from="{TODAY}" to="{TODAY + asked * DAY}" rates="false">{room}</AvailRateRetrieval>'
        root = post(quiet, "parr", f"<ParamSet>{span}</ParamSet>")
        assert expected == len(list(root.iter("{*}AvailRate")))
        assert [] == list(root.iter("{*}PerDay"))
        assert [] != list(root.iter("{*}Inventory"))


def test_its_numbers_are_always_the_same(quiet: Sandbox) -> None:
    """A booking's number depends on its code alone and has no more digits than Expedia's."""
    assert quiet.expedia.reservation_id("HM1") == quiet.expedia.reservation_id("HM1")
    numbers = {quiet.expedia.reservation_id(f"HM{number}") for number in range(2_000)}
    assert (2_000, {13}) == (len(numbers), {len(number) for number in numbers})
