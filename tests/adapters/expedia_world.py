"""The simulated truth as far as Expedia has words for it."""

from dataclasses import replace
from datetime import date, datetime

from channel_sync.sandbox.world import Night, World

LONGEST_STAY = 28  # nights: its schemas have no longer rule


class WorldOfShortStays(World):
    """A world whose guests may stay 28 nights at most; all else of it is another's."""

    def __init__(self, world: World) -> None:
        super().__init__(world.seed, len(world.listings), world.start)
        self.__dict__.update(vars(world))

    def calendar(self, listing_id: str, start: date, end: date, now: datetime) -> tuple[Night, ...]:
        """As the world's, but for the longest stay."""
        return tuple(
            replace(night, terms=replace(night.terms, max_nights=min(LONGEST_STAY, night.terms.max_nights)))
            for night in super().calendar(listing_id, start, end, now)
        )
