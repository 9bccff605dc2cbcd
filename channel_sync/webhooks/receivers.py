"""Who may be delivered to: the enabled accounts whose channel sends webhooks, with their secrets."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

import psycopg

from adapters.accounts import Account
from adapters.model import Secret
from adapters.webhook import Webhook
from channel_sync.storage import portfolio

log = logging.getLogger(__name__)

Secrets = Callable[[Mapping[str, str]], Mapping[str, Secret]]
_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Receiver:
    """One account as the gateway knows it."""

    channel_account_id: int
    channel: str
    account: Account
    webhook: Webhook


Receivers = Mapping[tuple[str, str], Receiver]  # by channel and code of the account


class ReceiverReader:
    """Reads the accounts from the portfolio's tables. Says once of each that has no secret to verify with."""

    def __init__(self, webhook_of: Callable[[str], Webhook | None], secrets: Secrets) -> None:
        """``webhook_of`` gives a channel's webhook, None for a channel that sends none or is not known."""
        self._webhook_of = webhook_of
        self._secrets = secrets
        self._said: set[str] = set()

    def read(self, connection: psycopg.Connection) -> Receivers:
        """All that may be delivered to at this moment."""
        found = {}
        for row in portfolio.accounts(connection):
            webhook = self._loaded(row.channel)
            if webhook is None:
                continue
            account = Account(row.code, settings=row.settings, secrets=self._secrets(row.secrets))
            found[row.channel, row.code] = Receiver(row.channel_account_id, row.channel, account, webhook)
            self._say_if_open_to_nobody(account, webhook)
        return found

    def _loaded(self, channel: str) -> Webhook | None:
        """What reads a channel's deliveries. One channel that cannot be loaded does not take the others down."""
        try:
            return self._webhook_of(channel)
        except ImportError as error:
            if channel not in self._said:
                log.warning("channel %r cannot be loaded, its deliveries are refused: %s", channel, error)
                self._said.add(channel)
            return None

    def _say_if_open_to_nobody(self, account: Account, webhook: Webhook) -> None:
        missing = [
            name
            for name in webhook.secret_names
            if name not in account.secrets and f"{name}_previous" not in account.secrets
        ]
        if missing and account.code not in self._said:
            log.warning("account %r has no secret %r: its deliveries are refused", account.code, missing[0])
            self._said.add(account.code)


class KnownReceivers:
    """The receivers as they were read last, at most a few seconds ago while the database can be reached."""

    def __init__(self, read: Callable[[], Receivers], executor: Executor) -> None:
        self._read = read
        self._executor = executor
        self._known: Receivers | None = None
        self._failing = False

    def find(self, channel: str, code: str) -> Receiver | None:
        """The account, None where there is none. Raises LookupError while they were never read."""
        if self._known is None:
            raise LookupError("the accounts are not known yet")
        return self._known.get((channel, code))

    async def refresh(self) -> None:
        """Read them now. While that fails, those that were known stay."""
        loop = asyncio.get_running_loop()
        try:
            self._known = await loop.run_in_executor(self._executor, self._read)
            self._failing = False
        except Exception as error:  # noqa: BLE001 - whatever it is, the next reading may succeed
            if not self._failing:
                log.warning("the accounts cannot be read: %s", type(error).__name__)
            self._failing = True

    async def keep_current(self) -> None:
        """Read them again and again."""
        while True:
            await self.refresh()
            await asyncio.sleep(_EVERY_S)
