"""Where a partner wants its notifications, and the secrets they are signed with."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from channel_sync.sandbox.tokens import invented

LIFETIME = timedelta(days=365)
BOTH_GOOD = timedelta(days=3)  # how long the secret before stays good


@dataclass(slots=True)
class Callback:
    """One callback. ``previous_until`` is when the secret before ends, None where there is none that is good."""

    number: int
    url: str
    email: str
    timeout_s: int
    expires_at: datetime
    previous_until: datetime | None = None
    secrets: list[str] = field(default_factory=list)  # the newest last
    event_types: set[str] = field(default_factory=set)

    @property
    def config_id(self) -> str:
        """Its id."""
        return invented(f"vrbo callback {self.number}")

    def renew(self, now: datetime, *, keep: bool) -> None:
        """Give it a new secret; ``keep`` the one before for a while."""
        self.previous_until = now + BOTH_GOOD if keep and self.secrets else None
        self.secrets.append(invented(f"vrbo callback {self.number} secret {len(self.secrets)}"))
        self.expires_at = now + LIFETIME

    def to_wire(self) -> dict[str, Any]:
        """Without its secrets."""
        return {
            "id": self.config_id,
            "callbackUrl": self.url,
            "contactEmail": self.email,
            "requestTimeoutSeconds": self.timeout_s,
            "secretExpirationDateTime": _local(self.expires_at),
            "previousSecretExpirationDateTime": self.previous_until and _local(self.previous_until),
        }


def _local(moment: datetime) -> str:
    """Without a zone, as the schema's LocalDateTime is."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}"
