"""The promises of every rate limiter, kept by the one in Postgres and by its twin in memory."""

import logging
import math
import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from adapters.errors import RateLimited, Unavailable
from channel_sync.resilience.rate_limiter.limits import (
    LONGEST_PENALTY_S,
    Permit,
    RateLimiter,
    RateLimitPolicy,
    RateLimitState,
    RateLimitTimeout,
)
from channel_sync.resilience.rate_limiter.memory import InMemoryRateLimiter
from channel_sync.resilience.rate_limiter.postgres import PostgresRateLimiter
from channel_sync.storage.database import Database
from channel_sync.storage.session import Session
from tests.resilience.limiter_scene import Use, crowded, policy, quota, use, used_by_threads

# So far apart that no machine is slow enough to see the next permit of it come due.
SLOW = quota(10, 600)


@pytest.fixture(params=["postgres", "memory"])
def limiter(request: pytest.FixtureRequest) -> Iterator[RateLimiter]:
    """Each of the twins."""
    if request.param == "memory":
        yield InMemoryRateLimiter()
        return
    with Session(request.getfixturevalue("database")) as session:
        yield PostgresRateLimiter(session)


def _state(limiter: RateLimiter, key: str) -> RateLimitState:
    state = limiter.snapshot(key)
    assert state is not None
    return state


def test_threads_together_keep_pace_and_quota(limiter: RateLimiter) -> None:
    """Four threads that want all they can get have no window with more than the quota, and none is left out."""
    allowed = quota(40, 0.5)
    started = time.monotonic()
    uses = used_by_threads(limiter, [policy("a", allowed)], threads=4, each=20)
    assert len(uses) == 80
    assert crowded(uses, allowed) == 0
    # No slot comes before its time: 79 intervals of (0.5 s + guard) / 40.
    assert time.monotonic() - started >= 79 * 0.520 / 40


def test_every_window_is_kept(limiter: RateLimiter) -> None:
    """With two windows both hold, and the longer one sets the pace once its share of the shorter is used up."""
    short, long = quota(10, 0.2, burst=5), quota(25, 1.0, burst=10)
    uses = used_by_threads(limiter, [policy("a", short, long)], threads=4, each=10)
    assert (crowded(uses, short), crowded(uses, long)) == (0, 0)
    spent = max(one.not_after for one in uses) - min(one.not_before for one in uses)
    assert spent >= 30 * 1.020 / 16 - 0.010  # after the burst of 10, at the pace of 25 - 10 + 1 a second


def test_a_burst_is_let_go_at_once_and_no_more(limiter: RateLimiter) -> None:
    """After a pause as many permits as the burst are due at once; the next is not."""
    policies = [policy("a", quota(10, 600, burst=3))]
    assert [limiter.try_acquire(policies) is not None for _ in range(5)] == [True] * 3 + [False] * 2


def test_cost_counts(limiter: RateLimiter) -> None:
    """A call that costs three takes three permits of the burst; what is refused takes none."""
    policies = [policy("a", quota(10, 600, burst=5))]
    permit = limiter.try_acquire(policies, cost=3)
    assert permit is not None
    assert (permit.keys, permit.cost) == (("a",), 3)
    assert [limiter.try_acquire(policies, cost=cost) is not None for cost in (3, 2, 1)] == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("policies", "cost", "said"),
    [
        ([policy("airbnb/x", quota(10, 1, burst=4))], 5, "'airbnb/x': a call of cost 5 .* burst of 4"),
        ([policy("a", quota(10, 1))], 0, "'a': a call costs at least 1, not 0"),
        ([policy("a", quota(2, 1, burst=3))], 1, "'a': .* not 2 in 0:00:01 with a burst of 3"),
        ([policy("a", quota(2, 1, burst=0))], 1, "'a': .* burst of 0"),
        ([policy("a", quota(2, 0))], 1, "'a': a quota needs a window"),
        ([policy("a", quota(2, 1), quota(3, 1))], 1, "'a': two quotas have the same window"),
        ([policy("a"), policy("a")], 1, "only once"),
        ([], 1, "at least one key"),
    ],
)
def test_what_could_never_be_granted_is_said(
    limiter: RateLimiter, policies: list[RateLimitPolicy], cost: int, said: str
) -> None:
    """A cost beyond a burst, and a quota that is none, are errors that name the key and the numbers."""
    with pytest.raises(ValueError, match=said):
        limiter.acquire(policies, cost=cost)


def test_who_does_not_wait_reserves_nothing(limiter: RateLimiter) -> None:
    """A permit further away than the patience is refused at once, says how far, and leaves the queue as it was."""
    policies = [policy("a", SLOW)]
    assert isinstance(limiter.acquire(policies), Permit)
    started = time.monotonic()
    for _ in range(3):
        with pytest.raises(RateLimitTimeout, match="a: the next permit is 60") as refused:
            limiter.acquire(policies, timeout_s=5.0)
        assert isinstance(refused.value, RateLimited)
        assert refused.value.retry_after is not None
        assert 0 < refused.value.retry_after <= 60.1
    assert limiter.try_acquire(policies) is None
    assert time.monotonic() - started < 5.0
    assert _state(limiter, "a").next_permit_s <= 60.1


def test_a_penalty_holds_everybody_back(limiter: RateLimiter) -> None:
    """Nothing is due before the pause is over, also where the quota would allow it and for a key never used."""
    policies = [policy("a", quota(1000, 1))]
    penalized = time.monotonic()
    limiter.penalize(["a"], retry_after_s=0.3)
    assert limiter.try_acquire(policies) is None
    with pytest.raises(RateLimitTimeout):
        limiter.acquire(policies, timeout_s=0.0)
    assert use(limiter, policies).not_before >= penalized + 0.3


def test_a_penalty_never_shortens_another(limiter: RateLimiter) -> None:
    """Of two pauses the one that ends later counts; both count as penalties."""
    limiter.penalize(["a"], retry_after_s=900)
    limiter.penalize(["a"], retry_after_s=1)
    state = _state(limiter, "a")
    assert 800 < state.blocked_s <= 900
    assert state.generation == 2


@pytest.mark.parametrize("asked", [1e12, math.inf])
def test_a_penalty_is_bounded(limiter: RateLimiter, asked: float) -> None:
    """A channel that asks for years is asked again after an hour."""
    limiter.penalize(["a"], retry_after_s=asked)
    assert LONGEST_PENALTY_S - 60 < _state(limiter, "a").blocked_s <= LONGEST_PENALTY_S


@pytest.mark.parametrize("asked", [-1.0, math.nan])
def test_a_pause_that_is_none_is_an_error(limiter: RateLimiter, asked: float) -> None:
    """What is not a time is not taken for one."""
    with pytest.raises(ValueError, match="a pause of"):
        limiter.penalize(["a"], retry_after_s=asked)


def test_a_penalty_voids_what_was_handed_out(limiter: RateLimiter) -> None:
    """Callers that had a slot and were waiting for it wait for the end of the pause, and come at the pace, not together."""
    policies = [policy("a", quota(10, 5))]
    limiter.acquire(policies)
    found: list[Use] = []
    threads = [threading.Thread(target=lambda: found.append(use(limiter, policies))) for _ in range(3)]
    for thread in threads:
        thread.start()
    while _state(limiter, "a").next_permit_s < 1.5 and not found:  # until all have their slots
        time.sleep(0.002)
    before = len(found)
    penalized = time.monotonic()
    limiter.penalize(["a"], retry_after_s=1.0)
    for thread in threads:
        thread.join(30)
    later = found[before:]
    assert later
    assert all(one.not_before >= penalized + 1.0 for one in later)
    # 0.505 s apart, of which a permit may be half the guard of 0.05 s late.
    assert all(b.not_after - a.not_before >= 0.480 for a, b in pairwise(later))
    # The time of the slots that were void is not lost: the three begin with the end of the pause.
    assert min(one.not_before for one in later) < penalized + 1.5


def test_keys_are_reserved_together_or_not_at_all(limiter: RateLimiter) -> None:
    """Where the narrow key has no permit in time, the wide one keeps its own."""
    wide, narrow = policy("wide", SLOW), policy("narrow", SLOW)
    limiter.acquire([narrow])
    with pytest.raises(RateLimitTimeout, match="narrow: "):
        limiter.acquire([wide, narrow], timeout_s=1.0)
    assert _state(limiter, "wide").next_permit_s == 0
    permit = limiter.try_acquire([wide])
    assert permit is not None
    assert permit.keys == ("wide",)


def test_a_narrow_key_does_not_block_the_wide_one(limiter: RateLimiter) -> None:
    """While a caller waits for its listing's pause to end, others go on at the wide key's pace."""
    wide, narrow = policy("wide", quota(100, 1)), policy("narrow")
    limiter.penalize(["narrow"], retry_after_s=1.0)
    penalized = time.monotonic()
    held: list[float] = []
    thread = threading.Thread(target=lambda: held.append(use(limiter, [wide, narrow]).not_before))
    thread.start()
    while limiter.snapshot("wide") is None:
        time.sleep(0.002)
    others = [use(limiter, [wide]) for _ in range(30)]
    thread.join(30)
    assert held[0] >= penalized + 0.95
    # At the wide key's pace they take 0.3 s. Behind the narrow key none would be in time.
    assert sum(one.not_after < penalized + 0.95 for one in others) >= 10


def test_without_a_quota_only_penalties_count(limiter: RateLimiter) -> None:
    """A key without windows is due at once, however often."""
    started = time.monotonic()
    waited = [limiter.acquire([policy("host")]).waited_s for _ in range(50)]
    assert time.monotonic() - started >= sum(waited)
    assert _state(limiter, "host").next_permit_s == 0
    limiter.penalize(["host"], retry_after_s=600)
    assert limiter.try_acquire([policy("host")]) is None


def test_the_state_of_a_key_is_shown(limiter: RateLimiter) -> None:
    """A snapshot tells the wait, how much of it is penalty, and the generation; before the first use there is none."""
    assert limiter.snapshot("a") is None
    limiter.acquire([policy("a", quota(10, 600, burst=2))])
    assert _state(limiter, "a") == RateLimitState("a", 0.0, 0.0, 0)
    limiter.acquire([policy("a", quota(10, 600, burst=2))])
    state = _state(limiter, "a")
    assert 50 < state.next_permit_s <= 68
    limiter.penalize(["a", "b"], retry_after_s=100)
    state = _state(limiter, "a")
    assert 90 < state.next_permit_s == state.blocked_s <= 100
    assert _state(limiter, "b").generation == state.generation == 1


def test_a_changed_declaration_keeps_what_it_can(limiter: RateLimiter) -> None:
    """The window that stays goes on where it was; a window that is new remembers nothing."""
    ten = quota(10, 600)
    limiter.acquire([policy("a", ten)])
    assert limiter.try_acquire([policy("a", quota(5, 60), ten)]) is None
    assert limiter.try_acquire([policy("a", quota(5, 60))]) is not None


# In Postgres only -----------------------------------------------------------------------------------------------


def test_without_the_database_nothing_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    """A permit that cannot be counted is not given; a penalty that cannot be kept costs no call its answer, and is logged."""
    with Session(Database("postgresql://nobody:Correct-Horse@127.0.0.1:1/none")) as session:
        limiter = PostgresRateLimiter(session)
        for ask in (
            lambda: limiter.acquire([policy("a")]),
            lambda: limiter.try_acquire([policy("a")]),
            lambda: limiter.snapshot("a"),
        ):
            with pytest.raises(Unavailable, match="limits cannot be kept: the database cannot be reached"):
                ask()
        with caplog.at_level(logging.WARNING):
            limiter.penalize(["a"], retry_after_s=5)
    assert [record.getMessage() for record in caplog.records] == [
        "rate limits cannot be kept: the database cannot be reached: a pause of 5 s is not kept"
    ]


def test_the_time_zone_of_a_session_means_nothing(database: Database) -> None:
    """Sessions that show times in different zones count the same calls."""
    url = f"{database.url}{'&' if '?' in database.url else '?'}options=-c%20timezone%3D"
    with Session(Database(url + "America/New_York")) as west, Session(Database(url + "Asia/Tokyo")) as east:
        one, other = PostgresRateLimiter(west), PostgresRateLimiter(east)
        policies = [policy("a", quota(10, 600, burst=3))]
        granted = [limiter.try_acquire(policies) is not None for limiter in (one, other, one, other, one)]
    assert granted == [True, True, True, False, False]


def test_a_hot_row_stays_on_its_page(database: Database) -> None:
    """Thousands of permits of one key leave a table of a few pages and one row."""
    with Session(database) as session:
        limiter = PostgresRateLimiter(session)
        for _ in range(2000):
            limiter.acquire([policy("a", quota(10_000_000, 1))])
    with database.connect() as connection:
        found = connection.execute(
            "SELECT granted, pg_relation_size('rate_limit_state') FROM rate_limit_state"
        ).fetchall()
    assert len(found) == 1
    assert found[0][0] >= 2000
    assert found[0][1] <= 8 * 8192
