"""Expedia Group's tokens, simulated: granted for client credentials, ended by time, revoked on demand.

A token carries its own proof, so that those granted before a restart of the sandbox are good after it.
"""

import base64
import binascii
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from urllib.parse import parse_qs

from channel_sync.sandbox.exchange import Request
from channel_sync.sandbox.tokens import invented


@dataclass(slots=True)
class Bearers:
    """The authorisation server. ``grants`` counts what was granted."""

    client_id: str = field(default_factory=lambda: invented("vrbo client id"))
    client_secret: str = field(default_factory=lambda: invented("vrbo client secret"), repr=False)
    lifetime: timedelta = timedelta(seconds=1_800)
    grants: int = 0
    _oldest: int = 0  # tokens with a lower number are revoked
    _lock: Lock = field(default_factory=Lock, repr=False)

    def grant(self, request: Request, now: datetime) -> dict[str, object] | None:
        """The answer to a request for a token; None where its credentials are not the client's."""
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            told = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
        asked = parse_qs(request.body.decode("ascii", "replace"))
        if (
            scheme.lower() != "basic"
            or told != f"{self.client_id}:{self.client_secret}"
            or asked.get("grant_type") != ["client_credentials"]
        ):
            return None
        with self._lock:
            self.grants += 1
            token = self._signed(str(self.grants), str(int((now + self.lifetime).timestamp())))
        return {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": int(self.lifetime.total_seconds()),
            "scope": "supply.lodging",
        }

    def is_good(self, request: Request, now: datetime) -> bool:
        """Whether the request carries a token that was granted, has not ended and is not revoked."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        _, number, ends, _ = (token.split("-") + [""] * 4)[:4]
        if not (number.isdecimal() and ends.isdecimal()) or token != self._signed(number, ends):
            return False
        return scheme == "Bearer" and int(number) >= self._oldest and int(ends) > now.timestamp()

    def revoke(self) -> None:
        """Every token granted so far stops working."""
        with self._lock:
            self._oldest = self.grants + 1

    def _signed(self, number: str, ends: str) -> str:
        return f"eg-{number}-{ends}-{invented(f'{self.client_secret}/{number}/{ends}')}"
