"""The composition root: the one place that knows every part and wires them together.

Nothing else imports the table of channels.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from adapters.base_adapter import Account, Declaration
from adapters.errors import ConfigurationError
from adapters.factory import CHANNELS, AdapterFactory
from adapters.model import Secret
from channel_sync import config
from channel_sync.config import Settings
from channel_sync.resilience.transport import GuardedClient
from channel_sync.storage.database import Database
from channel_sync.storage.portfolio import AccountRow
from channel_sync.storage.tokens import PostgresTokenStore
from channel_sync.sync.engine import Engine, OpenChannel

SANDBOX = "sandbox"


def engine(
    settings: Settings,
    *,
    environ: Mapping[str, str] | None = None,
    clock: Callable[[], datetime] | None = None,
) -> Engine:
    """The engine on the settings' database. Raises ConfigurationError where there is none.

    Secrets are read from ``environ``, by default the process's own, at the moment they are needed.
    """
    quiet_http_loggers()
    database = Database(settings.need_database())
    tokens = PostgresTokenStore(database)
    clock = clock or now

    def secrets(names: Mapping[str, str]) -> Mapping[str, Secret]:
        found = {name: config.read_secret(variable, environ) for name, variable in names.items()}
        return {name: secret for name, secret in found.items() if secret is not None}

    @contextmanager
    def open_channel(row: AccountRow) -> Iterator[OpenChannel]:
        adapter = AdapterFactory.get_adapter(row.channel)
        account = Account(
            code=row.code,
            base_url=_base_url(settings, row, adapter.declaration),
            settings=row.settings,
            secrets=secrets(row.secrets),
        )
        with GuardedClient() as client:
            yield OpenChannel(adapter(client, account, tokens, clock), client.requests_of_this_thread)

    return Engine(
        database=database,
        declarations=declarations(),
        open_channel=open_channel,
        secrets=secrets,
        clock=clock,
    )


def declarations() -> Mapping[str, Declaration]:
    """What every channel of this build says of itself."""
    return {name: AdapterFactory.get_adapter(name).declaration for name in CHANNELS}


def now() -> datetime:
    """The present time in UTC: the product's one clock."""
    return datetime.now(UTC)  # noqa: TID251 - everything else is handed this function


def quiet_http_loggers() -> None:
    """Keep httpx and httpcore from logging: their lines hold URLs, and a feed's URL is a secret."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _base_url(settings: Settings, row: AccountRow, declaration: Declaration) -> str:
    """Where the account's channel is. Raises ConfigurationError naming the account and the mend."""
    if not declaration.base_urls:  # a channel without one address: every listing brings its own
        return ""
    if row.environment == SANDBOX:
        if settings.sandbox_url is None:
            raise ConfigurationError(
                f"account {row.code!r} is of the sandbox, and {config.SANDBOX_URL} is not set: start the sandbox with "
                "`channel-sync sandbox`, or give the account another environment"
            )
        return f"{settings.sandbox_url}/{row.channel}"
    try:
        return declaration.base_urls[row.environment]
    except KeyError:
        known = ", ".join(sorted({*declaration.base_urls, SANDBOX}))
        raise ConfigurationError(
            f"account {row.code!r} has environment {row.environment!r}: {declaration.title} knows {known}"
        ) from None
