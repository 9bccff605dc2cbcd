"""Who calls a channel and about what: an account, its listings, its tokens and where they are kept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from adapters.errors import ConfigurationError
from adapters.model import Secret


@dataclass(frozen=True, slots=True)
class Account:
    """One login on a channel. ``code`` is the house's own name for it."""

    code: str
    base_url: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)

    def secret(self, name: str) -> str:
        """Reveal one secret. Raises ConfigurationError naming the account and the secret that is missing."""
        return _reveal(self.secrets, name, f"account {self.code!r}")


@dataclass(frozen=True, slots=True)
class Listing:
    """What is sold, in the channel's own id, with what is needed to read it.

    ``time_zone`` is the property's IANA zone: date-times on the wire become nights in it. ``currency`` is the
    property's, for a channel whose wire leaves it out.
    """

    listing_id: str
    time_zone: str
    currency: str
    settings: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)

    def secret(self, name: str) -> str:
        """Reveal one secret. Raises ConfigurationError naming the listing and the secret that is missing."""
        return _reveal(self.secrets, name, f"listing {self.listing_id!r}")


def _reveal(secrets: Mapping[str, Secret], name: str, owner: str) -> str:
    try:
        return secrets[name].reveal()
    except KeyError:
        raise ConfigurationError(
            f"{owner} has no secret {name!r}: name its environment variable in the portfolio and set it"
        ) from None


@dataclass(frozen=True, slots=True)
class Token:
    """An access token with the end of its life (UTC), and the refresh token that follows it."""

    access: Secret
    expires_at: datetime
    refresh: Secret | None = None


class TokenStore(Protocol):
    """Where the tokens of an account live, shared by every process that uses the account."""

    def load(self, account: str) -> Token | None:
        """The newest token of this account, or None before the first."""

    def renew(self, account: str, stale: Token | None, fetch: Callable[[Token | None], Token]) -> Token:
        """Replace ``stale`` and return what replaced it.

        Holders of the same stale token wait for one another across processes: the first calls ``fetch`` with
        the stored token, the others are given what it fetched. An exception of ``fetch`` stores nothing.
        """
