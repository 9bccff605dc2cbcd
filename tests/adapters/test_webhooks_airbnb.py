"""Airbnb's webhooks: the signature against a known vector, what each action says, and the questions."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.accounts import Account
from adapters.airbnb.webhook import AirbnbWebhook
from adapters.errors import WebhookRefused
from adapters.model import BookingStatus, Money, Secret, Stay
from adapters.webhook import Delivery, EventKind, Question
from tests.adapters.webhook_signing import AIRBNB, airbnb_signed, reservation, with_headers

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
WEBHOOK = AirbnbWebhook()
ACCOUNT = AIRBNB.account()


def event(body: dict[str, Any]) -> Any:
    (found,) = WEBHOOK.events(AIRBNB.delivery(json.dumps(body).encode()))
    return found


def is_refused(delivery: Delivery, account: Account = ACCOUNT, now: datetime = NOW) -> bool:
    try:
        WEBHOOK.verify(delivery, account, now)
    except WebhookRefused:
        return True
    return False


# The signature.


@pytest.fixture
def vector(fixtures_dir: Path) -> tuple[Delivery, Account]:
    """A request whose signature somebody else made, and the account it was sent to."""
    folder = fixtures_dir / "webhook_vectors"
    request = json.loads((folder / "airbnb_rsa_sha256_vector.json").read_text(encoding="utf-8"))["request"]
    headers = {name.lower(): value for name, value in request["headers"].items()}
    key = (folder / "airbnb_rsa_pub.pem").read_text(encoding="utf-8")
    delivery = Delivery(
        request["method"], headers["host"], request["url"], "", headers, request["body"].encode()
    )
    return delivery, Account("main", secrets={"webhook_public_key": Secret(key)})


def test_the_known_vector(vector: tuple[Delivery, Account]) -> None:
    """A signature made elsewhere is accepted, with the port of its Host left out, near its own date only."""
    delivery, account = vector
    then = datetime(2015, 6, 20, 0, 47, 57, tzinfo=UTC)
    assert not is_refused(delivery, account, then)
    assert not is_refused(replace(delivery, host="example.org"), account, then + timedelta(minutes=5))
    assert is_refused(delivery, account, then + timedelta(minutes=5, seconds=1))
    assert is_refused(delivery, account, NOW)
    kept = replace(account, settings={"webhook_host_port": "kept"})
    assert is_refused(delivery, kept, then)
    assert not is_refused(replace(delivery, host="example.org"), kept, then)


def test_the_port_as_it_was_sent() -> None:
    """An account can have the port read as signed; any other word for it is refused."""
    as_sent = replace(AIRBNB.delivery(), host="hooks.example.org:8443")
    # The signer leaves the last port out: with a second one it signs the first.
    signed = replace(
        airbnb_signed(replace(as_sent, host=f"{as_sent.host}:1"), ACCOUNT, NOW), host=as_sent.host
    )
    assert is_refused(signed)
    assert not is_refused(signed, replace(ACCOUNT, settings={"webhook_host_port": "kept"}))
    good = airbnb_signed(AIRBNB.delivery(), ACCOUNT, NOW)
    assert is_refused(good, replace(ACCOUNT, settings={"webhook_host_port": "perhaps"}))


@pytest.mark.parametrize(
    "names",
    [
        "url method date content-type body",
        "host method date content-type body",
        "host url date content-type body",
        "host url method content-type body",
        "host url method date content-type",
        "host url method date body",
        "host url method date content-type body body",
        "host host url method date content-type body",
        "host url method date content-type body x-trace",
        "body host url method date content-type",
        "",
    ],
    ids=range(11),
)
def test_what_a_signature_has_to_cover(names: str) -> None:
    """One that leaves out host, URL, method, date, type or body, or names what we do not know, is refused."""
    delivery = with_headers(AIRBNB.delivery(), x_trace="1")
    assert is_refused(airbnb_signed(delivery, ACCOUNT, NOW, names))


def test_the_order_is_the_headers() -> None:
    """The values stand in the order in which the header names them, the body last."""
    names = "method content-type date url host body"
    assert not is_refused(airbnb_signed(AIRBNB.delivery(), ACCOUNT, NOW, names))


def test_what_was_signed_cannot_be_cut_in_another_way() -> None:
    """The same signed bytes with their borders moved are another delivery, and refused."""
    delivery = AIRBNB.delivery(b'{"a":"x|{}"}')
    signed = airbnb_signed(delivery, ACCOUNT, NOW)
    proof = signed.headers["authorization"]

    def named(names: str) -> str:
        return proof.replace("host url method date content-type body", names)

    body = b"application/json|" + delivery.body
    without_type = {**signed.headers, "authorization": named("host url method date body")}
    assert is_refused(replace(signed, headers=without_type, body=body))
    bare = {name: value for name, value in without_type.items() if name != "content-type"}
    assert is_refused(replace(signed, headers=bare, body=body))
    split = {
        **signed.headers,
        "authorization": named("host url method date content-type x-more body"),
        "x-more": '{"a":"x',
    }
    assert is_refused(replace(signed, headers=split, body=b'{}"}'))
    swapped = {**signed.headers, "authorization": named("method url host date content-type body")}
    assert is_refused(replace(signed, headers=swapped, method=delivery.host, host="POST"))
    typed = {**signed.headers, "content-type": 'application/json|{"a":"x'}
    assert is_refused(replace(signed, headers=typed, body=b'{}"}'))
    longer = replace(signed, path=f"{delivery.path}|POST", method=signed.headers["date"])
    assert is_refused(longer)


def test_body_bytes_are_signed_as_they_are() -> None:
    """Not text in some encoding: bytes."""
    assert not is_refused(airbnb_signed(AIRBNB.delivery(bytes(range(256))), ACCOUNT, NOW))


def test_the_query_may_be_signed_or_not() -> None:
    """Whether Airbnb signs it is not known: both are read; another query than a signed one is refused."""
    delivery = replace(AIRBNB.delivery(b""), method="GET", query="action=check_availability")
    assert not is_refused(airbnb_signed(delivery, ACCOUNT, NOW))
    whole = airbnb_signed(replace(delivery, path=f"{delivery.path}?{delivery.query}"), ACCOUNT, NOW)
    assert not is_refused(replace(whole, path=delivery.path))
    assert is_refused(replace(whole, path=delivery.path, query="action=other"))


def test_no_body_needs_no_type() -> None:
    """A GET may be signed without a type, which it has not."""
    delivery = replace(AIRBNB.delivery(b""), method="GET", headers={})
    assert not is_refused(airbnb_signed(delivery, ACCOUNT, NOW, "host url method date body"))
    assert not is_refused(airbnb_signed(delivery, ACCOUNT, NOW))


@pytest.mark.parametrize(("told", "seconds"), [("60", 60), ("0", 0), ("86400", 86_400)])
def test_the_window_is_the_accounts(told: str, seconds: int) -> None:
    """An account may have a longer or shorter replay window."""
    account = replace(ACCOUNT, settings={"webhook_tolerance_s": told})
    signed = airbnb_signed(AIRBNB.delivery(), ACCOUNT, NOW)
    for shift, expected in ((seconds, False), (-seconds, False), (seconds + 1, True), (-seconds - 1, True)):
        assert expected is is_refused(signed, account, NOW + timedelta(seconds=shift))


@pytest.mark.parametrize("told", ["", "five", "-1", "1.5", "9" * 9, "٣"])
def test_a_window_that_is_none_refuses(told: str) -> None:
    """A badly written window is closed, not endless."""
    account = replace(ACCOUNT, settings={"webhook_tolerance_s": told})
    assert is_refused(airbnb_signed(AIRBNB.delivery(), ACCOUNT, NOW), account)


def test_keys_as_people_set_them() -> None:
    """A key on one line with "\\n" in it is read; one that is none, or no RSA key, does not cost the other."""
    signed = airbnb_signed(AIRBNB.delivery(), ACCOUNT, NOW)
    pem = ACCOUNT.secrets["webhook_public_key"].reveal()
    elliptic = (
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
        "-----END PUBLIC KEY-----\n"
    )
    for other in ("no key", elliptic, pem.replace("M", "N", 3)):
        broken = Account("main", secrets={"webhook_public_key": Secret(other)})
        assert is_refused(signed, broken)
        both = {
            "webhook_public_key": Secret(other),
            "webhook_public_key_previous": Secret(pem.replace("\n", "\\n")),
        }
        assert not is_refused(signed, replace(broken, secrets=both))


# Events.

KINDS = {
    "reservation_acceptance_confirmation": EventKind.BOOKING,
    "reservation_alteration_confirmation": EventKind.BOOKING,
    "reservation_requested": EventKind.BOOKING_REQUEST,
    "reservation_request_voided": EventKind.BOOKING_REQUEST,
    "listing_approval_status_changed": EventKind.LISTING,
    "listing_synchronization_settings_updated": EventKind.LISTING,
    "listings_mapped": EventKind.LISTING,
    "listings_unlinked": EventKind.LISTING,
    "listing_takedown_notification": EventKind.LISTING,
    "listing_edited": EventKind.LISTING,
    "tns_listing_suspension": EventKind.LISTING,
    "tns_listing_word_of_2031": EventKind.LISTING,
    "authorization_revoked": EventKind.ACCOUNT,
    "tns_user_suspension": EventKind.ACCOUNT,
    "tns_word_of_2031": EventKind.ACCOUNT,
    "eci_user_reactivation": EventKind.ACCOUNT,
    "message_added": EventKind.MESSAGE,
    "payout_notification": EventKind.MONEY,
    "review_created": EventKind.REVIEW,
    "review_submitted": EventKind.REVIEW,
    "review_published": EventKind.REVIEW,
    "review_expired": EventKind.REVIEW,
    "review_response_submitted": EventKind.REVIEW,
    "test_notification": EventKind.TEST,
}


@pytest.mark.parametrize("action", KINDS)
def test_actions(action: str) -> None:
    """Every action there is has its kind."""
    found = event({"action": action, "reservation": reservation()})
    assert (KINDS[action], action) == (found.kind, found.name)
    assert (found.booking is not None) is (found.kind is EventKind.BOOKING)
    assert found.booking_id == "HMABCDEFGH"
    assert found.listing_ids == ("1000000000000000009",)
    assert found.revised_at == datetime(2026, 2, 2, 10, tzinfo=UTC)
    assert found.delivery_id is None
    assert not found.ask


def test_a_booking() -> None:
    """The reservation is the booking that a pull would give, without its guest."""
    found = event({"action": "reservation_acceptance_confirmation", "reservation": reservation()})
    assert found.booking.stay == Stay(date(2026, 5, 1), date(2026, 5, 4))
    assert found.booking.payout == Money(Decimal("311.30"), "EUR")
    assert (found.booking.guests, found.booking.revised_at) == (3, found.revised_at)
    assert not [part for part in ("Ann", "guest@", "351911") if part in repr(found)]


@pytest.mark.parametrize("status", ["cancelled_by_host", "cancelled_by_guest", "cancelled_by_admin"])
def test_a_cancellation(status: str) -> None:
    """A cancellation is one with its nights or without."""
    action = "reservation_cancellation_confirmation"
    for fields in ({}, {"start_date": None, "end_date": None, "nights": None}):
        found = event({"action": action, "reservation": reservation(status_type=status, **fields)})
        assert found.booking.status is BookingStatus.CANCELLED
        assert not found.ask


def test_a_cancellation_of_what_stands_is_asked_for() -> None:
    """Where action and reservation disagree, nobody is believed."""
    found = event({"action": "reservation_cancellation_confirmation", "reservation": reservation()})
    assert (found.kind, found.booking, found.ask) == (EventKind.BOOKING, None, True)
    assert "cancellation" in found.problem


def test_an_acceptance_that_came_late() -> None:
    """The reservation is how it stands now: one that was cancelled meanwhile is cancelled."""
    body = {
        "action": "reservation_acceptance_confirmation",
        "reservation": reservation(status_type="cancelled_by_host"),
    }
    assert event(body).booking.status is BookingStatus.CANCELLED


@pytest.mark.parametrize(
    "raw",
    [None, 17, "x", [], {}, reservation(status_type="pending"), reservation(updated_at=None), reservation(start_date="x"),
     reservation(end_date="2026-05-01"), reservation(confirmation_code={}), reservation(listing_id_str=None, listing_id=None),
     reservation(status_type="a word of 2031")],
    ids=range(12),
)  # fmt: skip
def test_a_booking_that_cannot_be_read_is_asked_for(raw: object) -> None:
    """What cannot be read is a booking all the same: the channel is asked for it."""
    found = event({"action": "reservation_alteration_confirmation", "reservation": raw})
    assert (found.kind, found.booking, found.ask) == (EventKind.BOOKING, None, True)
    assert found.problem
    assert not [part for part in ("Ann", "guest@", "351911", "2031") if part in repr(found)]


def test_money_that_cannot_be_read_costs_no_booking() -> None:
    """The booking stands, and the event says what is missing."""
    raw = reservation(expected_payout_amount_accurate="much")
    found = event({"action": "reservation_acceptance_confirmation", "reservation": raw})
    assert (found.booking.payout, found.ask) == (None, False)
    assert "expected_payout_amount_accurate" in found.problem


def test_an_unknown_action_with_a_reservation_is_asked_for() -> None:
    """An action of a later version may be about a booking."""
    found = event({"action": "reservation_moved", "reservation": reservation()})
    assert (found.kind, found.ask, found.booking) == (EventKind.UNKNOWN, True, None)
    assert not event({"action": "weather_changed"}).ask


@pytest.mark.parametrize(
    "body",
    [
        {"listing_id": 42},
        {"listing_ids": [42, "42", None, {}, 42]},
        {"updates": [{"listing_id": 42, "synchronization_category": "x"}, 3]},
        {"mappings": [{"listing_id": 7, "updated_listing_id": 42}]},
        {"listing_approval_status": {"listing_id": 42, "notes": "Ann"}},
    ],
    ids=range(5),
)
def test_listings_of_an_event(body: dict[str, Any]) -> None:
    """Wherever Airbnb names a listing it is found, once."""
    assert event({"action": "listings_unlinked", **body}).listing_ids == ("42",)


# Questions.


def get(query: str, path: str = "/webhooks/airbnb/main") -> Question | None:
    return WEBHOOK.question(Delivery("GET", "h", path, query))


def put(body: object, path: str = "/webhooks/airbnb/main", method: str = "PUT") -> Question | None:
    return WEBHOOK.question(Delivery(method, "h", path, body=json.dumps(body).encode()))


NIGHTS = {"listing_id": "42", "start_date": "2026-05-01", "nights": 3}
STAY = Stay(date(2026, 5, 1), date(2026, 5, 4))


def test_a_check_of_availability() -> None:
    """GET asks whether nights are free, and is told in its own words, always with 200."""
    question = get("action=check_availability&listing_id=42&start_date=2026-05-01&nights=3")
    assert question == Question("42", STAY, None, "check_availability")
    answers = [WEBHOOK.reply(question, free=free) for free in (True, False)]
    assert [answer.status for answer in answers] == [200, 200]
    assert [json.loads(answer.body) for answer in answers] == [
        {"available": True},
        {"available": False, "failure_code": None},
    ]


def test_a_reservation_to_be_made() -> None:
    """POST without an action wants to make one; the nights of the same reservation do not count as taken."""
    question = put({**NIGHTS, "listing_id": 42, "confirmation_code": "HMABCDEFGH"}, method="POST")
    assert question == Question("42", STAY, "HMABCDEFGH", "make_reservation")
    assert put(NIGHTS, method="POST") == Question("42", STAY, None, "make_reservation")
    assert [json.loads(WEBHOOK.reply(question, free=free).body) for free in (True, False)] == [
        {"succeed": True},
        {"succeed": False, "failure_code": None},
    ]


def test_a_reservation_to_be_altered() -> None:
    """PUT wants to alter the one that its path names."""
    expected = Question("42", STAY, "HMABCDEFGH", "alter_reservation")
    assert expected == put(NIGHTS, "/webhooks/airbnb/main/HMABCDEFGH")
    assert expected == put({**NIGHTS, "confirmation_code": "HMABCDEFGH"})
    assert json.loads(WEBHOOK.reply(expected, free=True).body) == {"succeed": True}


@pytest.mark.parametrize("listing_id", ["0", 0], ids=["text", "number"])
def test_a_test_of_the_connection(listing_id: object) -> None:
    """Listing 0 is nobody's: it asks whether we are there, whatever the rest says."""
    told = {"listing_id": listing_id, "start_date": "x"}
    assert put(told, method="POST") == Question("0", None, None, "make_reservation")
    assert put(told, "/webhooks/airbnb/main/HMABCDEFGH") == Question("0", None, None, "alter_reservation")
    assert get("action=check_availability&listing_id=0") == Question("0", None, None, "check_availability")


@pytest.mark.parametrize(
    "fields",
    [{"nights": 0}, {"nights": -3}, {"nights": 1126}, {"nights": None}, {"nights": "3x"}, {"nights": True},
     {"start_date": "2026-02-30"}, {"start_date": "20260501"}, {"start_date": None}, {"start_date": "9999-12-31"},
     {"listing_id": None}, {"listing_id": {}}, {"listing_id": ""}],
    ids=range(13),
)  # fmt: skip
def test_a_question_that_cannot_be_read_is_answered_with_no(fields: dict[str, Any]) -> None:
    """It is about a listing that nobody has, so that it is not taken for a test, and never free."""
    for method in ("POST", "PUT"):
        question = put({**NIGHTS, **fields}, method=method)
        assert question is not None
        assert question.listing_id == ""
        assert question.stay is not None


@pytest.mark.parametrize(
    ("method", "query", "body"),
    [
        ("GET", "", None),
        ("GET", "action=other&listing_id=42", None),
        ("POST", "", {"action": "reservation_requested", **NIGHTS}),
        ("POST", "", {"metadata": {}}),
        ("POST", "", [NIGHTS]),
        ("DELETE", "", NIGHTS),
    ],
    ids=range(6),
)
def test_what_is_no_question(method: str, query: str, body: object) -> None:
    """Probes, notifications and other methods ask nothing."""
    content = b"" if body is None else json.dumps(body).encode()
    assert WEBHOOK.question(Delivery(method, "h", "/", query, {}, content)) is None


@given(st.text(max_size=80), st.sampled_from(["GET", "POST", "PUT"]), st.binary(max_size=80))
def test_questions_of_anything(text: str, method: str, body: bytes) -> None:
    """Nothing that is sent makes asking fail."""
    for query in (text, f"action=check_availability&{text}"):
        WEBHOOK.question(Delivery(method, text, text, query, {}, body))
