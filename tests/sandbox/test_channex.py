"""The simulated Channex against its documentation: keys, pages, strict values, limits, and acknowledgements."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from channel_sync.sandbox.channex import wire
from channel_sync.sandbox.channex.channel import Channex, environment
from channel_sync.sandbox.exchange import Answer, Request
from channel_sync.sandbox.world import World

NOW = datetime(2026, 3, 10, 16, tzinfo=UTC)  # in Tokyo it is already the next day
DAY = timedelta(days=1)
NIGHT = "2026-04-01"


class Stopwatch:
    """Real seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Caller:
    """Asks a simulated Channex with its key."""

    def __init__(self) -> None:
        self.elapsed = Stopwatch()
        self.world = World.empty(listings=3)
        self.channel = Channex(self.world, lambda: NOW, self.elapsed)
        self.harbour, self.lantern, self.gulf = self.world.listings.values()

    def get(self, path: str, query: str = "", **headers: str) -> Answer:
        """A question."""
        known = {"user-api-key": self.channel.api_key, **headers}
        return self.channel.answer(Request("GET", f"/api/v1/{path}", query, known))

    def post(self, path: str, body: object = None) -> Answer:
        """A call that changes something."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        known = {"user-api-key": self.channel.api_key}
        return self.channel.answer(Request("POST", f"/api/v1/{path}", "", known, content))

    def rate(self, **told: Any) -> dict[str, Any]:
        """A value about the first room's rate plan."""
        return {
            "property_id": wire.property_id(self.harbour.place),
            "rate_plan_id": wire.rate_plan_id(self.harbour),
            "date": NIGHT,
            **told,
        }

    def shown(self) -> dict[str, Any]:
        """What the first rate plan shows on NIGHT."""
        place = wire.property_id(self.harbour.place)
        names = (
            "rate,min_stay_arrival,min_stay_through,max_stay,closed_to_arrival,closed_to_departure,stop_sell"
        )
        answer = self.get(
            "restrictions", f"filter[property_id]={place}&filter[date]={NIGHT}&filter[restrictions]={names}"
        )
        nights: dict[str, Any] = json.loads(answer.body)["data"][wire.rate_plan_id(self.harbour)][NIGHT]
        return nights


@pytest.fixture
def caller() -> Caller:
    """Three rooms in which nothing happens unasked."""
    return Caller()


def warnings(answer: Answer) -> list[dict[str, Any]]:
    """The warnings of a success."""
    assert answer.status == 200
    found: list[dict[str, Any]] = json.loads(answer.body)["meta"].get("warnings", [])
    return [warning["warning"] for warning in found]


def code(answer: Answer) -> tuple[int, str]:
    """The status of an error and Channex's word for it."""
    return answer.status, json.loads(answer.body)["errors"]["code"]


@pytest.mark.parametrize("key", ["", "wrong"])
def test_without_the_key_nothing_is_told(caller: Caller, key: str) -> None:
    """A call without the account's key, or with another, is unauthorised."""
    assert code(caller.get("properties", **{"user-api-key": key})) == (401, "unauthorized")
    assert environment()["CHANNEX_DEMO_API_KEY"] == caller.channel.api_key


def test_what_is_not_there(caller: Caller) -> None:
    """Unknown paths, properties and revisions are not found; another method is not supported."""
    for path in ("nothing", "properties/unknown", "booking_revisions/unknown"):
        assert code(caller.get(path)) == (404, "not_found")
    assert code(caller.post("booking_revisions/unknown/ack")) == (404, "not_found")
    assert code(caller.post("properties")) == (405, "method_not_supported")


def test_pages(caller: Caller) -> None:
    """Ten on a page unless asked otherwise, a hundred at most, and the total beside them."""
    answer = json.loads(caller.get("rate_plans", "pagination[page]=2&pagination[limit]=2").body)
    assert answer["meta"] == {"page": 2, "limit": 2, "total": 3}
    assert [row["id"] for row in answer["data"]] == [wire.rate_plan_id(caller.gulf)]
    assert json.loads(caller.get("properties").body)["meta"]["limit"] == 10
    for query in ("pagination[limit]=101", "pagination[limit]=0", "pagination[page]=x"):
        assert code(caller.get("properties", query)) == (400, "bad_request")


@pytest.mark.parametrize(
    ("path", "query", "detail"),
    [
        ("availability", "", "date is required"),
        ("availability", "filter[date][gte]=2026-04-01", "date is required"),
        ("availability", "filter[date]=tomorrow", "date is invalid"),
        ("availability", "filter[date][gte]=2026-04-02&filter[date][lte]=2026-04-01", "date is invalid"),
        ("restrictions", "filter[date]=2026-04-01", "restrictions is required"),
        ("restrictions", "filter[date]=2026-04-01&filter[restrictions]=rate", "property_id is required"),
        (
            "restrictions",
            "filter[date]=2026-04-01&filter[property_id]=x&filter[restrictions]=price",
            "restrictions is invalid",
        ),
        ("booking_revisions/feed", "order[inserted_at]=up", "order is invalid"),
        ("bookings", "filter[inserted_at][gte]=soon", "inserted_at is invalid"),
    ],
)
def test_questions_are_complete(caller: Caller, path: str, query: str, detail: str) -> None:
    """A question without what it needs is refused, and told what is missing."""
    answer = caller.get(path, query)
    assert code(answer) == (400, "bad_request")
    assert json.loads(answer.body)["errors"]["details"] == [detail]


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), ({}, 422), ({"values": []}, 422), ({"values": ["x"]}, 422), (b" " * 10_000_001, 413)],
)
def test_a_push_has_values(caller: Caller, body: object, status: int) -> None:
    """Nothing to tell, no JSON, no objects, more than 10 MB: refused whole."""
    assert status == caller.post("restrictions", body).status


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"rate": None}, "rate"),
        ({"rate": 0}, "rate"),
        ({"rate": "0.00"}, "rate"),
        ({"rate": 99.5}, "rate"),
        ({"rate": "99.999"}, "rate"),
        ({"rate": "1e2"}, "rate"),
        ({"rate": True}, "rate"),
        ({}, "rate"),
        ({"min_stay_arrival": 0}, "min_stay_arrival"),
        ({"min_stay_through": "2"}, "min_stay_through"),
        ({"max_stay": -1}, "max_stay"),
        ({"stop_sell": 2}, "stop_sell"),
        ({"closed_to_arrival": None}, "closed_to_arrival"),
        ({"rate": "99", "date": "2026-03-09"}, "date"),
        ({"rate": "99", "date": "2026-02-30"}, "date"),
        ({"rate": "99", "date": None, "date_from": "2026-04-02", "date_to": "2026-04-01"}, "date_to"),
        ({"rate": "99", "date": None, "date_from": "2026-04-02"}, "date_to"),
        ({"rate": "99", "days": ["monday"]}, "days"),
        ({"rate": "99", "rate_plan_id": "unknown"}, "rate_plan_id"),
        ({"rate": "99", "property_id": "unknown"}, "rate_plan_id"),
    ],
)
def test_a_wrong_value_is_warned_of_in_a_success(caller: Caller, told: dict[str, Any], field: str) -> None:
    """It is not taken, the one beside it is, and the answer is a success all the same."""
    before = caller.shown()
    answer = caller.post("restrictions", {"values": [caller.rate(**told)]})
    assert json.loads(answer.body)["data"] == []
    assert [list(warning) for warning in warnings(answer)] == [[field]]
    assert caller.shown() == before
    both = caller.post("restrictions", {"values": [caller.rate(**told), caller.rate(stop_sell=True)]})
    assert len(warnings(both)) == len(json.loads(both.body)["data"]) == 1
    assert caller.shown() == {**before, "stop_sell": True}


@pytest.mark.parametrize(
    ("rate", "shown"), [(20_000, "200.00"), ("200.00", "200.00"), ("200", "200.00"), (5, "0.05")]
)
def test_a_number_is_minor_units(caller: Caller, rate: object, shown: str) -> None:
    """An integer and a string are the same rate only if one is a hundred times the other; both read as strings."""
    assert warnings(caller.post("restrictions", {"values": [caller.rate(rate=rate)]})) == []
    assert caller.shown()["rate"] == shown


def test_the_last_value_wins(caller: Caller) -> None:
    """Values are taken one after the other; a range includes its last date, and days choose among its nights."""
    place, own = wire.property_id(caller.harbour.place), wire.room_type_id(caller.harbour)
    range_ = {"date_from": "2026-04-06", "date_to": "2026-04-12"}  # Monday to Sunday
    values = [
        {"property_id": place, "room_type_id": own, **range_, "availability": 4},
        {"property_id": place, "room_type_id": own, **range_, "days": ["sa", "su"], "availability": 1},
    ]
    assert warnings(caller.post("availability", {"values": values})) == []
    query = f"filter[property_id]={place}&filter[date][gte]=2026-04-06&filter[date][lte]=2026-04-12"
    nights = json.loads(caller.get("availability", query).body)["data"][own]
    assert list(nights.values()) == [4, 4, 4, 4, 4, 1, 1]


@pytest.mark.parametrize(
    ("kind", "names"), [("arrival", {"min_stay_arrival"}), ("through", {"min_stay_through"})]
)
def test_the_virtual_minimum_stay(caller: Caller, kind: str, names: set[str]) -> None:
    """It stands for the kind that the property goes by, and for none where it goes by both."""
    before = caller.shown()
    caller.channel.rooms.min_stay_type = kind
    assert warnings(caller.post("restrictions", {"values": [caller.rate(min_stay=5)]})) == []
    after = caller.shown()
    assert {name for name in after if after[name] != before[name]} == names
    caller.channel.rooms.min_stay_type = "both"
    assert list(warnings(caller.post("restrictions", {"values": [caller.rate(min_stay=5)]}))[0]) == [
        "min_stay"
    ]


def test_today_is_the_propertys(caller: Caller) -> None:
    """The same date is past in Tokyo and not yet in Lisbon."""
    for listing, expected in ((caller.harbour, []), (caller.lantern, ["date"])):
        value = {
            "property_id": wire.property_id(listing.place),
            "room_type_id": wire.room_type_id(listing),
            "date": "2026-03-10",
            "availability": 0,
        }
        answer = caller.post("availability", {"values": [value]})
        assert [name for warning in warnings(answer) for name in warning] == expected


def test_ten_pushes_a_minute(caller: Caller) -> None:
    """Of each kind and property; the eleventh is refused until the first is a minute old."""
    told = {"values": [caller.rate(rate="99")]}
    for _ in range(10):
        assert caller.post("restrictions", told).status == 200
        caller.elapsed.seconds += 1
    assert code(caller.post("restrictions", told)) == (429, "http_too_many_requests")
    other = {
        "property_id": wire.property_id(caller.gulf.place),
        "rate_plan_id": wire.rate_plan_id(caller.gulf),
    }
    assert caller.post("restrictions", {"values": [caller.rate(rate="99", **other)]}).status == 200
    assert caller.post("availability", told).status == 200
    caller.elapsed.seconds = 60
    assert caller.post("restrictions", told).status == 200
    assert caller.post("restrictions", told).status == 429


def test_a_revision_waits_until_it_is_acknowledged(caller: Caller) -> None:
    """Each revision is in the feed under its own id, newest first unless asked; acknowledged, it is there no more."""
    code_ = caller.world.book("1001", date(2026, 4, 1), date(2026, 4, 3), at=NOW - 3 * DAY)
    caller.world.move(code_, date(2026, 4, 1), date(2026, 4, 4), at=NOW - 2 * DAY)
    caller.world.cancel(code_, at=NOW - DAY)

    newest = json.loads(caller.get("booking_revisions/feed").body)["data"]
    oldest = json.loads(caller.get("booking_revisions/feed", "order[inserted_at]=asc").body)["data"]
    assert newest == oldest[::-1]
    told = [row["attributes"] for row in oldest]
    assert [row["status"] for row in told] == ["new", "modified", "cancelled"]
    assert {row["booking_id"] for row in told} == {caller.channel.reservation_id(code_)}
    assert [row["departure_date"] for row in told] == ["2026-04-03", "2026-04-04", "2026-04-04"]
    assert [row["inserted_at"] for row in told] == [f"2026-03-{day:02}T16:00:00.000000" for day in (7, 8, 9)]

    second = oldest[1]["id"]
    for _ in range(2):  # twice does no harm
        answer = caller.post(f"booking_revisions/{second}/ack")
        assert json.loads(answer.body) == {"meta": {"message": "Success"}}
    left = json.loads(caller.get("booking_revisions/feed", "order[inserted_at]=asc").body)["data"]
    assert [row["id"] for row in left] == [oldest[0]["id"], oldest[2]["id"]]
    one = json.loads(caller.get(f"booking_revisions/{second}").body)["data"]["attributes"]
    assert one["acknowledge_status"] == "acknowledged"
    assert len(caller.channel.acknowledged.times(code_, 2)) == 2


def test_a_booking_is_its_newest_revision(caller: Caller) -> None:
    """The list of bookings has each once, as it stands, by the time of its newest revision."""
    code_ = caller.world.book("1001", date(2026, 4, 1), date(2026, 4, 3), at=NOW - 3 * DAY)
    caller.world.cancel(code_, at=NOW - DAY)
    (row,) = json.loads(caller.get("bookings", "filter[inserted_at][gte]=2026-03-09T00:00:00").body)["data"]
    assert (row["id"], row["attributes"]["status"]) == (caller.channel.reservation_id(code_), "cancelled")
    for query in (
        "filter[inserted_at][gte]=2026-03-09T16:00:01",
        "filter[inserted_at][lte]=2026-03-09T15:59:59",
    ):
        assert json.loads(caller.get("bookings", query).body)["data"] == []


def test_a_feed_may_forget(caller: Caller) -> None:
    """A revision that nobody acknowledges leaves the feed after a while, if the channel is set so."""
    caller.world.book("1001", date(2026, 4, 1), date(2026, 4, 3), at=NOW - timedelta(minutes=31))
    assert len(json.loads(caller.get("booking_revisions/feed").body)["data"]) == 1
    caller.channel.feed_keeps = timedelta(minutes=30)
    assert json.loads(caller.get("booking_revisions/feed").body)["data"] == []


def test_guest_and_card_are_on_the_wire(caller: Caller) -> None:
    """What must go no further is there: a name, an address, a telephone, a card's number for tests."""
    caller.world.book("1001", date(2026, 4, 1), date(2026, 4, 3), at=NOW - DAY)
    (booking,) = caller.world.bookings(NOW)
    told = json.loads(caller.get("booking_revisions/feed").body)["data"][0]["attributes"]
    assert told["customer"]["surname"] == booking.guest.last_name
    assert told["customer"]["mail"] == booking.guest.email
    assert booking.guest.phone in told["notes"]
    assert told["guarantee"]["card_number"] == "4111111111111111"
