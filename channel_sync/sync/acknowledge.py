"""Tell channels which versions of bookings are committed here.

The last step of a pull, never the first: what is told comes from the tables. Killed anywhere, it is repeated, which
does no harm. What a channel does not answer goes on waiting, and is told again by the next step or poll.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import psycopg

from adapters.errors import ChannelError, ConfigurationError
from adapters.model import Receipt
from adapters.updates import Outcome, Verdict
from channel_sync.resilience.retry import Waits, put_off, repeat
from channel_sync.storage import acknowledgements, portfolio
from channel_sync.storage.acknowledgements import Final, Pending
from channel_sync.storage.portfolio import AccountRow
from channel_sync.sync.account_turn import Busy, account_turn, acknowledges
from channel_sync.sync.engine import Engine, OpenChannel
from channel_sync.sync.pull import where

AT_ONCE = 100
_FINAL: Mapping[Verdict, Final] = {
    Verdict.ACCEPTED: "accepted",
    Verdict.WARNED: "warned",
    Verdict.REJECTED: "rejected",
}


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What became of an account's receipts, counted by the channel's verdict; "unknown" are those that go on waiting.

    ``error`` is None where all of them were told. ``put_off_s``: the channel is not to be asked for so many seconds.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None
    error_message: str | None = None
    put_off_s: float | None = None


def is_anything_waiting(engine: Engine, account_code: str) -> bool:
    """Whether the account's channel waits to be told anything. Raises ConfigurationError for an unknown account."""
    with engine.database.connect() as connection:
        return _is_waiting(engine, connection, portfolio.account(connection, account_code))


def _is_waiting(engine: Engine, connection: psycopg.Connection, account: AccountRow) -> bool:
    return acknowledges(engine, account) and bool(
        acknowledgements.pending(connection, account.channel_account_id, 1)
    )


def acknowledge(engine: Engine, account_code: str, run_id: str) -> Acknowledged:
    """Tell the channel everything that waits for this account, the most urgent first.

    Errors of the channel are in the result, not raised. One process at a time is at an account; where another one is,
    this one waits for it and tells what is left. Raises ConfigurationError for an account that is not in the portfolio
    or cannot be opened.
    """
    with engine.database.connect() as connection:
        account = portfolio.account(connection, account_code)
        if not _is_waiting(engine, connection, account):
            return Acknowledged()
    try:
        with account_turn(engine, account) as connection:
            return acknowledge_in_turn(engine, connection, account, run_id)
    except Busy as busy:
        return Acknowledged({}, type(busy).__name__, str(busy))


def acknowledge_in_turn(
    engine: Engine, connection: psycopg.Connection, account: AccountRow, run_id: str
) -> Acknowledged:
    """The same in the account's turn, on its connection.

    While anything that the channel gave is not committed, a channel that takes an acknowledgement for the version it
    last gave is told nothing: the next pull that ends well is given all of it again.
    """
    if not _is_waiting(engine, connection, account):
        return Acknowledged()
    newest_counts = engine.declaration_of(account).acknowledges_newest
    if newest_counts and not acknowledgements.is_all_committed(connection, account.channel_account_id):
        return Acknowledged()
    tried: list[int] = []
    counts: Counter[str] = Counter()
    with engine.open_channel(account) as channel:
        while batch := acknowledgements.pending(connection, account.channel_account_id, AT_ONCE, tried):
            tried += [one.booking_receipt_id for one in batch]
            telling = _Telling(engine, connection, run_id, batch)
            error = telling.tell(channel)
            counts += telling.counts
            if error is not None:
                return Acknowledged(counts, type(error).__name__, str(error), put_off(error))
    return Acknowledged(counts)


class _Telling:
    """One batch on its way: each outcome is written as it comes."""

    def __init__(
        self, engine: Engine, connection: psycopg.Connection, run_id: str, batch: Sequence[Pending]
    ) -> None:
        self._engine, self._connection, self._run_id = engine, connection, run_id
        self._left = {one.reference: one for one in batch}
        self._unknown: dict[str, str] = {}
        self.counts: Counter[str] = Counter()

    def tell(self, channel: OpenChannel) -> Exception | None:
        """Tell the channel; what has no final outcome in the end goes on waiting. Returns what stopped it."""
        error: Exception | None = None
        try:
            repeat(
                lambda: self._tell_those_left(channel),
                self._engine.retry,
                Waits(channel.waited_of_this_thread),
            )
        except (ChannelError, ConfigurationError) as refused:
            error = refused
        except psycopg.Error:
            raise
        except Exception as defect:  # noqa: BLE001 - what is told already is written; the rest goes on waiting
            error = RuntimeError(f"a defect of ours: {where(defect)}")
        why = "no outcome" if error is None else f"{type(error).__name__}: {error}"
        for one in self._left.values():
            self._note(one, None, self._unknown.get(one.reference) or why)
        self.counts["unknown"] += len(self._left)
        return error

    def _tell_those_left(self, channel: OpenChannel) -> None:
        receipts = [
            Receipt(one.booking_external_id, one.reference, one.due_at)
            for one in self._left.values()
            if one.reference not in self._unknown
        ]
        for outcome in channel.adapter.acknowledge_bookings(receipts):
            self._hear(outcome)

    def _hear(self, outcome: Outcome[Receipt]) -> None:
        verdict = _FINAL.get(outcome.verdict)
        if verdict is None:
            self._unknown[outcome.item.reference] = outcome.words
        elif (one := self._left.pop(outcome.item.reference, None)) is not None:
            self._note(one, verdict, outcome.words)
            self.counts[verdict] += 1

    def _note(self, one: Pending, verdict: Final | None, words: str) -> None:
        acknowledgements.note(
            self._connection, one.booking_receipt_id, verdict, words, self._engine.clock(), self._run_id
        )
