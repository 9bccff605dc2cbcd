"""The simulated Airbnb tells its subscribers what happens to bookings, signed, and as unreliably as is wanted."""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import formatdate
from random import Random
from threading import Event, RLock, Thread
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from channel_sync.sandbox.courier import Courier, Delivery, Patience
from channel_sync.sandbox.news import News, Notice
from channel_sync.sandbox.signing import signed_headers
from channel_sync.sandbox.world import World

CHANNELS = ("airbnb",)

_LOOK_S = 0.03  # how often the world is looked at
_QUIET_S = 0.25  # after so long without news, what is held back goes out
_COPY_S = 0.3  # a copy follows within it


@dataclass(frozen=True, slots=True)
class DeliveryFaults:
    """What goes wrong with deliveries. Which of them is drawn from the seed and the number of the delivery.

    ``duplicate``, ``lose`` and ``wrong_signature`` are shares of all deliveries, from 0 to 1: sent twice; never sent;
    sent with a signature that does not fit, and again as any delivery that is refused. ``reorder`` of them in a row go
    out in another order, ``burst`` of them are held back and go out at once; each is held back for ``delay_s`` at most.
    """

    seed: int = 1
    duplicate: float = 0.0
    lose: float = 0.0
    wrong_signature: float = 0.0
    reorder: int = 1
    burst: int = 1
    delay_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no share or no number of deliveries."""
        for name in ("duplicate", "lose", "wrong_signature"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"{name} is a share of the deliveries, from 0 to 1; not {getattr(self, name)}"
                )
        if self.reorder < 1 or self.burst < 1 or self.delay_s < 0:
            raise ValueError("reorder and burst are 1 delivery or more, delay_s is 0 seconds or more")


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where deliveries go. ``host_with_port``: the signature covers the Host header as it is sent."""

    url: str
    channel: str = "airbnb"
    host_with_port: bool = False

    def __post_init__(self) -> None:
        """Refuse a channel that sends nothing and a URL that nothing can be sent to."""
        if self.channel not in CHANNELS:
            raise ValueError(f"{self.channel!r} sends no webhooks here: there is {', '.join(CHANNELS)}")
        parts = urlsplit(self.url)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or not parts.path
            or "@" in parts.netloc
        ):
            raise ValueError(
                "a subscription has a URL such as http://127.0.0.1:8700/webhooks/airbnb/airbnb-demo"
            )


class Webhooks:
    """What happens to the world's bookings goes to each subscription from its beginning on, until ``close``.

    ``faults`` is what goes wrong, ``deliveries`` the newest ``remembered`` of them, oldest first. ``patience`` and
    ``senders`` (threads) are those of the first subscription. Safe to use from several threads.
    """

    def __init__(
        self,
        world: World,
        now: Callable[[], datetime],
        *,
        http_date: Callable[[], str] = lambda: formatdate(usegmt=True),
        remembered: int = 100_000,
    ) -> None:
        """``now`` is the world's time, ``http_date`` the real one: a receiver refuses what was signed long ago."""
        self.faults = DeliveryFaults()
        self.patience = Patience()
        self.senders = 8
        self.http_date = http_date
        self.deliveries: deque[Delivery] = deque(maxlen=remembered)
        self._world = world
        self._now = now
        self._lock = RLock()
        self._subscriptions: list[Subscription] = []
        self._held: list[Delivery] = []
        self._newest = 0.0
        self._made = 0
        self._news: News | None = None
        self._courier: Courier | None = None
        self._watch: Thread | None = None
        self._closing = Event()

    def subscribe(self, subscription: Subscription) -> None:
        """Deliver what happens from now on. A subscription that exists already is left as it is."""
        with self._lock:
            if self._courier is None:
                self._closing.clear()
                self._news = News(self._world, self._now())
                self._courier = Courier(self._headers, self.patience, self.senders)
                self._watch = Thread(target=self._look_again_and_again, name="webhooks", daemon=True)
                self._watch.start()
            self._look()  # what happened before is not this subscription's
            if subscription not in self._subscriptions:
                self._subscriptions.append(subscription)

    def subscriptions(self) -> tuple[Subscription, ...]:
        """Where deliveries go."""
        with self._lock:
            return tuple(self._subscriptions)

    def close(self) -> None:
        """End all subscriptions and what is under way. Another one can follow."""
        self._closing.set()
        watch, courier = self._watch, self._courier
        if watch is not None and courier is not None:
            watch.join()
            courier.close()
        with self._lock:
            self._subscriptions.clear()
            self._held.clear()
            self._watch = self._courier = self._news = None

    def settle(self, timeout_s: float) -> bool:
        """Wait until all that happened so far is delivered, lost or given up; whether it is in time."""
        until = monotonic() + timeout_s
        while monotonic() < until:
            with self._lock:
                self._look()
                if not self._held and (self._courier is None or self._courier.is_idle()):
                    return True
            self._closing.wait(_LOOK_S)
        return False

    def report(self) -> dict[str, Any]:
        """How many deliveries there were, what became of those remembered, and what their sendings were answered."""
        known = tuple(self.deliveries)
        states = Counter(delivery.state for delivery in known)
        statuses = Counter(status for delivery in known for status in (*delivery.statuses, *delivery.copies))
        return {
            "made": self._made,
            **{state: states[state] for state in ("answered", "pending", "lost", "given_up")},
            "sent": statuses.total(),
            "answers": {str(status or "none"): number for status, number in statuses.items()},
        }

    # How it is done.

    def _headers(self, delivery: Delivery, forged: bool) -> Mapping[str, str]:  # noqa: FBT001 - as ``Headers``
        return signed_headers(
            delivery.url,
            self.http_date(),
            delivery.notice.body,
            host_with_port=delivery.host_with_port,
            forged=forged,
        )

    def _look_again_and_again(self) -> None:
        while not self._closing.wait(_LOOK_S):
            self._look()

    def _look(self) -> None:
        """Take up what is new, and let go what was held back long enough."""
        with self._lock:
            if self._news is None:
                return
            notices = self._news.since_last(self._now())
            if notices:
                self._newest = monotonic()
            for notice in notices:
                for subscription in self._subscriptions:
                    self._take_up(notice, subscription)
            together = max(self.faults.reorder, self.faults.burst)
            while len(self._held) >= together:
                self._let_go(self._held[:together])
            if self._held and monotonic() - self._newest >= _QUIET_S:
                self._let_go(list(self._held))

    def _take_up(self, notice: Notice, subscription: Subscription) -> None:
        self._made += 1
        delivery = Delivery(
            self._made, subscription.url, subscription.host_with_port, notice, made_at=monotonic()
        )
        self.deliveries.append(delivery)
        if self._draw(delivery, "lose") < self.faults.lose:
            delivery.state = "lost"
        else:
            self._held.append(delivery)

    def _let_go(self, together: Sequence[Delivery]) -> None:
        del self._held[: len(together)]
        for delivery in self._in_some_order(together):
            if self._courier is None:
                return
            after_s = self._draw(delivery, "delay") * self.faults.delay_s
            forged = self._draw(delivery, "wrong_signature") < self.faults.wrong_signature
            self._courier.send(delivery, after_s, forged=forged)
            if self._draw(delivery, "duplicate") < self.faults.duplicate:
                self._courier.send(delivery, after_s + self._draw(delivery, "copy") * _COPY_S, is_copy=True)

    def _in_some_order(self, together: Sequence[Delivery]) -> list[Delivery]:
        window, found = self.faults.reorder, []
        for first in range(0, len(together), window):
            part = list(together[first : first + window])
            if window > 1:
                part.sort(key=lambda delivery: self._draw(delivery, "reorder"))
            found += part
        return found

    def _draw(self, delivery: Delivery, what: str) -> float:
        """A number from 0 to 1, always the same for the same seed, delivery and question."""
        return Random(f"{self.faults.seed}/{delivery.number}/{what}").random()  # noqa: S311 - faults, no secret


def delivery_to_wire(delivery: Delivery) -> dict[str, Any]:
    """A delivery for who looks on. Without its body: it has a guest in it."""
    return {
        "number": delivery.number,
        "url": delivery.url,
        "action": delivery.notice.action,
        "code": delivery.notice.code,
        "updated_at": delivery.notice.updated_at.isoformat(),
        "state": delivery.state,
        "statuses": delivery.statuses,
        "copies": delivery.copies,
        "made_at": delivery.made_at,
        "answered_at": delivery.answered_at,
    }
