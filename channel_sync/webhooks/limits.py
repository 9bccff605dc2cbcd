"""How many requests are looked at: so many from one source, so many in all. Kept in memory, by a steady clock."""

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

_MOST_SOURCES = 10_000
_IPV6_NETWORK = 64  # bits: one subscriber has all addresses behind them


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests a second on the long run, and up to ``burst`` (at least 1) at once after a pause."""

    per_second: float
    burst: float


class Bucket:
    """Fills at a rate and holds at most its burst. Seconds are of a clock that never goes back."""

    __slots__ = ("_at", "_held", "_rate")

    def __init__(self, rate: Rate, now: float) -> None:
        """Begin full."""
        self._rate, self._held, self._at = rate, rate.burst, now

    def wait(self, now: float) -> float:
        """Seconds until there is one to take; 0 where there is one."""
        self._held = min(self._rate.burst, self._held + (now - self._at) * self._rate.per_second)
        self._at = now
        return max(0.0, (1 - self._held) / self._rate.per_second)

    def take(self) -> None:
        """Take one."""
        self._held -= 1


class Limits:
    """Admits requests by their source. Forgets the source that was not heard of for the longest time first."""

    def __init__(self, source: Rate, total: Rate, now: float) -> None:
        self._source = source
        self._total = Bucket(total, now)
        self._sources: OrderedDict[str, Bucket] = OrderedDict()

    def admit(self, address: str, now: float) -> float:
        """0 for a request that is admitted, else the seconds after which another may be."""
        key = network_of(address)
        bucket = self._sources.get(key)
        if bucket is None:
            bucket = self._sources[key] = Bucket(self._source, now)
            if len(self._sources) > _MOST_SOURCES:
                self._sources.popitem(last=False)
        else:
            self._sources.move_to_end(key)
        wait = bucket.wait(now) or self._total.wait(now)
        if not wait:  # one that is refused costs neither
            bucket.take()
            self._total.take()
        return wait


class Seldom:
    """Says yes to a key once in so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last: OrderedDict[str, float] = OrderedDict()

    def __call__(self, key: str, now: float) -> bool:
        """Whether it is time again."""
        if now - self._last.get(key, -self._seconds) < self._seconds:
            return False
        self._last[key] = now
        self._last.move_to_end(key)
        if len(self._last) > _MOST_SOURCES:
            self._last.popitem(last=False)
        return True


def network_of(address: str) -> str:
    """What counts as one source: an IPv4 address, or the network of an IPv6 one."""
    if ":" not in address:
        return address
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> (128 - _IPV6_NETWORK) << (128 - _IPV6_NETWORK)))
