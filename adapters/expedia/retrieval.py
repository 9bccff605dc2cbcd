"""In which order Expedia is asked for its bookings, and what of the answers is new. Calls the wire through ``ask`` only."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from adapters.errors import UnexpectedResponse
from adapters.expedia.fields import child
from adapters.expedia.reservations import Houses, transactions
from adapters.model import ONE_DAY, BookingPage
from adapters.xml_body import Element

MOST_BOOKINGS = 125  # in one answer
LONGEST_PAST = 30  # days that bookings can be asked for
MOST_ANSWERS = 400  # with pending bookings, in one pull: 50,000 of them are no queue but a circle

Ask = Callable[[str, int | None, str | None], Element]  # by status, days in the past, hotel


class Retrieval:
    """One pull. Asking for what is pending moves it on to what was retrieved, where a killed pull finds it again."""

    def __init__(self, ask: Ask, houses: Houses, clock: Callable[[], datetime]) -> None:
        self._ask = ask
        self._houses = houses
        self._clock = clock
        self._seen: set[object] = set()  # versions and problems that were given

    def pages(
        self, hotels: Iterable[str], changed_from: datetime, changed_until: datetime
    ) -> Iterator[BookingPage]:
        """What waits, then what was confirmed and changed in ``[changed_from, changed_until)``, each version once."""
        for _ in range(MOST_ANSWERS):
            page, is_full = self._page("pending")
            if page is not None:
                yield page
            if page is None or not is_full:
                break
        page, _ = self._page("retrieved")
        if page is not None:
            yield page
        if changed_from < changed_until:
            yield from self._confirmed(hotels, changed_from, changed_until)

    def _confirmed(
        self, hotels: Iterable[str], changed_from: datetime, changed_until: datetime
    ) -> Iterator[BookingPage]:
        """The newest 125 of all hotels; where there may be more, the newest 125 of each."""
        age = self._clock() - changed_from
        days = min(LONGEST_PAST, max(0, age // ONE_DAY) + 1)
        window = changed_from, changed_until
        page, is_full = self._page("confirmed", days, window=window)
        if page is not None:
            yield page
        for hotel in hotels if is_full else ():
            page, _ = self._page("confirmed", days, hotel, window)
            if page is not None:
                yield page

    def _page(
        self,
        status: str,
        days: int | None = None,
        hotel: str | None = None,
        window: tuple[datetime, datetime] | None = None,
    ) -> tuple[BookingPage | None, bool]:
        """What is new in one answer, None for nothing, and whether there may be more than the answer has."""
        what = f"expedia {status} bookings"
        root = self._ask(status, days, hotel)
        holder = child(root, "Bookings")
        if holder is None:
            raise UnexpectedResponse(f"{what}: neither bookings nor an error")
        found, problems = transactions(root, self._houses, self._clock(), what)
        fresh = [
            each
            for each in found
            if each.key not in self._seen and (window is None or window[0] <= each.at < window[1])
        ]
        unread = [each for each in problems if each not in self._seen]
        self._seen.update([*(each.key for each in fresh), *unread])
        if not fresh and not unread:
            return None, len(holder) >= MOST_BOOKINGS
        page = BookingPage(
            tuple(booking for each in fresh for booking in each.bookings),
            (*unread, *(problem for each in fresh for problem in each.problems)),
            tuple(each.receipt for each in fresh if each.receipt is not None),
        )
        return page, len(holder) >= MOST_BOOKINGS
