"""The composition root: the one place that knows every part and wires them together.

Nothing else imports the table of channels.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from adapters.accounts import Account
from adapters.base_adapter import Declaration
from adapters.errors import ConfigurationError
from adapters.factory import CHANNELS, WEBHOOKS, AdapterFactory
from adapters.model import Secret
from adapters.webhook import Webhook
from channel_sync import config
from channel_sync.config import Settings
from channel_sync.resilience.call_counts import CallCounts
from channel_sync.resilience.circuit_breaker.postgres import PostgresCircuitBreaker
from channel_sync.resilience.rate_limiter.in_flight import PostgresInFlight
from channel_sync.resilience.rate_limiter.postgres import PostgresRateLimiter
from channel_sync.resilience.transport import Caller, GuardedClient, Guards
from channel_sync.storage.calls import CallCount, add_calls
from channel_sync.storage.database import Database
from channel_sync.storage.portfolio import AccountRow
from channel_sync.storage.session import Session
from channel_sync.storage.tokens import PostgresTokenStore
from channel_sync.sync.engine import Engine, OpenChannel

# Every run of Dagster's loads this module: the web framework is loaded only where it serves.
if TYPE_CHECKING:
    from channel_sync.webhooks.gateway import Bounds, Gateway

SANDBOX = "sandbox"


def engine(
    settings: Settings,
    *,
    environ: Mapping[str, str] | None = None,
    clock: Callable[[], datetime] | None = None,
) -> Engine:
    """The engine on the settings' database. Raises ConfigurationError where there is none.

    Secrets are read from ``environ``, by default the process's own, at the moment they are needed. Nothing is
    connected to before it is used: limiter and circuit breaker have their connection while a channel is open.
    """
    quiet_http_loggers()
    database = Database(settings.need_database())
    tokens = PostgresTokenStore(database)
    counts = _counts(database)
    clock = clock or now

    secrets = _secrets(environ)

    @contextmanager
    def open_channel(row: AccountRow) -> Iterator[OpenChannel]:
        adapter = AdapterFactory.get_adapter(row.channel)
        account = Account(
            code=row.code,
            base_url=_base_url(settings, row, adapter.declaration),
            settings=row.settings,
            secrets=secrets(row.secrets),
        )
        caller = Caller(adapter.declaration, row.code, row.quotas or adapter.declaration.quotas, clock)
        with _guards(database, counts) as guards, GuardedClient(guards, caller) as client:
            yield OpenChannel(
                adapter(client, account, tokens, clock),
                client.requests_of_this_thread,
                client.waited_of_this_thread,
            )

    return Engine(
        database=database,
        declarations=declarations(),
        open_channel=open_channel,
        webhooks=AdapterFactory.get_webhook,
        secrets=secrets,
        clock=clock,
    )


def webhook_gateway(
    settings: Settings,
    *,
    environ: Mapping[str, str] | None = None,
    clock: Callable[[], datetime] | None = None,
    bounds: "Bounds | None" = None,
) -> "Gateway":
    """What takes the channels' deliveries, for the settings' database. Raises ConfigurationError where there is none."""
    from channel_sync.webhooks.front import Front  # noqa: PLC0415 - see TYPE_CHECKING above
    from channel_sync.webhooks.gateway import Bounds, Gateway  # noqa: PLC0415 - see TYPE_CHECKING above
    from channel_sync.webhooks.receivers import ReceiverReader  # noqa: PLC0415 - see TYPE_CHECKING above
    from channel_sync.webhooks.tables import Tables  # noqa: PLC0415 - see TYPE_CHECKING above

    return Gateway(
        Tables(Database(settings.need_database())),
        ReceiverReader(_webhook_of, _secrets(environ)),
        Front(settings.webhook_public_url, settings.webhook_trusted_proxies),
        clock or now,
        bounds or Bounds(),
    )


def _secrets(environ: Mapping[str, str] | None) -> Callable[[Mapping[str, str]], Mapping[str, Secret]]:
    """What reads secrets, by their names, from the variables that hold them; those that are not set are left out."""

    def read(names: Mapping[str, str]) -> Mapping[str, Secret]:
        found = {name: config.read_secret(variable, environ) for name, variable in names.items()}
        return {name: secret for name, secret in found.items() if secret is not None}

    return read


def _webhook_of(channel: str) -> Webhook | None:
    """What reads the deliveries of a channel; None for a channel that sends none."""
    return AdapterFactory.get_webhook(channel) if channel in WEBHOOKS else None


@contextmanager
def _guards(database: Database, counts: CallCounts) -> Iterator[Guards]:
    """What every call to a channel passes, shared through the database by all processes."""
    with Session(database) as session, PostgresInFlight(database) as in_flight:
        yield Guards(PostgresRateLimiter(session), PostgresCircuitBreaker(session), in_flight, counts)


def _counts(database: Database) -> CallCounts:
    """The process's counters, written every few seconds on a connection that is made for it."""

    def write(counted: Sequence[CallCount]) -> None:
        with database.connect(autocommit=True) as connection:
            add_calls(connection, counted)

    return CallCounts(write)


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
