"""One listing's life for the tests of the release rule: observed again and again, its nights kept as stored."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from adapters.model import ClosureKind, NightAvailability, Stay
from channel_sync.sync.release import Decision, Hold, NightState, advance, decide

TODAY = date(2026, 3, 1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
BOOKED, BLOCKED, UNKNOWN = ClosureKind.BOOKED, ClosureKind.BLOCKED, ClosureKind.UNKNOWN


def nights(first: int, end: int) -> list[date]:
    """The nights from so many days after TODAY up to but not including so many."""
    return [TODAY + timedelta(days=day) for day in range(first, end)]


def closure(
    first: int, end: int, reference: str, kind: ClosureKind = BOOKED
) -> tuple[NightAvailability, ...]:
    """What a feed lists for one event over those nights."""
    return tuple(NightAvailability(night, 0, kind, reference) for night in nights(first, end))


@dataclass
class Life:
    """A listing, its own clock, and what is stored of it. Observed from noon of TODAY on (UTC)."""

    patience: timedelta = timedelta(hours=2)
    days: int = 60
    at: datetime = NOON
    seen_at: datetime | None = None
    observed_s: float = 0.0
    known: dict[date, NightState] = field(default_factory=dict)

    def observe(
        self,
        *events: Iterable[NightAvailability],
        after: timedelta = HOUR,
        unread: bool = False,
        approved: bool = False,
    ) -> Decision:
        """Observe a feed that lists these events, so long after the last time something was asked."""
        self.at += after
        self.observed_s = advance(self.observed_s, self.seen_at, self.at)
        self.seen_at = self.at
        decision = self.weigh(*events, unread=unread, approved=approved)
        self.known |= {state.night: state for state in decision.changed}
        return decision

    def weigh(
        self, *events: Iterable[NightAvailability], unread: bool = False, approved: bool = False
    ) -> Decision:
        """Decide about a feed at the present clock without storing it."""
        today = self.at.date()
        return decide(
            self.known.values(),
            [night for event in events for night in event],
            window=Stay(today, today + timedelta(days=self.days)),
            today=today,
            now=self.at,
            observed_s=self.observed_s,
            patience=self.patience,
            unread=unread,
            approved=approved,
        )

    def settle(self, *events: Iterable[NightAvailability]) -> None:
        """Observe the same feed until nothing is held any more."""
        hours = 0
        while self.observe(*events).held:
            hours += 1
            assert hours < 1000, "a hold that never ends"

    def hours_until_open(self, watched: Iterable[date], *events: Iterable[NightAvailability]) -> int:
        """How many more hourly observations of the same feed it takes until all of these nights are open."""
        watched = list(watched)
        for hours in range(1, 1000):
            self.observe(*events)
            if all(self.known[night].units_open for night in watched):
                return hours
        raise AssertionError("a hold that never ends")

    def open(self, watched: Iterable[date]) -> int:
        """How many of these nights are open."""
        return sum(self.known[night].units_open > 0 for night in watched)

    def hold(self, day: int) -> Hold | None:
        """The hold of the night so many days after TODAY."""
        return self.known[TODAY + timedelta(days=day)].hold
