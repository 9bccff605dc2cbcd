"""Hostile bodies: good ones changed in many small and large ways, and what an adapter's reading makes of them.

Each channel offers ``tests/adapters/hostile_CHANNEL.py`` with ``cases()``: a name, a good body of the channel's and the
function of the adapter that reads it. Whatever the body, that function returns or raises a ChannelError, soon.
"""

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from random import Random

from adapters.errors import ChannelError
from tests.adapters.contract_verbs import TEST_CARDS, whole_text
from tests.adapters.mutations import mutation

Case = tuple[str, bytes, Callable[[bytes], object]]

LONGEST_S = 1.0  # of one core's time for one body
HUNG_S = 5.0  # then it is ended


class Hung(BaseException):
    """Reading one body took HUNG_S of processor time. Not an Exception: nobody on the way may catch it."""


@dataclass(slots=True)
class Tally:
    """What became of the mutations of one channel's bodies."""

    channel: str
    mutations: int = 0
    read: int = 0
    read_in_part: int = 0  # with problems told
    refused: Counter[str] = field(default_factory=Counter)
    foreign: list[str] = field(default_factory=list)  # what must not happen
    slowest_s: float = 0.0
    slowest: str = ""


def channels() -> dict[str, list[Case]]:
    """The cases of every channel that offers some."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("hostile_*.py"))
    return {
        name.removeprefix("hostile_"): list(import_module(f"tests.adapters.{name}").cases()) for name in names
    }


def first_of_each_format(cases: Iterable[Case]) -> list[tuple[bytes, Callable[[bytes], object]]]:
    """One good body, and what reads it, of each format that a channel speaks, told by the body's first character."""
    found: dict[bytes, tuple[bytes, Callable[[bytes], object]]] = {}
    for _, body, read in cases:
        found.setdefault(body.lstrip()[:1], (body, read))
    return list(found.values())


def tallied(channel: str, cases: list[Case], mutations: int, seed: int) -> Tally:
    """Feed each case in turn with changed bodies, ``mutations`` in all."""
    tally = Tally(channel)
    chance = Random(f"{channel} {seed}")
    while tally.mutations < mutations:
        name, good, read = cases[tally.mutations % len(cases)]
        body = mutation(good, chance)
        judge(tally, f"{name} #{tally.mutations}", body, read)
        tally.mutations += 1
    return tally


def judge(tally: Tally, name: str, body: bytes, read: Callable[[bytes], object]) -> None:
    """Read one body and count how it ended."""
    began = time.process_time()
    try:
        with _ended_after(HUNG_S):
            outcome = read(body)
    except ChannelError as refused:
        tally.refused[type(refused).__name__] += 1
        if any(card in text for text in whole_text(refused) for card in TEST_CARDS):
            tally.foreign.append(f"{name}: a card's number in {refused!r}, from {body!r:.600}")
    except (Exception, Hung) as error:  # noqa: BLE001 - what must not happen is counted and shown
        tally.foreign.append(f"{name}: {error!r:.300} from {body!r:.600}")
    else:
        if getattr(outcome, "problems", ()):
            tally.read_in_part += 1
        else:
            tally.read += 1
    took = time.process_time() - began
    if took > tally.slowest_s:
        tally.slowest_s, tally.slowest = took, name
    if took > LONGEST_S:
        tally.foreign.append(f"{name}: {took:.1f} s for {len(body):,} bytes, {body!r:.600}")


@contextmanager
def _ended_after(seconds: float) -> Iterator[None]:
    """Raise Hung in what takes this much processor time. Call from the main thread."""

    def end(*_: object) -> None:
        raise Hung(f"{seconds:g} s of processor time")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def wrong(tallies: Iterable[Tally]) -> list[str]:
    """All that must not have happened."""
    return [told for tally in tallies for told in tally.foreign]
