"""What is odd about the webhooks of Booking.com, Channex, Expedia and the house's own systems."""

import base64
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from adapters.accounts import Account
from adapters.booking_com.webhook import BookingComWebhook, issue_token, verify_token
from adapters.channex.webhook import ChannexWebhook
from adapters.errors import WebhookRefused
from adapters.expedia.webhook import ExpediaWebhook
from adapters.factory import AdapterFactory
from adapters.house.webhook import HouseWebhook
from adapters.model import Booking, BookingStatus, Secret, Stay
from adapters.webhook import Delivery, Event, EventKind, Reply, Webhook
from tests.adapters import webhook_signing as signing
from tests.adapters.webhook_signing import BOOKING_COM, CHANNEX, EXPEDIA, HOUSE, VRBO, Scheme, with_headers

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)


def event(webhook: Webhook, body: object, **headers: str) -> Event:
    content = json.dumps(body).encode()
    (found,) = webhook.events(with_headers(Delivery("POST", "h", "/", body=content), **headers))
    return found


@pytest.mark.parametrize("secret", ["", " ", "\n"], ids=["none", "blank", "line"])
@pytest.mark.parametrize("scheme", [CHANNEX, EXPEDIA, VRBO], ids=["channex", "expedia", "vrbo"])
def test_an_empty_secret_signs_nothing(scheme: Scheme, secret: str) -> None:
    """What anybody can sign is refused, though it is signed with the secret that is configured."""
    account = scheme.account()
    empty = replace(account, secrets=dict.fromkeys(account.secrets, Secret(secret)))
    with pytest.raises(WebhookRefused):
        AdapterFactory.get_webhook(scheme.channel).verify(
            scheme.sign(scheme.delivery(), empty, NOW), empty, NOW
        )


# Booking.com: tokens.

CLIENT = ("booking-com", "client-secret-0")


def test_a_token_is_issued_and_verified() -> None:
    """The account's client gets a token that passes until it ends, and its life in seconds."""
    account = BOOKING_COM.account()
    token, seconds = issue_token(*CLIENT, account, NOW)
    verify_token(token, account, NOW + timedelta(seconds=seconds - 1))
    with pytest.raises(WebhookRefused):
        verify_token(token, account, NOW + timedelta(seconds=seconds))
    assert seconds <= 3600


def test_a_token_says_no_secret() -> None:
    """Anybody can read a token: it names the account and its own times, and nothing else."""
    token, _ = issue_token(*CLIENT, BOOKING_COM.account(), NOW)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims.keys() == {"aud", "sub", "iat", "exp"}
    assert claims["sub"] == "main"


@pytest.mark.parametrize(
    "client",
    [("booking-com", "client-secret-1"), ("other", "client-secret-0"), ("", ""), ("booking-com", ""), ("\ud800", "\ud800")],
    ids=range(5),
)  # fmt: skip
def test_no_token_for_anybody_else(client: tuple[str, str]) -> None:
    """A wrong name or secret gets nothing."""
    with pytest.raises(WebhookRefused):
        issue_token(*client, BOOKING_COM.account(), NOW)


def test_no_token_without_a_client_or_a_key() -> None:
    """An account without client name, client secret or a key of at least 32 bytes issues nothing and accepts nothing."""
    account = BOOKING_COM.account()
    token, _ = issue_token(*CLIENT, account, NOW)
    with pytest.raises(WebhookRefused):
        issue_token("", "client-secret-0", replace(account, settings={}), NOW)
    for secrets in (
        {"webhook_jwt_key": account.secrets["webhook_jwt_key"]},
        {"webhook_client_secret": account.secrets["webhook_client_secret"]},
        {**account.secrets, "webhook_jwt_key": Secret("k" * 31)},
    ):
        with pytest.raises(WebhookRefused):
            issue_token(*CLIENT, replace(account, secrets=secrets), NOW)
    with pytest.raises(WebhookRefused, match="32 bytes"):
        verify_token(token, replace(account, secrets={"webhook_jwt_key": Secret("k" * 31)}), NOW)


def test_tokens_while_secrets_are_replaced() -> None:
    """The client's old secret still gets a token, and it is of the new key."""
    both = BOOKING_COM.account(now=1, before=0)
    for secret in ("client-secret-0", "client-secret-1"):
        token, _ = issue_token("booking-com", secret, both, NOW)
        verify_token(token, BOOKING_COM.account(now=1), NOW)


@pytest.mark.parametrize(
    ("claims", "header"),
    [
        ({"sub": "other"}, None),
        ({"aud": "channel-sync/webhooks/other"}, None),
        ({"aud": ["channel-sync/webhooks/booking_com", "another"]}, None),
        ({"exp": None}, None),
        ({"iat": None}, None),
        ({"sub": None}, None),
        ({"aud": None}, None),
        ({"exp": "2031"}, None),
        ({"exp": 10**12}, None),
        ({"iat": 10**12, "exp": 10**12 + 900}, None),
        ({"iat": 0}, None),
        ({}, {"alg": "none", "typ": "JWT"}),
        ({}, {"alg": "HS512", "typ": "JWT"}),
        ({}, {"alg": "RS256", "typ": "JWT"}),
        ({}, {"alg": ["HS256"], "typ": "JWT"}),
        ({}, {"alg": "HS256", "typ": "JWT", "crit": ["exp"]}),
        ({}, {}),
    ],
    ids=range(17),
)
def test_tokens_of_our_key_that_we_did_not_issue(
    claims: dict[str, Any], header: dict[str, Any] | None
) -> None:
    """Another account's, another service's, endless, or of another algorithm: refused, though the key is ours."""
    account = BOOKING_COM.account()
    said = {**signing.booking_com_claims(account, NOW), **claims}
    said = {name: value for name, value in said.items() if value is not None}
    token = signing.token(said, account.secrets["webhook_jwt_key"].reveal(), header)
    if claims == {"exp": 10**12}:
        # Its life is cut to what we give: it is good now and not a quarter of an hour later.
        verify_token(token, account, NOW)
        later = NOW + timedelta(minutes=15)
        with pytest.raises(WebhookRefused):
            verify_token(token, account, later)
        return
    with pytest.raises(WebhookRefused):
        verify_token(token, account, NOW)


def test_a_clock_of_ours_that_is_behind() -> None:
    """A token of another of our machines, whose clock is a little ahead, passes."""
    account = BOOKING_COM.account()
    token, _ = issue_token(*CLIENT, account, NOW + timedelta(seconds=59))
    verify_token(token, account, NOW)


def grant(body: bytes = b"grant_type=client_credentials", **headers: str) -> Delivery:
    return with_headers(Delivery("POST", "h", "/webhooks/booking_com/main/token", body=body), **headers)


@pytest.mark.parametrize(
    "request_",
    [
        grant(b"grant_type=client_credentials&client_id=booking-com&client_secret=client-secret-0"),
        grant(
            b'{"grant_type":"client_credentials","client_id":"booking-com","client_secret":"client-secret-0"}'
        ),
        grant(authorization="Basic " + base64.b64encode(b"booking-com:client-secret-0").decode()),
    ],
    ids=["form", "json", "basic"],
)
def test_the_request_for_a_token(request_: Delivery) -> None:
    """In a form, in JSON or in Basic: the answer is the one of RFC 6749."""
    account = BOOKING_COM.account()
    reply = BookingComWebhook().issue_token(request_, account, NOW)
    assert isinstance(reply, Reply)
    answer = json.loads(reply.body)
    assert (reply.status, answer["token_type"], answer["expires_in"]) == (200, "Bearer", 900)
    delivery = with_headers(BOOKING_COM.delivery(), authorization=f"Bearer {answer['access_token']}")
    BookingComWebhook().verify(delivery, account, NOW)


@pytest.mark.parametrize(
    "request_",
    [
        grant(b""),
        grant(b"\xff\xff"),
        grant(),
        grant(b"grant_type=password&client_id=booking-com&client_secret=client-secret-0"),
        grant(b"grant_type=client_credentials&client_id=booking-com&client_secret=wrong"),
        grant(b'{"grant_type":"client_credentials","client_id":[],"client_secret":{}}'),
        grant(authorization="Basic !!!"),
        grant(authorization="Basic " + base64.b64encode(b"booking-com").decode()),
        grant(authorization="Basic " + base64.b64encode(b"\xff:\xff").decode()),
        grant(authorization="Bearer x"),
        grant(authorization="Basic é"),
    ],
    ids=range(11),
)
def test_a_request_for_a_token_that_is_refused(request_: Delivery) -> None:
    """Anything else is refused in the one way there is."""
    with pytest.raises(WebhookRefused):
        BookingComWebhook().issue_token(request_, BOOKING_COM.account(), NOW)


@pytest.mark.parametrize(
    "webhook", [ChannexWebhook(), ExpediaWebhook(), HouseWebhook()], ids=["channex", "expedia", "house"]
)
def test_other_channels_are_given_no_token(webhook: Webhook) -> None:
    """Only a channel whose deliveries carry our token is given one."""
    assert webhook.issue_token(grant(), BOOKING_COM.account(), NOW) is None
    assert webhook.question(grant()) is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("VCC_BALANCE", EventKind.MONEY),
        ("VIRTUAL_CREDIT_CARD_UPDATE", EventKind.MONEY),
        ("PAYOUT_UPDATE", EventKind.MONEY),
        ("BANK_TRANSFER_UPDATE", EventKind.MONEY),
        ("PAYOUT_METHOD_UPDATE", EventKind.MONEY),
        ("VCC_FEES_PAYOUT", EventKind.MONEY),
        ("MESSAGING_API_NEW_MESSAGE", EventKind.MESSAGE),
    ],
)
def test_events_of_booking_com(name: str, kind: EventKind) -> None:
    """Alerts, known by the uuid in their metadata."""
    body = BOOKING_COM.body(name)
    assert event(BookingComWebhook(), body) == Event(kind, name, body["metadata"]["uuid"])


# Channex.


def test_the_header_is_the_accounts() -> None:
    """An account may name the header as it was set up at Channex; a name that is none refuses."""
    account = CHANNEX.account()
    word = account.secrets["webhook_token"].reveal()
    delivery = with_headers(CHANNEX.delivery(), x_our_word=word)
    ChannexWebhook().verify(delivery, replace(account, settings={"webhook_header": "X-Our-Word"}), NOW)
    for name in ("x-other", "", "x our word", "é"):
        with pytest.raises(WebhookRefused):
            ChannexWebhook().verify(delivery, replace(account, settings={"webhook_header": name}), NOW)


@pytest.mark.parametrize("name", ["booking", "booking_new", "booking_modification", "booking_cancellation",
                                  "booking_unmapped_room", "booking_unmapped_rate", "non_acked_booking"])  # fmt: skip
def test_bookings_of_channex(name: str) -> None:
    """Every word for a booking asks for it, and is one delivery a word and revision."""
    body = CHANNEX.body(name)
    found = event(ChannexWebhook(), body)
    assert (found.kind, found.ask, found.booking) == (EventKind.BOOKING, True, None)
    assert found.delivery_id == f"{name}:{body['payload']['booking_revision_id']}"
    assert found.booking_id == body["payload"]["booking_id"]
    assert found.listing_ids == (body["property_id"],)
    assert found.revised_at == datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


def test_samples_of_channex(fixtures_dir: Path) -> None:
    """Channex's own samples: one without data, one of availability and rates, one that is not JSON."""
    folder = fixtures_dir / "channex" / "webhooks"
    names = ("19-no-data-version", "20-ari-availability-rates-restrictions", "24-message")
    bodies = [(folder / f"{name}.json").read_bytes() for name in names]
    bare, rates, broken = (
        ChannexWebhook().events(Delivery("POST", "h", "/", body=body))[0] for body in bodies
    )
    assert (bare.kind, bare.name, bare.delivery_id, bare.ask) == (
        EventKind.BOOKING,
        "booking_new",
        None,
        True,
    )
    assert (rates.kind, rates.ask) == (EventKind.CALENDAR, False)
    assert (broken.kind, broken.ask) == (EventKind.UNKNOWN, True)


# Expedia.


def test_the_headers_are_the_accounts() -> None:
    """Both headers can be named by the account; names that are none refuse."""
    account = EXPEDIA.account()
    good = EXPEDIA.sign(EXPEDIA.delivery(), account, NOW)
    renamed = {name.replace("x-expedia", "eg"): value for name, value in good.headers.items()}
    settings = {"webhook_signature_header": "EG-Signature", "webhook_timestamp_header": "EG-Timestamp"}
    ExpediaWebhook().verify(replace(good, headers=renamed), replace(account, settings=settings), NOW)
    for name in settings:
        with pytest.raises(WebhookRefused, match=name):
            ExpediaWebhook().verify(good, replace(account, settings={name: "a b"}), NOW)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ReservationNotificationEvent", EventKind.BOOKING),
        ("GuestReviewSubmitted", EventKind.REVIEW),
        ("MessageThreadCreated", EventKind.MESSAGE),
        ("PropertyStatusMinRequirementMissing", EventKind.LISTING),
        ("RESERVATION_CREATED", EventKind.BOOKING),
        ("booking.modified", EventKind.BOOKING),
        ("NEW_MESSAGE_ON_RESERVATION", EventKind.MESSAGE),
        ("review.published", EventKind.REVIEW),
        ("PROPERTY_STATUS_CHANGED", EventKind.LISTING),
    ],
)
def test_events_of_expedia(name: str, kind: EventKind) -> None:
    """Known by their id, always asked about."""
    found = event(ExpediaWebhook(), EXPEDIA.body(name))
    assert (found.kind, found.ask, found.booking) == (kind, True, None)
    assert found.delivery_id == "5a1b1a52-6d0c-49d8-8a40-6a0d2f1f6f11"
    assert (found.booking_id, found.listing_ids) == ("987654321", ("123456",))


# The house.


def test_the_scheme_of_standard_webhooks() -> None:
    """A published example of the scheme: this secret, id, time and body give this signature."""
    account = Account("main", secrets={"webhook_secret": Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")})
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    delivery = Delivery("POST", "h", "/", "", headers, b'{"test": 2432232314}')
    HouseWebhook().verify(delivery, account, datetime.fromtimestamp(1614265330, UTC))


def test_several_signatures_of_one_delivery() -> None:
    """A sender that replaces its secret signs with both; versions we do not know are passed over."""
    account = HOUSE.account()
    good = HOUSE.sign(HOUSE.delivery(), account, NOW)
    proof = good.headers["webhook-signature"]
    other = signing.house_signature(good, HOUSE.secrets(1)["webhook_secret"])
    for header in (f"{proof} {other}", f"{other} {proof}", f"v1a,AAAA {other} {proof}"):
        HouseWebhook().verify(with_headers(good, webhook_signature=header), account, NOW)
    for header in (
        other,
        f"{proof}  {other}",
        " ".join([other] * 8 + [proof]),
        f"v1a,{proof[3:]}",
        f"{proof},{other}",
    ):
        with pytest.raises(WebhookRefused):
            HouseWebhook().verify(with_headers(good, webhook_signature=header), account, NOW)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_!!", "a plain word", "WHSEC_AAAA", "whsec_A"])
def test_a_secret_that_is_none_refuses(secret: str) -> None:
    """A secret that is not of the scheme's form verifies nothing."""
    good = HOUSE.sign(HOUSE.delivery(), HOUSE.account(), NOW)
    with pytest.raises(WebhookRefused):
        HouseWebhook().verify(good, Account("main", secrets={"webhook_secret": Secret(secret)}), NOW)


def test_an_id_without_the_separator() -> None:
    """The id must not hold the dot that ends it: what was signed could be cut in another way."""
    account = HOUSE.account()
    stamped = with_headers(HOUSE.delivery(), webhook_id="msg.1", webhook_timestamp=str(int(NOW.timestamp())))
    proof = signing.house_signature(stamped, account.secrets["webhook_secret"].reveal())
    with pytest.raises(WebhookRefused):
        HouseWebhook().verify(with_headers(stamped, webhook_signature=proof), account, NOW)


def test_a_booking_of_the_house() -> None:
    """Its data is the whole revision; the delivery is known by its id."""
    found = event(HouseWebhook(), HOUSE.body("booking.confirmed"), webhook_id="msg_1")
    revised_at = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    stay = Stay(date(2026, 5, 1), date(2026, 5, 4))
    booking = Booking("W-1001", "suite-1", BookingStatus.CONFIRMED, revised_at, stay, guests=2)
    assert found == Event(
        EventKind.BOOKING, "booking.confirmed", "msg_1", "W-1001", ("suite-1",), revised_at, booking
    )


@pytest.mark.parametrize(
    "fields",
    [{"status": "perhaps"}, {"check_in": None}, {"check_in": "2026-05-04"}, {"check_out": "x"}, {"guests": -1},
     {"revised_at": "2026-03-01"}, {"booking_id": None}, {"listing_id": []}, {"units": "2"},
     {"check_in": None, "check_out": None}],
    ids=range(10),
)  # fmt: skip
def test_a_booking_of_the_house_that_cannot_be_read(fields: dict[str, Any]) -> None:
    """The event stands and says what is wrong, without what was written."""
    body = HOUSE.body("booking.confirmed")
    found = event(HouseWebhook(), {**body, "data": {**body["data"], **fields}})
    assert (found.kind, found.booking, found.ask) == (EventKind.BOOKING, None, True)
    assert found.problem is not None
    assert "perhaps" not in found.problem


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("reservation.cancelled", EventKind.BOOKING),
        ("booking_request.made", EventKind.BOOKING_REQUEST),
        ("calendar.changed", EventKind.CALENDAR),
        ("listing", EventKind.LISTING),
        ("message.received", EventKind.MESSAGE),
        ("payment.settled", EventKind.MONEY),
        ("review.written", EventKind.REVIEW),
        ("test", EventKind.TEST),
        ("bookings.made", EventKind.UNKNOWN),
    ],
)
def test_events_of_the_house(name: str, kind: EventKind) -> None:
    """What stands before the first dot says what an event is about."""
    assert event(HouseWebhook(), {"type": name, "data": {}}).kind is kind
