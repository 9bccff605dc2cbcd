"""The simulated Booking.com is as strict as the real one: tokens, hotels, queues, what it is told and how it answers."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from lxml import etree

from channel_sync.sandbox.acknowledged import Version
from channel_sync.sandbox.booking_com import inventory
from channel_sync.sandbox.booking_com.channel import BookingCom
from channel_sync.sandbox.booking_com.hotels import reservation_id
from channel_sync.sandbox.clock import Clock
from channel_sync.sandbox.server import Sandbox

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SOON = date(2026, 12, 10)
NEW, CHANGED = "/hotels/ota/OTA_HotelResNotif", "/hotels/ota/OTA_HotelResModifyNotif"
OTA = 'xmlns="http://www.opentravel.org/OTA/2003/05" TimeStamp="2026-11-23T12:00:00+00:00" Version="1.005"'


@dataclass(frozen=True, slots=True)
class Desk:
    """A client with a token, and the channel behind it."""

    sandbox: Sandbox
    client: httpx.Client

    @property
    def channel(self) -> BookingCom:
        return self.sandbox.booking_com

    def book(self, start: date, nights: int = 2, *, ago: timedelta = timedelta(minutes=1)) -> str:
        """A booking made some time ago; its code."""
        return self.channel.world.book("1001", start, start + nights * DAY, at=NOW - ago)

    def given(self, path: str, **query: str) -> list[tuple[str, str]]:
        """Ids and status words of what a queue gives, in order."""
        root = etree.fromstring(self.client.get(path, params=query).raise_for_status().content)
        items = [*root.iter("{*}HotelReservation"), *root.iter("{*}HotelResModify")]
        return [
            (str(next(each.iter("{*}HotelReservationID")).get("ResID_Value")), str(each.get("ResStatus")))
            for each in items
        ]

    def acknowledge(self, path: str, *ids: str) -> httpx.Response:
        name = path.rpartition("/")[2]
        told = "".join(f'<HotelReservationID ResID_Value="{each}"/>' for each in ids)
        body = f'<{name}RS {OTA} Target="Production"><Success/><L><I><G><H>{told}</H></G></I></L></{name}RS>'
        return self.client.post(path, content=body)

    def tell(self, messages: str, name: str = "OTA_HotelAvailNotif", **headers: str) -> httpx.Response:
        many = "AvailStatusMessages" if name == "OTA_HotelAvailNotif" else "RateAmountMessages"
        body = f"<{name}RQ {OTA}><{many}>{messages}</{many}></{name}RQ>"
        return self.client.post(f"/hotels/ota/{name}", content=body, headers=headers)


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A quiet channel, where nothing happens but what is scripted."""
    with (
        Sandbox(clock=Clock(NOW), lively=False) as sandbox,
        httpx.Client(base_url=f"{sandbox.url}/booking_com", timeout=20, verify=False) as client,  # noqa: S501 - plain HTTP: no certificates need be loaded
    ):
        desk = Desk(sandbox, client)
        client.headers["Authorization"] = f"Bearer {exchanged(desk).json()['jwt']}"
        yield desk


def exchanged(desk: Desk, **told: str) -> httpx.Response:
    machine = desk.channel.machine
    pair = {"client_id": machine.client_id, "client_secret": machine.client_secret, **told}
    return desk.client.post("/token-based-authentication/exchange", json=pair)


def message(
    room: str = "810000101",
    start: date = SOON,
    end: date = SOON,
    rate: str = "",
    limit: str = ' BookingLimit="0"',
) -> str:
    rated = f' RatePlanCode="{rate}"' if rate else ""
    return (
        f'<AvailStatusMessage{limit}><StatusApplicationControl Start="{start}" End="{end}" InvTypeCode="{room}"{rated}/>'
        "</AvailStatusMessage>"
    )


def price(amount: str, currency: str = "EUR", rate: str = "32100001") -> str:
    return (
        f'<RateAmountMessage><StatusApplicationControl Start="{SOON}" End="{SOON}" InvTypeCode="810000101"'
        f' RatePlanCode="{rate}"/><Rates><Rate><BaseByGuestAmts><BaseByGuestAmt AmountAfterTax="{amount}"'
        f' CurrencyCode="{currency}" DecimalPlaces="2"/></BaseByGuestAmts></Rate></Rates></RateAmountMessage>'
    )


def said(response: httpx.Response) -> list[tuple[str, str | None, str | None]]:
    """Each warning and error: its kind, its text and the message that it is about."""
    root = etree.fromstring(response.content)
    found = [*root.iter("{*}Warning"), *root.iter("{*}Error")]
    return [(etree.QName(each).localname, each.get("ShortText"), each.get("RecordID")) for each in found]


# Tokens.


@pytest.mark.parametrize("told", [{"client_secret": "x"}, {"client_id": "x"}])
def test_wrong_credentials(desk: Desk, told: dict[str, str]) -> None:
    """The exchange refuses what is not the machine account's."""
    assert exchanged(desk, **told).status_code == 401


def test_tokens_end_and_are_counted(desk: Desk) -> None:
    """A token lives an hour or until it is revoked; the thirty-first of an hour is refused."""
    assert desk.client.get(NEW).status_code == 200
    desk.sandbox.clock.set(NOW + timedelta(minutes=60))
    assert desk.client.get(NEW).status_code == 401
    statuses = [exchanged(desk).status_code for _ in range(31)]
    assert statuses == [200] * 30 + [429]
    desk.channel.machine.revoke()
    desk.sandbox.clock.set(NOW)
    assert desk.client.get(NEW).status_code == 401


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer a.b.c", "Basic YTpi"])
def test_no_token_no_answer(desk: Desk, token: str) -> None:
    """Every path but the exchange asks for a token."""
    for method, path in (("GET", NEW), ("POST", NEW), ("POST", "/hotels/xml/roomrates")):
        assert desk.client.request(method, path, headers={"Authorization": token}).status_code == 401


def test_a_token_is_a_jwt_of_an_hour(desk: Desk) -> None:
    """Three parts, the middle one saying when it ends."""
    _, body, _ = exchanged(desk).json()["jwt"].split(".")
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=="))
    assert claims["exp"] - claims["iat"] == 3600


# Queues.


def test_a_reservation_goes_through_both_queues(desk: Desk) -> None:
    """New however often it changed before it was acknowledged; changed after that; gone when the last is acknowledged."""
    code = desk.book(SOON, 3)
    known_as = desk.channel.reservation_id(code)
    desk.channel.world.move(code, SOON, SOON + DAY, at=NOW - timedelta(seconds=30))
    assert (desk.given(NEW), desk.given(CHANGED)) == ([(known_as, "Commit")], [])
    assert desk.acknowledge(NEW, known_as).status_code == 200
    assert desk.channel.acknowledged.waiting() == ()
    assert (desk.given(NEW), desk.given(CHANGED)) == ([], [])

    desk.channel.world.cancel(code, at=NOW + timedelta(seconds=1))
    desk.sandbox.clock.set(NOW + timedelta(seconds=2))
    assert (desk.given(NEW), desk.given(CHANGED)) == ([], [(known_as, "Cancel")])
    assert desk.acknowledge(CHANGED, known_as).status_code == 200
    assert desk.given(CHANGED) == []


def test_acknowledged_before_it_is_answered(desk: Desk) -> None:
    """Watchers see each version, overtaken ones with the one that went out."""
    seen: list[Version] = []
    desk.channel.acknowledged.watchers.append(seen.append)
    code = desk.book(SOON, 3)
    desk.channel.world.move(code, SOON, SOON + DAY, at=NOW - timedelta(seconds=30))
    desk.given(NEW)
    desk.acknowledge(NEW, desk.channel.reservation_id(code))
    assert [version.number for version in seen] == [1, 2]


def test_a_stale_acknowledgement(desk: Desk) -> None:
    """What changed since it was given, or was never given, or was given by the other queue, is of the wrong type."""
    code = desk.book(SOON)
    known_as = desk.channel.reservation_id(code)
    assert desk.acknowledge(NEW, known_as).status_code == 400  # never given
    desk.given(NEW)
    assert desk.acknowledge(CHANGED, known_as).status_code == 400
    desk.channel.world.cancel(code, at=NOW + timedelta(seconds=1))
    desk.sandbox.clock.set(NOW + timedelta(seconds=2))
    answer = desk.acknowledge(NEW, known_as)
    assert (answer.status_code, said(answer)[0][1]) == (
        400,
        "Hotel reservation has transaction message of the wrong type",
    )
    assert desk.given(NEW) == [(known_as, "Cancel")]
    assert [desk.acknowledge(NEW, known_as).status_code for _ in range(2)] == [200, 200]


def test_all_or_none_is_acknowledged(desk: Desk) -> None:
    """One that is unknown refuses the request, and nothing of it is done."""
    first, second = (desk.book(SOON + number * 7 * DAY) for number in range(2))
    desk.given(NEW)
    ids = [desk.channel.reservation_id(code) for code in (first, second)]
    assert desk.acknowledge(NEW, ids[0], "123", ids[1]).status_code == 404
    assert len(desk.channel.acknowledged.waiting()) == 2
    assert desk.acknowledge(NEW, *ids).status_code == 200
    assert desk.channel.acknowledged.waiting() == ()


@pytest.mark.parametrize(
    "body",
    [
        "<x/>",
        "",
        f"<OTA_HotelResNotifRS {OTA}><Success/></OTA_HotelResNotifRS>",
        f'<OTA_HotelResNotifRS {OTA} Target="Production"><Success/></OTA_HotelResNotifRS>',
        f'<OTA_HotelResModifyNotifRS {OTA} Target="Production"><Success/></OTA_HotelResModifyNotifRS>',
    ],
)
def test_a_malformed_acknowledgement(desk: Desk, body: str) -> None:
    """It needs its name, namespace, target, success and an id."""
    assert desk.client.post(NEW, content=body).status_code == 400


def test_filters(desk: Desk) -> None:
    """By id, by hotel, by last change, which gives what was acknowledged too, and at most so many."""
    codes = [desk.book(SOON + number * 7 * DAY, ago=timedelta(hours=9 - number)) for number in range(3)]
    first, second, third = (desk.channel.reservation_id(code) for code in codes)
    desk.given(NEW)
    desk.acknowledge(NEW, third)
    assert desk.given(NEW, id=third) == [(third, "Commit")]
    assert desk.given(NEW, limit="1") == [(first, "Commit")]
    assert desk.given(NEW, hotel_ids="8100002") == []
    assert desk.given(NEW, last_change="2026-11-23 03:30:00") == [(second, "Commit"), (third, "Commit")]
    assert desk.client.get(NEW, params={"last_change": "yesterday"}).status_code == 400


def test_recovery(desk: Desk) -> None:
    """What nobody acknowledged for half an hour leaves its queue and is listed; last_change is refused then."""
    desk.channel.queues.falls_back_after = timedelta(minutes=30)
    early, late = desk.book(SOON, ago=timedelta(hours=1)), desk.book(SOON + 7 * DAY)
    assert desk.given(NEW) == [(desk.channel.reservation_id(late), "Commit")]
    path = "/reservations-flow-control/missed-reservations"
    assert desk.client.get(path).json()["data"] == []
    desk.channel.recovery = True
    (row,) = desk.client.get(path, params={"page_size": "10"}).json()["data"]
    assert (str(row["reservation_id"]), row["checkin"]) == (desk.channel.reservation_id(early), str(SOON))
    assert desk.client.get(NEW, params={"last_change": "2026-11-23 00:00:00"}).status_code == 400
    desk.given(NEW, id=str(row["reservation_id"]))
    assert desk.acknowledge(NEW, str(row["reservation_id"])).status_code == 200
    assert desk.client.get(path).json()["data"] == []


def test_a_reservation_has_a_guest_and_a_card(desk: Desk) -> None:
    """They are on the wire, so that a test can prove that they go no further."""
    code = desk.book(SOON)
    booking = desk.channel.world.booking(code, NOW)
    assert booking is not None
    text = desk.client.get(NEW).text
    for part in (booking.guest.last_name, booking.guest.email, booking.guest.phone, "4111111111111111"):
        assert part.replace("&", "&amp;") in text
    assert 'DecimalPlaces="2"' in text
    assert "RUID: [" in text


def test_ids_are_ten_digits_and_stay(desk: Desk) -> None:
    """The same for the same booking, as long as Booking.com's are."""
    assert desk.channel.reservation_id("HM1") == reservation_id("HM1")
    assert reservation_id("HM1") != reservation_id("HM2")
    assert len(reservation_id("HM1")) == 10


# What it is told.


def test_nights_are_closed_to_the_end_of_a_range(desk: Desk) -> None:
    """The end is one of the nights; others stay as they are."""
    assert desk.tell(message(end=SOON + DAY)).status_code == 200
    shown = desk.channel.extranet.shown("1001", SOON, SOON + 3 * DAY)
    assert [night.units for night in shown] == [0, 0, 1]


@pytest.mark.parametrize(
    ("messages", "status", "words"),
    [
        (message("1"), 400, [("Error", "ROOM_ID_INVALID", "1")]),
        (message() + message("1"), 200, [("Error", "ROOM_ID_INVALID", "2")]),
        (message(rate="1"), 400, [("Error", "RATE_ID_INVALID", "1")]),
        (message(start=date(2026, 11, 21)), 400, [("Error", "NOT_A_VALID_DATE 2026-11-21", "1")]),
        (message(start=date(2026, 11, 22), end=date(2026, 11, 22)), 200, []),
        (message(limit=' BookingLimit="255"'), 400, [("Error", "ROOMS_TO_SELL_INVALID", "1")]),
        (message() + message(), 200, [("Warning", "WARN_DUPLICATE_DATES: the first one wins", "2")]),
        (message() + message("810000201"), 400, [("Error", "one hotel in a request", None)]),
        (message(limit=""), 400, [("Error", "a message about nothing", None)]),
        (message(start=SOON + DAY), 400, [("Error", "Start is after End", None)]),
        ("", 400, [("Error", "nothing is told", None)]),
    ],
)  # fmt: skip
def test_each_message_ends_by_itself(
    desk: Desk, messages: str, status: int, words: list[tuple[str, str, str | None]]
) -> None:
    """200 where one was done, 400 where none was; each error says which message it is about."""
    answer = desk.tell(messages)
    assert (answer.status_code, said(answer)) == (status, words)


@pytest.mark.parametrize(
    ("told", "status", "shown"),
    [
        (price("12345"), 200, "123.45"),
        (price("12345", "USD"), 400, None),
        (price("12345", rate="1"), 400, None),
        (price("123.45"), 400, None),
    ],
)
def test_prices(desk: Desk, told: str, status: int, shown: str | None) -> None:
    """In the hotel's currency, as a whole number of its smallest unit."""
    before = desk.channel.extranet.shown("1001", SOON, SOON + DAY)[0].price
    assert desk.tell(told, "OTA_HotelRateAmountNotif").status_code == status
    assert str(desk.channel.extranet.shown("1001", SOON, SOON + DAY)[0].price) == (shown or str(before))


def test_a_retired_version(desk: Desk) -> None:
    """Version 1.0 is not acceptable any more."""
    assert desk.tell(message(), **{"Accept-Version": "1.0"}).status_code == 400
    assert desk.tell(message(), **{"Accept-Version": "1.1"}).status_code == 200


def test_a_hotel_that_is_not_linked(desk: Desk) -> None:
    """403 for what is told of it, asked of it, and acknowledged nowhere else."""
    desk.channel.unlinked.add("8100001")
    assert desk.tell(message()).status_code == 403
    assert desk.client.get(NEW, params={"hotel_ids": "8100001"}).status_code == 403
    asked = "<request><hotel_id>8100001</hotel_id><room_level>1</room_level></request>"
    assert desk.client.post("/hotels/xml/roomrateavailability", content=asked).status_code == 403
    assert "8100001" not in desk.client.post("/hotels/xml/roomrates", content="<request/>").text


# B.XML.


@pytest.mark.parametrize(("days", "status"), [("0", 400), ("1", 200), ("31", 200), ("32", 400)])
def test_inventory_is_a_month_at_most(desk: Desk, days: str, status: int) -> None:
    """From 1 to 31 nights, each of them told."""
    asked = (
        f"<request><hotel_id>8100001</hotel_id><number_of_days>{days}</number_of_days>"
        f"<start_date>{SOON}</start_date><room_level>1</room_level></request>"
    )
    answer = desk.client.post("/hotels/xml/roomrateavailability", content=asked)
    assert answer.status_code == status
    if status == 200:
        assert answer.text.count("<date ") == int(days)


def bxml(dates: str) -> Callable[[], list[inventory.Item]]:
    body = f'<request><room id="810000101">{dates}</room></request>'.encode()
    return lambda: list(inventory.items_of_bxml(inventory.read(body)))


def test_availability_in_bxml(desk: Desk) -> None:
    """Units, price and rules of one date; a range ends before its end; the first word on a date counts."""
    rate = '<rate id="32100001"/>'
    body = (
        f'<request><room id="810000101"><date value="{SOON}"><roomstosell>0</roomstosell></date>'
        f'<date from="{SOON + DAY}" to="{SOON + 3 * DAY}">{rate}<price>99.5</price><closedonarrival>1</closedonarrival></date>'
        f'<date value="{SOON + DAY}">{rate}<price>1</price></date></room></request>'
    )
    answer = desk.client.post("/hotels/xml/availability", content=body)
    assert answer.status_code == 200
    assert said(answer) == [("Warning", "WARN_DUPLICATE_DATES: the first one wins", None)]
    shown = desk.channel.extranet.shown("1001", SOON, SOON + 4 * DAY)
    assert [night.units for night in shown] == [0, 1, 1, 1]
    assert [str(night.price) for night in shown[1:3]] == ["99.5", "99.5"]
    assert [night.closed_to_arrival for night in shown] == [False, True, True, False]


def test_a_range_of_one_date_in_bxml() -> None:
    """``from`` has to be before ``to``: one date is told by ``value``."""
    with pytest.raises(inventory.Malformed, match="FROM_DATE_SHOULD_BE_LESS_THAN_TO_DATE"):
        bxml(f'<date from="{SOON}" to="{SOON}"><roomstosell>1</roomstosell></date>')()
