"""Guarded clients of one process before the sandbox, and everything that their guards were told."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import httpx

from adapters.base_adapter import Declaration, Quota
from adapters.model import Evidence
from adapters.spending import Spend, marked
from channel_sync.resilience.call_counts import CallCounts
from channel_sync.resilience.circuit_breaker.memory import InMemoryCircuitBreaker
from channel_sync.resilience.circuit_breaker.policy import Admission, BreakerPolicy, CircuitBreaker
from channel_sync.resilience.rate_limiter.in_flight import InMemoryInFlight
from channel_sync.resilience.rate_limiter.limits import Permit, RateLimiter, RateLimitPolicy
from channel_sync.resilience.rate_limiter.memory import InMemoryRateLimiter
from channel_sync.resilience.transport import Caller, ChannelTransport, GuardedClient, Guards
from channel_sync.sandbox.clock import Clock
from channel_sync.storage.calls import CallCount

PAUSE_S = 5.0
SPEND = Spend("calendars", listing_id="42", one_at_a_time="calendars")
NEST = Declaration(
    name="nest",
    title="Nest",
    capabilities=frozenset(),
    evidence=Evidence.EXPLICIT,
    horizon_days=1,
    pause=timedelta(seconds=PAUSE_S),
)


class HeardBreaker(InMemoryCircuitBreaker):
    """Notes what it is told of each admission."""

    def __init__(self, policy: BreakerPolicy) -> None:
        super().__init__(policy)
        self.admitted: list[Admission] = []
        self.settled: list[tuple[Admission, str]] = []

    def admit(self, key: str) -> Admission:
        """Note whom it admits."""
        self.admitted.append(super().admit(key))
        return self.admitted[-1]

    def record_success(self, admission: Admission) -> None:
        """Note a success."""
        self.settled.append((admission, "success"))
        super().record_success(admission)

    def record_failure(self, admission: Admission, error: str) -> None:
        """Note a failure and how it is called."""
        self.settled.append((admission, error))
        super().record_failure(admission, error)

    def abandon(self, admission: Admission) -> None:
        """Note a call that was not made."""
        self.settled.append((admission, "abandoned"))
        super().abandon(admission)

    def verdicts(self) -> list[str]:
        """How the admissions were settled, in order."""
        return [verdict for _, verdict in self.settled]


class HeardLimiter(InMemoryRateLimiter):
    """Notes permits and penalties.

    ``before_permit`` is done before each permit is given; ``spare_s`` takes the place of what a permit says.
    """

    def __init__(self) -> None:
        super().__init__()
        self.permits: list[Permit] = []
        self.penalties: list[tuple[tuple[str, ...], float]] = []
        self.before_permit: Callable[[], object] = lambda: None
        self.spare_s: float | None = None

    def acquire(
        self, policies: Sequence[RateLimitPolicy], *, cost: int = 1, timeout_s: float | None = None
    ) -> Permit:
        """Note the permit."""
        self.before_permit()
        permit = super().acquire(policies, cost=cost, timeout_s=timeout_s)
        self.permits.append(permit if self.spare_s is None else replace(permit, spare_s=self.spare_s))
        return self.permits[-1]

    def penalize(self, keys: Sequence[str], *, retry_after_s: float) -> None:
        """Note the penalty."""
        self.penalties.append((tuple(keys), retry_after_s))
        super().penalize(keys, retry_after_s=retry_after_s)


@dataclass(slots=True)
class Scene:
    """Guards that clients share. ``rows`` is what was counted, once it is flushed."""

    limiter: HeardLimiter
    breaker: HeardBreaker
    in_flight: InMemoryInFlight = field(default_factory=InMemoryInFlight)
    rows: list[CallCount] = field(default_factory=list)
    counts: CallCounts = field(init=False)

    def __post_init__(self) -> None:
        """Count into ``rows``."""
        self.counts = CallCounts(self.rows.extend, flush_s=3600.0)

    def guards(self, *, limiter: RateLimiter | None = None, breaker: CircuitBreaker | None = None) -> Guards:
        """The shared guards, or others in the place of one."""
        return Guards(limiter or self.limiter, breaker or self.breaker, self.in_flight, self.counts)

    def client(
        self,
        account: str = "north",
        quotas: Sequence[Quota] = (),
        *,
        limiter: RateLimiter | None = None,
        breaker: CircuitBreaker | None = None,
    ) -> GuardedClient:
        """A client on the real wire."""
        return GuardedClient(self.guards(limiter=limiter, breaker=breaker), caller(account, quotas))

    @contextmanager
    def over(
        self, inner: httpx.BaseTransport, quotas: Sequence[Quota] = (), *, follow_redirects: bool = False
    ) -> Iterator[httpx.Client]:
        """A client whose wire is ``inner``."""
        transport = ChannelTransport(inner, self.guards(), caller("north", quotas))
        with httpx.Client(transport=transport, follow_redirects=follow_redirects) as client:
            yield client

    def outcomes(self) -> dict[str, int]:
        """Calls by how they ended."""
        self.counts.flush()
        found: dict[str, int] = {}
        for row in self.rows:
            found[row.outcome] = found.get(row.outcome, 0) + row.calls
        return found


def scene(policy: BreakerPolicy | None = None) -> Scene:
    """New guards; the circuit opens after a thousand failures unless a policy says otherwise."""
    return Scene(HeardLimiter(), HeardBreaker(policy or BreakerPolicy(failures=1000)))


def caller(account: str = "north", quotas: Sequence[Quota] = ()) -> Caller:
    """An account of a made-up channel."""
    return Caller(NEST, account, quotas, Clock().now)


def ask(client: httpx.Client, url: str, spend: Spend = SPEND, method: str = "GET") -> httpx.Response:
    """One marked call."""
    return client.send(marked(client.build_request(method, url), spend))
