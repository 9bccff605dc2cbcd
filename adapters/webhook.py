"""What a delivery is, and what a channel's ``webhook.py`` makes of it: verify, read, scrub, answer.

A channel that sends webhooks has one ``Webhook`` in its ``webhook.py``. It knows its channel's wire and nothing
else: no database, no settings, no clock of its own, no I/O at all. Whoever calls it stores the delivery before it
answers 2xx, and treats what was read as a hint wherever the channel can be asked.
"""

import hmac
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import ClassVar

from adapters.accounts import Account
from adapters.errors import WebhookRefused
from adapters.model import ONE_DAY, Booking, Receipt, Stay
from adapters.scrubbing import Path, scrubbed_body

TOLERANCE = timedelta(minutes=5)  # either way, between a signed time and ours; an account may set its own


@dataclass(frozen=True, slots=True)
class Delivery:
    """One HTTP request as the channel sent it.

    ``host`` (with its port, if it had one) and ``path`` are those that the channel addressed: behind a proxy the
    original ones. ``query`` is without "?"; ``headers`` have lower-case names; ``body`` is the raw bytes.
    """

    method: str
    host: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class EventKind(StrEnum):
    """What an event is about, over all channels."""

    BOOKING = "booking"  # made, changed or cancelled
    BOOKING_REQUEST = "booking_request"  # a guest asks; nothing is sold yet
    CALENDAR = "calendar"  # availability, prices or restrictions changed on the channel's side
    LISTING = "listing"  # a listing came, went or changed its state
    ACCOUNT = "account"  # the login itself: revoked, suspended
    MESSAGE = "message"
    MONEY = "money"  # payouts, cards: never their numbers
    REVIEW = "review"
    TEST = "test"  # the channel tries whether we are there
    UNKNOWN = "unknown"  # a kind that this version does not know: stored, answered 2xx


@dataclass(frozen=True, slots=True)
class Event:
    """What a delivery says.

    ``name`` is the channel's own word for it. ``delivery_id`` is the channel's id of the delivery, the same when it
    is sent again; None where it has none. ``revised_at`` (UTC) orders the versions of one booking: the order of
    arrival never does. ``booking`` is the whole revision where the delivery carries one that can be read;
    ``ask`` says that the channel has to be asked for it. ``receipt`` confirms what the delivery tells of, where only the
    delivery holds what a confirmation needs: once the booking it names is committed. ``problem`` names, without secrets
    or a guest's details, what could not be read.
    """

    kind: EventKind
    name: str
    delivery_id: str | None = None
    booking_id: str | None = None
    listing_ids: tuple[str, ...] = ()
    revised_at: datetime | None = None
    booking: Booking | None = None
    ask: bool = False
    problem: str | None = None
    receipt: Receipt | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What a channel asks before it sells: whether these nights of the listing are free.

    ``stay`` is None for a test of the connection. ``booking_id`` is that of a booking whose own nights do not count
    as taken. ``asked`` is the channel's word for what it asks: its reply depends on it. A question that cannot be
    read (``UNREADABLE_STAY``) is about the listing "", which nobody has: the verdict on it is no.
    """

    listing_id: str
    stay: Stay | None
    booking_id: str | None = None
    asked: str = ""


UNREADABLE_STAY = Stay(date.min, date.min + ONE_DAY)


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back to a channel that asked."""

    status: int
    body: bytes
    content_type: str = "application/json"


class Webhook(ABC):
    """Base of every channel's webhook. Stateless; one instance serves all accounts.

    ``secret_names`` are the account's secrets that a delivery is verified with; each may have a second value, named
    with ``_previous`` behind it, that is valid as well while a secret is being replaced. ``kept_headers`` are the
    headers that are stored with a delivery: none that holds a secret or a signature. ``kept_fields`` are the paths
    of a body's keys that ``events`` reads: ``scrubbed`` leaves these as they are. ``kept_tokens`` are those that hold what
    an answer to the channel has to repeat: long, and shown to nobody.
    """

    secret_names: ClassVar[tuple[str, ...]]
    kept_headers: ClassVar[tuple[str, ...]] = ("content-type", "date", "user-agent")
    kept_fields: ClassVar[frozenset[Path]]
    kept_tokens: ClassVar[frozenset[Path]] = frozenset()

    @abstractmethod
    def verify(self, delivery: Delivery, account: Account, now: datetime) -> None:
        """Return if the delivery is from the channel; raise WebhookRefused for anything else whatever.

        Over the raw bytes, in constant time. No secret configured is refused: closed, never open. ``now`` is the
        present in UTC, for schemes that sign a date.
        """

    @abstractmethod
    def events(self, delivery: Delivery) -> tuple[Event, ...]:
        """What a verified delivery says. Never raises: what cannot be read is an UNKNOWN event with its problem."""

    def scrubbed(self, body: bytes) -> bytes:
        """The body as it may be kept: without card data, secrets and what identifies a guest; also a malformed one.

        ``events`` reads the same from it, with the kept headers, as from the delivery itself.
        """
        return scrubbed_body(body, self.kept_fields, self.kept_tokens)

    def question(self, delivery: Delivery) -> Question | None:  # noqa: ARG002 - most channels never ask
        """What a verified delivery asks, where it has to be answered at once with a verdict."""
        return None

    def reply(self, question: Question, *, free: bool) -> Reply:
        """The verdict in the channel's words. Only called where ``question`` gave one."""
        raise NotImplementedError

    def issue_token(self, delivery: Delivery, account: Account, now: datetime) -> Reply | None:  # noqa: ARG002 - one channel asks
        """What a channel is answered that asks us for the token of its deliveries.

        ``delivery`` is its request, which nothing has verified yet: raises WebhookRefused where its credentials are not
        the account's. None where a channel's deliveries are not signed with a token of ours.
        """
        return None


# What the channels' readers share. Nothing here knows a channel.

_WORD = re.compile("[A-Za-z0-9_.:-]{1,64}")
_SECONDS = re.compile("[0-9]{1,5}")
_NO_NAME = "(unnamed)"


def secrets_of(account: Account, name: str) -> tuple[bytes, ...]:
    """The values that are valid for a secret of the account, the newest first. Raises WebhookRefused if there is none.

    An empty value is none: it would verify what anybody can sign.
    """
    held = [account.secrets[key].reveal() for key in (name, f"{name}_previous") if key in account.secrets]
    values = tuple(value.encode("utf-8", "surrogateescape") for value in held if value.strip())
    if not values:
        raise WebhookRefused(f"account {account.code!r} has no secret {name!r}")
    return values


def header_of(delivery: Delivery, name: str) -> str:
    """A header that the scheme needs. Raises WebhookRefused where it is absent, empty or not plain ASCII."""
    value = delivery.headers.get(name, "")
    if not value or not value.isascii():
        raise WebhookRefused(f"no usable header {name}")
    return value


def is_any_of(given: bytes, valid: Iterable[bytes]) -> bool:
    """Whether ``given`` is one of ``valid``, in a time that does not tell which, or how much of one."""
    return max([hmac.compare_digest(given, each) for each in valid], default=False)


def refuse_stale(sent_at: datetime, account: Account, now: datetime) -> None:
    """Raise WebhookRefused for a time too far from ``now``: before it, a replay; after it, one kept for later.

    The account's setting ``webhook_tolerance_s``, in seconds, replaces TOLERANCE.
    """
    told = account.settings.get("webhook_tolerance_s")
    if told is not None and not _SECONDS.fullmatch(told):
        raise WebhookRefused(f"account {account.code!r}: webhook_tolerance_s is not a number of seconds")
    tolerance = TOLERANCE if told is None else timedelta(seconds=int(told))
    if abs(now - sent_at) > tolerance:
        raise WebhookRefused("the signed time is too far from now")


def instant_of_epoch(text: str) -> datetime:
    """A moment from whole seconds since 1970. Raises WebhookRefused for anything else."""
    if not re.fullmatch("[0-9]{1,11}", text):
        raise WebhookRefused("the signed time is not in seconds since 1970")
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(text))


def event_name(value: object) -> str:
    """The channel's own word for an event; a fixed one for what is no word: it may hold anything."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else _NO_NAME


def identifier(value: object) -> str | None:
    """An id on the wire, written as text or as a number; None for anything else."""
    if isinstance(value, (str, int)) and not isinstance(value, bool) and _WORD.fullmatch(str(value)):
        return str(value)
    return None


def instant(value: object) -> datetime | None:
    """A moment in ISO 8601 with its offset, in UTC; None for anything else."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return None if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def unreadable(*, ask: bool) -> tuple[Event, ...]:
    """What a verified delivery says whose body cannot be read."""
    return (Event(EventKind.UNKNOWN, _NO_NAME, ask=ask, problem="the body is not a JSON object"),)
