"""A place for tokens in memory, held to the promise of TokenStore."""

from collections.abc import Callable
from threading import Lock

from adapters.accounts import Token


class TokensInMemory:
    """Holders of the same stale token wait for one another; only the first of them fetches."""

    def __init__(self, token: Token | None = None) -> None:
        self.stored: dict[str, Token] = {}
        self._first = token
        self._lock = Lock()

    def load(self, account: str) -> Token | None:
        return self.stored.get(account, self._first)

    def renew(self, account: str, stale: Token | None, fetch: Callable[[Token | None], Token]) -> Token:
        with self._lock:
            known = self.load(account)
            if known is None or known == stale:
                known = self.stored[account] = fetch(known)
            return known
