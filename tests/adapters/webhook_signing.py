"""Deliveries as each channel signs them, written from the schemes and not from the verifiers.

Nothing of adapters/<channel> is imported here.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from adapters.accounts import Account
from adapters.model import Secret
from adapters.webhook import Delivery


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a channel signs.

    ``secrets`` gives the account's secrets of one of several generations. ``sign`` signs with the account's newest.
    ``proof`` is the header that holds the proof. ``lasts`` is how long a proof is good, None for ever. ``meaning``
    takes out of the proof what the scheme does not look at. ``body`` is a sample with an event's name in it.
    """

    channel: str
    secrets: Callable[[int], Mapping[str, str]]
    sign: Callable[[Delivery, Account, datetime], Delivery]
    body: Callable[[str], dict[str, Any]]
    known_event: str
    proof: str
    covers_body: bool
    lasts: timedelta | None
    covered_headers: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    meaning: Callable[[str], str] = str

    def account(self, code: str = "main", *, now: int | None = 0, before: int | None = None) -> Account:
        """An account with the secrets of generation ``now``, and those of ``before`` still valid."""
        held = {} if now is None else dict(self.secrets(now))
        if before is not None:
            held |= {f"{name}_previous": value for name, value in self.secrets(before).items()}
        return Account(code, "", self.settings, {name: Secret(value) for name, value in held.items()})

    def delivery(self, body: bytes | None = None) -> Delivery:
        """A delivery that is not signed yet."""
        content = json.dumps(self.body(self.known_event)).encode() if body is None else body
        headers = {"content-type": "application/json", "user-agent": "channel/1.0"}
        return Delivery("POST", "hooks.example.org", f"/webhooks/{self.channel}/main", "", headers, content)


def with_headers(delivery: Delivery, **headers: str) -> Delivery:
    """The delivery with these headers too, "_" in their names for "-"."""
    added = {name.replace("_", "-"): value for name, value in headers.items()}
    return replace(delivery, headers={**delivery.headers, **added})


# Airbnb: RSA over host|url|method|date|content-type|body.


@cache
def rsa_key(generation: int) -> rsa.RSAPrivateKey:
    """One key pair a generation and process."""
    del generation
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_pem(key: rsa.RSAPrivateKey) -> str:
    """As a partner is given it."""
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def airbnb_signed(
    delivery: Delivery, account: Account, now: datetime, names: str = "host url method date content-type body"
) -> Delivery:
    """Signed by whoever holds the private key to the account's public one."""
    pem = account.secrets["webhook_public_key"].reveal()
    key = next(rsa_key(each) for each in range(9) if public_pem(rsa_key(each)) == pem)
    stamped = with_headers(delivery, date=format_datetime(now, usegmt=True))
    values = {
        "host": delivery.host.rpartition(":")[0] or delivery.host,
        "url": delivery.path,
        "method": delivery.method,
        "date": stamped.headers["date"],
        "content-type": delivery.headers.get("content-type", ""),
        "body": delivery.body.decode("latin-1"),
    }
    text = "|".join(values.get(name, "") for name in names.split(" ")).encode("latin-1")
    signature = base64.b64encode(key.sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()
    return with_headers(
        stamped,
        authorization=f'Signature keyId="booking_web_hooks",algorithm="rsa-sha256",headers="{names}",'
        f'delimiter="|",signature="{signature}"',
    )


def reservation(**fields: Any) -> dict[str, Any]:
    """A reservation as Airbnb sends it. The listing's id passes for the number of a card."""
    return {
        "confirmation_code": "HMABCDEFGH",
        "listing_id": 1000000000000000009,
        "listing_id_str": "1000000000000000009",
        "start_date": "2026-05-01",
        "end_date": "2026-05-04",
        "nights": 3,
        "guest_details": {"number_of_adults": 2, "number_of_children": 1, "number_of_infants": 1},
        "guest_first_name": "Ann-Marie",
        "guest_email": "guest@example.com",
        "guest_phone_numbers": ["+351911222333"],
        "host_currency": "EUR",
        "expected_payout_amount_accurate": "311.30",
        "status_type": "accept",
        "booked_at": "2026-02-01T10:00:00Z",
        "updated_at": "2026-02-02T10:00:00.000Z",
    } | fields


AIRBNB = Scheme(
    "airbnb",
    secrets=lambda generation: {"webhook_public_key": public_pem(rsa_key(generation))},
    sign=airbnb_signed,
    body=lambda name: {"action": name, "reservation": reservation()},
    known_event="reservation_acceptance_confirmation",
    proof="authorization",
    covers_body=True,
    lasts=timedelta(minutes=5),
    covered_headers=("content-type", "date"),
    meaning=lambda value: re.sub('keyId="[A-Za-z0-9_.:-]{1,64}"', "", value),
)


# Booking.com: a JSON Web Token that the account issued.


def compact(value: bytes) -> str:
    """Base64 as tokens have it."""
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def token(claims: Mapping[str, Any], key: str, header: Mapping[str, Any] | None = None) -> str:
    """A token signed with HMAC-SHA256, whatever its header says."""
    head = {"alg": "HS256", "typ": "JWT"} if header is None else header
    text = f"{compact(json.dumps(head).encode())}.{compact(json.dumps(claims).encode())}"
    return f"{text}.{compact(hmac.digest(key.encode(), text.encode(), 'sha256'))}"


def booking_com_claims(account: Account, now: datetime) -> dict[str, Any]:
    """What a token of this account says."""
    issued = int(now.timestamp())
    return {
        "aud": "channel-sync/webhooks/booking_com",
        "sub": account.code,
        "iat": issued,
        "exp": issued + 900,
    }


def booking_com_signed(delivery: Delivery, account: Account, now: datetime) -> Delivery:
    """With a token issued at ``now``."""
    issued = token(booking_com_claims(account, now), account.secrets["webhook_jwt_key"].reveal())
    return with_headers(delivery, authorization=f"Bearer {issued}")


BOOKING_COM = Scheme(
    "booking_com",
    secrets=lambda generation: {
        "webhook_jwt_key": f"key-{generation}-" + "k" * 40,
        "webhook_client_secret": f"client-secret-{generation}",
    },
    sign=booking_com_signed,
    body=lambda name: {
        "metadata": {"uuid": "6f1c8f6e-2f0f-4a70-9a53-1f6f3d1b8a11", "type": name, "payloadVersion": "1.0"},
        "payload": {"hotel_id": 12345, "reservation_id": 1234567890, "card_number": "4111111111111111"},
    },
    known_event="VCC_BALANCE",
    proof="authorization",
    covers_body=False,
    lasts=timedelta(minutes=15),
    settings={"webhook_client_id": "booking-com"},
)


# Channex: a word in a header.

CHANNEX = Scheme(
    "channex",
    secrets=lambda generation: {"webhook_token": hashlib.sha256(b"%d" % generation).hexdigest()},
    sign=lambda delivery, account, _: with_headers(
        delivery, x_channel_sync_token=account.secrets["webhook_token"].reveal()
    ),
    body=lambda name: {
        "event": name,
        "property_id": "90958ec0-9214-4796-873e-4add0d834670",
        "user_id": None,
        "timestamp": "2026-03-01T09:30:00.000000Z",
        "payload": {
            "booking_id": "b4671a17-4440-4da4-9c72-f6afa2d61908",
            "booking_revision_id": "9d7e25a0-7602-4454-b3c0-a42afad0fde0",
            "customer_name": "Ann-Marie",
        },
    },
    known_event="booking_new",
    proof="x-channel-sync-token",
    covers_body=False,
    lasts=None,
)


# Expedia and Vrbo: HMAC over time and body, behind "sha256=". The names of the headers are ours.


def expedia_signature(body: bytes, secret: str, timestamp: str) -> str:
    """One signature, without what stands before it."""
    made = hmac.new(secret.encode(), b".".join([timestamp.encode(), body]), hashlib.sha256)
    return base64.b64encode(made.digest()).decode()


def expedia_signed(delivery: Delivery, account: Account, now: datetime) -> Delivery:
    """HMAC over "time.body", in base64."""
    seconds = str(int(now.timestamp()))
    made = expedia_signature(delivery.body, account.secrets["webhook_secret"].reveal(), seconds)
    return with_headers(delivery, x_expedia_timestamp=seconds, x_expedia_signature=f"sha256={made}")


def expedia_body(name: str, **more: Any) -> dict[str, Any]:
    """A notification of a reservation."""
    return {
        "notificationId": "5a1b1a52-6d0c-49d8-8a40-6a0d2f1f6f11",
        "eventType": name,
        "creationDateTime": "2026-03-01T09:30:00Z",
        "payload": {
            "propertyId": "123456",
            "reservationId": "987654321",
            "primaryGuest": {"firstName": "Ann"},
            **more,
        },
    }


EXPEDIA = Scheme(
    "expedia",
    secrets=lambda generation: {"webhook_secret": f"expedia secret {generation}"},
    sign=expedia_signed,
    body=expedia_body,
    known_event="ReservationNotificationEvent",
    proof="x-expedia-signature",
    covers_body=True,
    lasts=timedelta(minutes=5),
    covered_headers=("x-expedia-timestamp",),
)

VRBO = replace(
    EXPEDIA,
    channel="vrbo",
    secrets=lambda generation: {"webhook_secret": f"vrbo secret {generation}"},
    body=lambda name: expedia_body(
        name, confirmationToken="3f2b8c1e-5f7a-4c55-9c0e-0e7b8f4d2a11", actionType="BOOKED"
    ),
)


# The house's own systems: Standard Webhooks.


def house_signature(delivery: Delivery, secret: str) -> str:
    """One signature over the id and time that stand in the delivery's headers."""
    text = (
        f"{delivery.headers['webhook-id']}.{delivery.headers['webhook-timestamp']}.".encode() + delivery.body
    )
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()


def house_signed(delivery: Delivery, account: Account, now: datetime) -> Delivery:
    """HMAC over "id.time.body", in base64."""
    stamped = with_headers(
        delivery, webhook_id="msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", webhook_timestamp=str(int(now.timestamp()))
    )
    made = house_signature(stamped, account.secrets["webhook_secret"].reveal())
    return with_headers(stamped, webhook_signature=made)


HOUSE = Scheme(
    "house",
    secrets=lambda generation: {
        "webhook_secret": "whsec_" + base64.b64encode(f"a key of 24 bytes, no {generation}".encode()).decode()
    },
    sign=house_signed,
    body=lambda name: {
        "type": name,
        "data": {
            "booking_id": "W-1001",
            "listing_id": "suite-1",
            "status": "confirmed",
            "check_in": "2026-05-01",
            "check_out": "2026-05-04",
            "revised_at": "2026-03-01T09:30:00Z",
            "guests": 2,
            "guest": {"name": "Ann-Marie", "email": "guest@example.com"},
        },
    },
    known_event="booking.confirmed",
    proof="webhook-signature",
    covers_body=True,
    lasts=timedelta(minutes=5),
    covered_headers=("webhook-id", "webhook-timestamp"),
)

SCHEMES: Mapping[str, Scheme] = {
    scheme.channel: scheme for scheme in (AIRBNB, BOOKING_COM, CHANNEX, EXPEDIA, HOUSE, VRBO)
}
