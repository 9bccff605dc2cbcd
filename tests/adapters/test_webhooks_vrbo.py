"""What is odd about the webhooks of Expedia Group: how one is signed, and the token that confirms Vrbo's."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from adapters.accounts import Account
from adapters.errors import WebhookRefused
from adapters.expedia.webhook import ExpediaWebhook
from adapters.model import Secret
from adapters.vrbo.notifications import undelivered_from_wire
from adapters.vrbo.webhook import VrboWebhook
from adapters.webhook import Delivery, Event, EventKind, Webhook
from tests.adapters import webhook_signing as signing
from tests.adapters.webhook_signing import VRBO, with_headers

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)


def event(webhook: Webhook, body: object) -> Event:
    (found,) = webhook.events(Delivery("POST", "h", "/", body=json.dumps(body).encode()))
    return found


def test_the_signature_of_expedia_group_is_the_documented_one() -> None:
    """HMAC-SHA256 over time, a dot and the body, in base64 behind "sha256=": the same that openssl makes."""
    account = Account("main", secrets={"webhook_secret": Secret("s3cret")})
    headers = {
        "x-expedia-timestamp": "1773135000",
        # printf '1773135000.{"a":1}' | openssl dgst -sha256 -hmac s3cret -binary | base64
        "x-expedia-signature": "sha256=0Isc/jgtZWYvjmRx8HFvAMmoI7pm1Am2s4hllNC5sEQ=",
    }
    delivery = Delivery("POST", "h", "/", "", headers, b'{"a":1}')
    for webhook in (ExpediaWebhook(), VrboWebhook()):
        webhook.verify(delivery, account, datetime.fromtimestamp(1773135000, UTC))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["old-first", "new-first"])
def test_two_signatures_while_a_secret_is_replaced(order: tuple[int, int]) -> None:
    """For a while a notification is signed with both secrets: whoever has one of them takes it."""
    good = VRBO.sign(VRBO.delivery(), VRBO.account(), NOW)
    made = [
        signing.expedia_signature(
            good.body, VRBO.secrets(number)["webhook_secret"], good.headers["x-expedia-timestamp"]
        )
        for number in order
    ]
    both = with_headers(good, x_expedia_signature=f"sha256={','.join(made)}")
    for account in (VRBO.account(now=0), VRBO.account(now=1), VRBO.account(now=1, before=0)):
        VrboWebhook().verify(both, account, NOW)
    with pytest.raises(WebhookRefused):
        VrboWebhook().verify(both, VRBO.account(now=2), NOW)


@pytest.mark.parametrize(
    "header",
    [
        "{}",
        "sha1={}",
        "sha256=,",
        "sha256=A,A,A,A,{}",
        "SHA256={}",
        "sha256=,{}",
        "sha256=v1,{}",
        "sha256={},",
        "sha256={},A",
        "sha256={}\n",
        "sha256={0},{0},{0},{0},{0}",
    ],
)
def test_a_signature_that_is_written_otherwise(header: str) -> None:
    """A signature without its scheme, beside what is none, or of more than there may be secrets, is none."""
    good = VRBO.sign(VRBO.delivery(), VRBO.account(), NOW)
    bare = good.headers["x-expedia-signature"].removeprefix("sha256=")
    with pytest.raises(WebhookRefused):
        VrboWebhook().verify(with_headers(good, x_expedia_signature=header.format(bare)), VRBO.account(), NOW)


def test_a_time_in_milliseconds() -> None:
    """The signed time may be in milliseconds; it is as old then as in seconds."""
    account = VRBO.account()
    stamp = str(int(NOW.timestamp() * 1000))
    delivery = VRBO.delivery()
    made = signing.expedia_signature(delivery.body, VRBO.secrets(0)["webhook_secret"], stamp)
    signed = with_headers(delivery, x_expedia_timestamp=stamp, x_expedia_signature=f"sha256={made}")
    VrboWebhook().verify(signed, account, NOW)
    with pytest.raises(WebhookRefused):
        VrboWebhook().verify(signed, account, NOW + timedelta(minutes=6))


def test_a_notification_of_vrbo_has_its_receipt() -> None:
    """It is asked about, and what confirms it is the receipt that the list of undelivered ones gives, shown nowhere."""
    body = VRBO.body("ReservationNotificationEvent")
    found = event(VrboWebhook(), body)
    told = {
        "notification": {
            "notificationId": "n",
            "eventType": "ReservationNotificationEvent",
            "payload": body["payload"],
        }
    }
    (notice,), unread, _ = undelivered_from_wire({"undeliveredNotifications": {"elements": [told]}}, "vrbo")
    assert (found.ask, found.booking_id, found.problem) == (True, "987654321", None)
    assert found.receipt == notice.receipt
    assert not unread
    assert body["payload"]["confirmationToken"] not in repr(found)


@pytest.mark.parametrize("token", [None, "", 17, "***", "a b", "x" * 4_097, ["t"]])
def test_a_notification_that_cannot_be_confirmed(token: object) -> None:
    """Without a token, or with one that is too long to be kept, it is asked about and says what is wrong."""
    body = VRBO.body("ReservationNotificationEvent")
    body["payload"]["confirmationToken"] = token
    found = event(VrboWebhook(), body)
    assert (found.ask, found.receipt) == (True, None)
    assert found.problem is not None


def test_a_long_token_is_kept_whole() -> None:
    """What confirms a reservation may be long: the delivery as it is kept confirms it like the delivery itself."""
    body = VRBO.body("ReservationNotificationEvent")
    body["payload"]["confirmationToken"] = "eyJ" + "x" * 3_000
    webhook = VrboWebhook()
    kept = json.loads(webhook.scrubbed(json.dumps(body).encode()))
    assert event(webhook, body).receipt == event(webhook, kept).receipt is not None


def test_other_notifications_of_vrbo_have_no_receipt() -> None:
    """A message is asked about like everything; there is nothing to confirm."""
    found = event(VrboWebhook(), VRBO.body("MessageReceived"))
    assert (found.kind, found.ask, found.receipt, found.problem) == (EventKind.MESSAGE, True, None, None)
