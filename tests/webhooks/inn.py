"""An inn with an account on each kind of channel, its gateway on a real socket, and senders who know the secrets."""

import hmac
import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cache
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import httpx
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from channel_sync import bootstrap, config
from channel_sync.storage.database import Database
from channel_sync.webhooks.gateway import Bounds
from channel_sync.webhooks.limits import Rate
from channel_sync.webhooks.server import serving

KEY = b"Never-In-A-Log-0123456789"
GUEST = "canary.guest@example.com"
PLENTY = Bounds(source=Rate(1e6, 1e6), total=Rate(1e6, 1e6))
CLIENT_SECRET = "Never-Told-Client-Secret"
_numbers = count(1)


@cache
def airbnb_key() -> RSAPrivateKey:
    """What the made-up Airbnb signs with."""
    return generate_private_key(65537, 2048)


def environment(database: Database) -> dict[str, str]:
    """The settings and secrets that the inn's process is given."""
    pem = airbnb_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {
        config.ENABLED: "true",
        config.DATABASE_URL: database.url,
        "INN_HOUSE_SECRET": f"whsec_{b64encode(KEY).decode()}",
        "INN_AIRBNB_KEY": pem.decode(),
        "INN_CLIENT_SECRET": CLIENT_SECRET,
        "INN_JWT_KEY": "Never-Told-Key-Of-Tokens-0123456789-0123456789",
    }


def add_accounts(database: Database) -> None:
    """``inn`` of the house's own system, ``bare`` without its secret, one each of Airbnb, Booking.com and iCal."""
    house = {"webhook_secret": "INN_HOUSE_SECRET"}
    tokens = {"webhook_client_secret": "INN_CLIENT_SECRET", "webhook_jwt_key": "INN_JWT_KEY"}
    rows: list[tuple[str, str, Mapping[str, str], Mapping[str, str]]] = [
        ("inn", "house", house, {}),
        ("bare", "house", {}, {}),
        ("gone", "house", house, {}),
        ("off", "house", house, {}),
        ("inn-airbnb", "airbnb", {"webhook_public_key": "INN_AIRBNB_KEY"}, {}),
        ("inn-booking", "booking_com", tokens, {"webhook_client_id": "booking"}),
        ("inn-feeds", "ical", {}, {}),
    ]
    with database.connect() as connection:
        for code, channel, secrets, settings in rows:
            connection.execute(
                "INSERT INTO channel_account (code, channel, environment, secrets, settings) "
                "VALUES (%s, %s, 'sandbox', %s, %s)",
                [code, channel, Jsonb(secrets), Jsonb(settings)],
            )
        connection.execute("UPDATE channel_account SET retired_at = now() WHERE code = 'gone'")
        connection.execute("UPDATE channel_account SET enabled = false WHERE code = 'off'")


@dataclass(frozen=True, slots=True)
class Inn:
    """The gateway of the inn, at ``url``."""

    url: str
    database: Database
    http: httpx.Client = field(repr=False)

    def deliver(self, body: bytes | None = None, *, to: str = "house/inn", **changed: str) -> httpx.Response:
        """Send a signed delivery. ``changed`` headers are sent in place of the right ones."""
        content = event() if body is None else body
        headers = {**signed(content), **{name.replace("_", "-"): value for name, value in changed.items()}}
        return self.http.post(f"/webhooks/{to}", content=content, headers=headers)

    def rows(
        self, statement: str = "SELECT * FROM webhook_event ORDER BY webhook_event_id"
    ) -> list[dict[str, Any]]:
        """What lies in the inbox."""
        with self.database.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement.encode()).fetchall()


@contextmanager
def open_inn(database: Database, bounds: Bounds = PLENTY, **settings: str) -> Iterator[Inn]:
    """An inn on this database whose gateway serves until the block ends."""
    environ = {**environment(database), **settings}
    gateway = bootstrap.webhook_gateway(config.load(environ), environ=environ, bounds=bounds)
    with serving(gateway.app()) as url, httpx.Client(base_url=url, timeout=20) as http:
        yield Inn(url, database, http)


def event(kind: str = "booking.confirmed", number: int = 1) -> bytes:
    """A booking of the house's own system, with a guest in it."""
    data = {
        "booking_id": f"B-{number}",
        "listing_id": "studio",
        "status": "confirmed",
        "check_in": "2026-05-01",
        "check_out": "2026-05-04",
        "revised_at": "2026-03-01T12:00:00Z",
        "guest": {"name": "Canary Guest", "email": GUEST},
    }
    return json.dumps({"type": kind, "data": data}).encode()


def signed(
    body: bytes, *, message_id: str | None = None, at: datetime | None = None, key: bytes = KEY
) -> dict[str, str]:
    """The headers of Standard Webhooks."""
    message_id = message_id or f"msg-{next(_numbers)}"
    timestamp = str(int((at or datetime.now(UTC)).timestamp()))
    mac = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, "sha256")
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{b64encode(mac).decode()}",
    }


def airbnb_headers(method: str, url: str, body: bytes = b"") -> dict[str, str]:
    """The headers of Airbnb's scheme, which leaves the port out, over a request to ``url``."""
    parts = urlsplit(url)
    date = format_datetime(datetime.now(UTC), usegmt=True)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    text = "|".join([parts.hostname or "", target, method, date, "application/json", body.decode()])
    signature = b64encode(airbnb_key().sign(text.encode(), PKCS1v15(), SHA256())).decode()
    names = "host url method date content-type body"
    return {
        "date": date,
        "content-type": "application/json",
        "authorization": f'Signature keyId="booking_web_hooks",algorithm="rsa-sha256",headers="{names}"'
        f',delimiter="|",signature="{signature}"',
    }
