"""A small run of hostile bodies at every channel, and that it would tell: see tests/benchmarks/hostile_bodies.py."""

import time

import pytest

from adapters.errors import UnexpectedResponse
from tests.adapters import hostile, mutations

CASES = hostile.channels()
MUTATIONS = 300

every_channel = pytest.mark.parametrize("channel", CASES)


@every_channel
def test_a_good_body_is_read_whole(channel: str) -> None:
    """What is mutated is read without a problem as long as nobody changes it."""
    tally = hostile.Tally(channel)
    for name, body, read in CASES[channel]:
        hostile.judge(tally, name, body, read)

    assert hostile.wrong([tally]) == []
    assert (tally.read, tally.refused.total()) == (len(CASES[channel]), 0)


@every_channel
def test_a_changed_body_is_read_or_refused(channel: str) -> None:
    """Each mutation ends soon, in a value or in an error of ours that shows nothing of the body."""
    tally = hostile.tallied(channel, CASES[channel], MUTATIONS, seed=7)

    assert hostile.wrong([tally]) == []
    assert tally.read + tally.read_in_part + tally.refused.total() == tally.mutations == MUTATIONS
    assert tally.refused.total() > 20
    assert tally.read + tally.read_in_part > 20


@every_channel
def test_a_body_made_to_exhaust_is_refused(channel: str) -> None:
    """Billions of laughs, 100,000 levels, as many members: an end within a second, without a foreign error."""
    tally = hostile.Tally(channel)
    for good, read in hostile.first_of_each_format(CASES[channel]):
        for name, body in mutations.extremes(good, many=100_000):
            hostile.judge(tally, name, body, read)

    assert hostile.wrong([tally]) == []
    assert tally.refused.total() > 0


def test_the_same_seed_makes_the_same_bodies() -> None:
    """A failure can be repeated."""
    (cases, *_) = CASES.values()
    first, again, other = (hostile.tallied("any", cases, 40, seed) for seed in (1, 1, 2))

    assert (first.refused, first.read) == (again.refused, again.read)
    assert (first.refused, first.read) != (other.refused, other.read)


def test_the_harness_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that lets a foreign error out, shows a card, takes too long or never ends is found out."""
    monkeypatch.setattr(hostile, "LONGEST_S", 0.1)
    monkeypatch.setattr(hostile, "HUNG_S", 0.5)

    def careless(body: bytes) -> object:
        return body.decode("ascii")

    def talkative(body: bytes) -> object:
        raise UnexpectedResponse(f"not read: {body!r}")

    def slow(_: bytes) -> None:
        until = time.process_time() + hostile.LONGEST_S * 1.1
        while time.process_time() < until:
            pass

    def endless(_: bytes) -> None:
        while True:
            pass

    for read, told in (
        (careless, "UnicodeDecodeError"),
        (talkative, "card"),
        (slow, " s for "),
        (endless, "Hung"),
    ):
        tally = hostile.Tally("any")
        hostile.judge(tally, "case", b"\xff 4111111111111111", read)
        assert [told in words for words in tally.foreign][:1] == [True]
