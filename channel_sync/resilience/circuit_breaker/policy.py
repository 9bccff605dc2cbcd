"""What a circuit breaker promises.

    closed ── enough failures, and enough of all calls ──> open
    open ── its time is over ──> half_open: exactly ``probes`` calls are let through, over all processes
    half_open ── ``successes_to_close`` of them succeed ──> closed
    half_open ── one fails ──> open again, for longer
    half_open ── ``probe_ttl_s`` after the last of them was let through ──> half_open: ``probes`` new ones

Every change of state and every new set of probes begins a new epoch. An outcome is recorded with the epoch of its
admission and ignored when another has begun: the late success of a probe that hung closes nothing.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

from adapters.errors import Unavailable

_MOST_DOUBLINGS = 30  # far beyond any longest_open_s, and no overflow after years of outage


class CircuitState(StrEnum):
    """Closed lets calls through, open does not, half-open lets the probes through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitOpenError(Unavailable):
    """The call was not sent: the channel was failing. ``retry_after`` says when it is worth asking again."""

    @classmethod
    def of(cls, key: str, last_error: str | None, retry_after_s: float) -> Self:
        """The refusal of a call under ``key``, with how the latest call failed."""
        return cls(f"circuit {key} opened after {last_error}: nothing was sent", retry_after=retry_after_s)


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a circuit opens and how it closes. Times in seconds.

    It opens when of the calls of the last ``window_s`` at least ``failures`` failed and these are at least
    ``failure_ratio`` of them all. It stays open for ``open_s``, twice as long each time it opens again, at most
    ``longest_open_s``; once it was closed for ``calm_s`` it starts from ``open_s`` again. ``probe_ttl_s`` must be longer
    than any call may take, else a slow probe's outcome comes too late to count.

    Raises ValueError for numbers with which a circuit would never open or never close.
    """

    failures: int = 5
    failure_ratio: float = 0.5
    window_s: float = 30.0
    open_s: float = 15.0
    longest_open_s: float = 600.0
    calm_s: float = 600.0
    probes: int = 1
    successes_to_close: int = 1
    probe_ttl_s: float = 150.0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not 1 <= self.successes_to_close <= self.probes:
            raise ValueError(f"successes_to_close must be from 1 to probes ({self.probes})")
        if not 0 <= self.failure_ratio <= 1:
            raise ValueError("failure_ratio must be from 0 to 1")
        if self.failures < 1 or min(self.window_s, self.open_s, self.calm_s, self.probe_ttl_s) <= 0:
            raise ValueError("failures, window_s, open_s, calm_s and probe_ttl_s must be positive")
        if self.longest_open_s < self.open_s:
            raise ValueError("longest_open_s must not be shorter than open_s")

    def open_for_s(self, trips: int) -> float:
        """How long it stays open when it opens for the so-manieth time since the last calm."""
        return min(self.longest_open_s, self.open_s * 2.0 ** min(trips - 1, _MOST_DOUBLINGS))


STANDARD = BreakerPolicy()


@dataclass(frozen=True, slots=True)
class Admission:
    """Leave to make one call under ``key``. ``probe``: it is one of those that test whether the channel is back."""

    key: str
    epoch: int
    probe: bool = False


@dataclass(frozen=True, slots=True)
class BreakerState:
    """A circuit as it stands. ``retry_after_s`` is 0 while a call would be let through; ``trips`` counts openings since the last calm."""

    key: str
    state: CircuitState
    retry_after_s: float
    trips: int


class CircuitBreaker(Protocol):
    """Circuits by key, shared by every process of the same store. Safe to use from several threads."""

    def admit(self, key: str) -> Admission:
        """Leave to call. Raises CircuitOpenError while the circuit is open or its probes are under way.

        Raises Unavailable when the shared store cannot be reached: what cannot be guarded is not sent.
        """

    def confirm(self, admission: Admission) -> None:
        """Raise CircuitOpenError if the admission is over: for who had to wait between admission and call.

        It is over when another epoch has begun, or when a probe's time to live has passed. Raises Unavailable as
        ``admit`` does. An admission that is over needs no ``abandon``.
        """

    def record_success(self, admission: Admission) -> None:
        """The channel answered, whatever it said. Ignored when the epoch is over."""

    def record_failure(self, admission: Admission, error: str) -> None:
        """The channel did not answer or failed. ``error`` names how, without secrets. Ignored when the epoch is over."""

    def abandon(self, admission: Admission) -> None:
        """No call was made after all: a probe's permit goes back."""

    def reset(self, key: str) -> None:
        """Close the circuit by hand."""

    def snapshot(self, key: str) -> BreakerState | None:
        """The circuit as it stands; None before its first use."""
