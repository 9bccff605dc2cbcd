"""Calendar feeds, as a hostile host may change them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from adapters.calendar_feed.feed import feed_from_wire
from adapters.calendar_feed.mapping import observation_from_feed
from adapters.model import ONE_DAY, Stay
from channel_sync.sandbox.exchange import Request
from channel_sync.sandbox.feeds import DIALECTS, Feeds, feed_path
from channel_sync.sandbox.world import World
from tests.adapters.hostile import Case

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
WINDOW = Stay(NOW.date(), NOW.date() + 730 * ONE_DAY)


def cases() -> Iterator[Case]:
    """The feed of one room in each producer's words."""
    feeds = Feeds(World(seed=1, listings=1), lambda: NOW)
    for dialect in DIALECTS:
        path, _, query = feed_path(dialect, "1001").partition("?")
        yield dialect, feeds.answer(Request("GET", path, query)).body, _read


def _read(body: bytes) -> object:
    return observation_from_feed(feed_from_wire(body, "feed"), WINDOW, ZoneInfo("Europe/Lisbon"))
