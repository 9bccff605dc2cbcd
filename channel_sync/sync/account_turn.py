"""The turn at an account's bookings: one process at a time asks for them or acknowledges them.

Some channels take an acknowledgement for the version of a booking that they last gave to anybody. Between that and the
commit of what was given nothing may be acknowledged: it would count for what may yet be lost.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from adapters.base_adapter import Capability
from adapters.errors import Unavailable
from channel_sync.storage import acknowledgements, portfolio
from channel_sync.storage.portfolio import AccountRow
from channel_sync.sync.engine import Engine

LONGEST_WAIT_S = 120


class Busy(Unavailable):
    """Another process has the turn."""


@contextmanager
def account_turn(
    engine: Engine, account: AccountRow, wait_s: float = LONGEST_WAIT_S
) -> Iterator[psycopg.Connection]:
    """Have the turn while the block runs, on a connection that commits each statement; a killed process loses it.

    Raises Busy when another process is still at it after ``wait_s`` seconds. Channels without acknowledgements
    have no turns: nobody waits.
    """
    milliseconds = max(1, round(wait_s * 1000))
    with engine.database.open(autocommit=True, settings={"lock_timeout": f"{milliseconds}ms"}) as connection:
        if acknowledges(engine, account):
            try:
                acknowledgements.take_turn(connection, account.channel_account_id)
            except psycopg.errors.LockNotAvailable:
                taken = True
            else:
                taken = False
            if taken:  # raised here, not above: it is no consequence of an error
                raise Busy(f"{account.code}: another process was at its bookings for {wait_s:.0f} s")
        yield connection


@contextmanager
def turn_at(engine: Engine, account_code: str) -> Iterator[None]:
    """The same for an account by its code. Raises ConfigurationError for one that is not in the portfolio."""
    with engine.database.connect() as connection:
        account = portfolio.account(connection, account_code)
    with account_turn(engine, account):
        yield


def acknowledges(engine: Engine, account: AccountRow) -> bool:
    """Whether the account's channel wants acknowledgements."""
    declaration = engine.declarations.get(account.channel)  # a channel that only delivers has none
    return declaration is not None and Capability.ACKNOWLEDGE_BOOKINGS in declaration.capabilities
