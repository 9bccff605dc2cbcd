"""The machine account of the simulated Booking.com: its client's credentials and the tokens issued for them."""

import base64
import json
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

from channel_sync.sandbox.exchange import Answer, Request, json_answer
from channel_sync.sandbox.tokens import invented

MOST_AN_HOUR = 30
_HOUR = timedelta(hours=1)


@dataclass(slots=True)
class MachineAccount:
    """``lifetime`` is how long a token lives, ``issued`` how many there were."""

    client_id: str = field(default_factory=lambda: invented("booking_com client id"))
    client_secret: str = field(default_factory=lambda: invented("booking_com client secret"), repr=False)
    lifetime: timedelta = _HOUR
    issued: int = 0
    _oldest: int = 1  # tokens with a lower number are revoked
    _recent: deque[datetime] = field(default_factory=deque, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def revoke(self) -> None:
        """Every token issued so far stops working."""
        with self._lock:
            self._oldest = self.issued + 1

    def exchange(self, request: Request, now: datetime) -> Answer:
        """A token for the client's id and secret, told in JSON; at most 30 in an hour."""
        try:
            told = json.loads(request.body)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            return json_answer(400, _errors("the body is not an object in JSON"))
        if (told.get("client_id"), told.get("client_secret")) != (self.client_id, self.client_secret):
            return json_answer(401, _errors("invalid client credentials"))
        with self._lock:
            while self._recent and self._recent[0] <= now - _HOUR:
                self._recent.popleft()
            if len(self._recent) >= MOST_AN_HOUR:
                return json_answer(429, _errors("too many tokens"))
            self._recent.append(now)
            self.issued += 1
            jwt = self._token(self.issued, now)
        return json_answer(200, {"jwt": jwt, "ruid": invented(f"ruid {self.issued}")})

    def accepts(self, request: Request, now: datetime) -> bool:
        """Whether the request bears a token that is good at ``now``."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        parts = token.split(".")
        if scheme != "Bearer" or len(parts) != 3 or parts[2] != self._signature(*parts[:2]):
            return False
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(parts[1] + "=="))
        return bool(claims["jti"] >= self._oldest and now < datetime.fromtimestamp(claims["exp"], UTC))

    def _token(self, number: int, now: datetime) -> str:
        claims = {
            "sub": "connectivity-auth-proxy",
            "iss": "urn://connectivity-modern-auth/v1",
            "iat": int(now.timestamp()),
            "exp": int((now + self.lifetime).timestamp()),
            "client_id": self.client_id,
            "jti": number,
        }
        head, body = (_encoded(part) for part in ({"alg": "RS256", "typ": "JWT"}, claims))
        return f"{head}.{body}.{self._signature(head, body)}"

    def _signature(self, head: str, body: str) -> str:
        return invented(f"{self.client_secret}/{head}.{body}")


def _encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def _errors(text: str) -> dict[str, Any]:
    return {"errors": [{"message": text}]}
