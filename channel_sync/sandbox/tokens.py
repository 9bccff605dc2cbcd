"""Airbnb's tokens, simulated: issued for a code or a refresh token, expired by time, revoked on demand.

A token carries its own proof, so that those issued before a restart of the sandbox are good after it.
"""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from urllib.parse import parse_qs

from channel_sync.sandbox.exchange import Request

USER_ID = 7000001


def invented(what: str) -> str:
    """A secret of the sandbox: always the same 32 hexadecimal digits for the same purpose, worth nothing."""
    return hashlib.sha256(f"channel-sync sandbox/{what}".encode()).hexdigest()[:32]


@dataclass(slots=True)
class Tokens:
    """The authorisation server of one simulated host.

    ``rotate`` gives a new refresh token with every refresh and refuses the old one; ``single`` lets an access
    token die as soon as the next is issued; ``refreshes`` counts what was granted.
    """

    client_id: str = field(default_factory=lambda: invented("airbnb client id"))
    client_secret: str = field(default_factory=lambda: invented("airbnb client secret"), repr=False)
    code: str = field(default_factory=lambda: invented("airbnb code"), repr=False)
    lifetime: timedelta = timedelta(hours=24)
    rotate: bool = False
    single: bool = False
    refreshes: int = 0
    _issued: int = 0
    _oldest: int = 0  # access tokens with a lower number are revoked
    _generation: int = 0  # of the refresh token that is good
    _lock: Lock = field(default_factory=Lock, repr=False)

    @property
    def refresh_token(self) -> str:
        """The refresh token that is good now."""
        return self._signed("rt", str(self._generation))

    def revoke(self) -> None:
        """Every access token issued so far stops working."""
        with self._lock:
            self._oldest = self._issued + 1

    def knows(self, request: Request) -> bool:
        """Whether the request carries the client's id and secret as Basic credentials."""
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            told = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return False
        return scheme.lower() == "basic" and told == f"{self.client_id}:{self.client_secret}"

    def grant(self, request: Request, now: datetime) -> dict[str, object] | None:
        """The answer to a request for a token, or None where it is refused."""
        asked = _fields(request)
        with self._lock:
            if asked.get("code") == self.code:
                return self._grant(now, with_refresh_token=True)
            if asked.get("refresh_token") != self.refresh_token:
                return None
            self.refreshes += 1
            if self.rotate:
                self._generation += 1
            return self._grant(now, with_refresh_token=self.rotate)

    def expires_at(self, token: str, now: datetime) -> int | None:
        """When a good access token expires, in epoch seconds; None for one that is not good at ``now``."""
        kind, number, expires, _ = (token.split("-") + [""] * 4)[:4]
        if not (number.isdecimal() and expires.isdecimal()) or token != self._signed(kind, number, expires):
            return None
        good = kind == "at" and int(number) >= self._oldest and int(expires) > now.timestamp()
        return int(expires) if good else None

    def _grant(self, now: datetime, *, with_refresh_token: bool) -> dict[str, object]:
        self._issued += 1
        if self.single:
            self._oldest = self._issued
        expires = int((now + self.lifetime).timestamp())
        granted: dict[str, object] = {
            "expires_at": expires,
            "access_token": self._signed("at", str(self._issued), str(expires)),
            "user_id": USER_ID,
            "user_id_str": str(USER_ID),
        }
        if with_refresh_token:
            granted["refresh_token"] = self.refresh_token
        return granted

    def _signed(self, *parts: str) -> str:
        text = "-".join(parts)
        return f"{text}-{invented(f'{self.client_secret}/{text}')}"


def _fields(request: Request) -> dict[str, str]:
    """The fields of a JSON or a form body; nothing for anything else."""
    try:
        if "json" in request.headers.get("content-type", ""):
            body = json.loads(request.body)
            return {str(k): str(v) for k, v in body.items()} if isinstance(body, dict) else {}
        return {name: values[-1] for name, values in parse_qs(request.body.decode()).items()}
    except ValueError:
        return {}
