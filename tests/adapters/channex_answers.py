"""An adapter before a simulated Channex in which nothing happens unasked, or before answers that a test makes up."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import httpx

from adapters.accounts import Account, Listing
from adapters.channex.adapter import ChannexAdapter
from adapters.model import ONE_DAY, BookingPage, Receipt, Secret, Stay
from channel_sync.sandbox.channex import wire
from channel_sync.sandbox.server import Sandbox
from tests.adapters.scene import NOW
from tests.adapters.token_stores import TokensInMemory

TODAY = NOW.date()
WINDOW = Stay(TODAY + ONE_DAY, TODAY + 8 * ONE_DAY)
LISTING = Listing("place/room/rate", "Europe/Lisbon", "EUR")


Quiet = tuple[Sandbox, ChannexAdapter, tuple[Listing, ...]]


@contextmanager
def quiet_house() -> Iterator[Quiet]:
    """Three rooms in which nothing happens but what a test scripts."""
    with Sandbox(lively=False) as sandbox, httpx.Client(timeout=20) as client:
        sandbox.clock.set(NOW)
        channel = sandbox.channex
        account = Account("c", f"{sandbox.url}/channex", secrets={"api_key": Secret(channel.api_key)})
        listings = tuple(
            Listing(wire.listing_id(room), room.time_zone, room.currency)
            for room in channel.world.listings.values()
        )
        yield sandbox, ChannexAdapter(client, account, TokensInMemory(), sandbox.clock.now), listings


def answering(answer: Callable[[httpx.Request], httpx.Response]) -> ChannexAdapter:
    """An adapter whose channel answers as told."""
    client = httpx.Client(transport=httpx.MockTransport(answer))
    account = Account("c", "https://channex.example", secrets={"api_key": Secret("key")})
    return Patient(client, account, TokensInMemory(), lambda: NOW)


class Patient(ChannexAdapter):
    """Gives up early."""

    most_pages = 5


class Small(ChannexAdapter):
    """Sends little at a time."""

    most_bytes = 2_000


def told(body: object, status: int = 200) -> Callable[[httpx.Request], httpx.Response]:
    """Always the same answer."""
    return lambda _: httpx.Response(status, json=body)


def paths(sandbox: Sandbox) -> list[str]:
    """What was asked, without its query."""
    return [call.path.removeprefix("/channex/api/v1/") for call in sandbox.calls]


def drained(pages: Iterator[BookingPage]) -> tuple[list[str], list[Receipt], int]:
    """The bookings' ids, the receipts and the number of problems of a pull."""
    bookings: list[str] = []
    receipts: list[Receipt] = []
    problems = 0
    for page in pages:
        bookings += [booking.booking_id for booking in page.bookings]
        receipts += page.receipts
        problems += len(page.problems)
    return bookings, receipts, problems


def booked(sandbox: Sandbox, first: int, at: datetime) -> str:
    """A guest books two nights of the first room."""
    stay = Stay(TODAY + first * ONE_DAY, TODAY + (first + 2) * ONE_DAY)
    return sandbox.channex.world.book("1001", stay.check_in, stay.check_out, at=at)
