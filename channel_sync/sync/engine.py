"""What every use case is handed: the database, a way to open a channel, the clock."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from adapters.base_adapter import ChannelAdapter, Declaration
from adapters.model import Secret
from adapters.webhook import Webhook
from channel_sync.resilience.retry import RetryPolicy
from channel_sync.storage.database import Database
from channel_sync.storage.portfolio import AccountRow


@dataclass(frozen=True, slots=True)
class OpenChannel:
    """A channel account that can be called.

    ``requests_of_this_thread`` counts what the calling thread has sent so far, ``waited_of_this_thread`` the seconds
    that it has waited for its turn.
    """

    adapter: ChannelAdapter
    requests_of_this_thread: Callable[[], int]
    waited_of_this_thread: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Engine:
    """The parts that the use cases work with. ``clock`` gives the present time in UTC.

    ``webhooks`` gives what reads a channel's deliveries; ConfigurationError for a channel that sends none.
    """

    database: Database
    declarations: Mapping[str, Declaration]
    open_channel: Callable[[AccountRow], AbstractContextManager[OpenChannel]]
    webhooks: Callable[[str], Webhook]
    secrets: Callable[[Mapping[str, str]], Mapping[str, Secret]]
    clock: Callable[[], datetime]
    retry: RetryPolicy = RetryPolicy()
    threads: int = 8

    def declaration_of(self, account: AccountRow) -> Declaration:
        """What the account's channel can do."""
        return self.declarations[account.channel]
