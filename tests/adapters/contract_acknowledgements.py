"""What a channel that wants acknowledgements promises besides: nothing is lost and nothing is acknowledged unasked."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from adapters.base_adapter import Capability
from adapters.errors import AuthenticationFailed, ChannelError, Unavailable
from adapters.model import Booking, Receipt
from adapters.updates import Outcome, Verdict
from channel_sync.sandbox.faults import Fault
from tests.adapters.contract_verbs import (
    LONG_AGO,
    TOMORROW,
    declared,
    needed,
    waiting,
    whole_text,
    with_fault,
)
from tests.adapters.scene import NOW, Scene, scene_of

ACKNOWLEDGE = Capability.ACKNOWLEDGE_BOOKINGS
DONE = {Verdict.ACCEPTED, Verdict.WARNED}
MOST_ROUNDS = 12  # a channel may give the versions of a reservation one after another; none has more


class AcknowledgementContract:
    """Part of ``ChannelContract``; skipped where the channel does not declare the verb."""

    channel: str

    def test_an_empty_window_gives_what_waits(self, scene: Scene) -> None:
        """Polled, a channel gives every reservation that waits for an acknowledgement and no other."""
        declared(scene, ACKNOWLEDGE)
        acknowledge(scene, waiting(scene)[:5])
        true = {scene.hotels.reservation_id(each.code) for each in scene.hotels.acknowledged.waiting()}
        pages = list(scene.adapter.pull_bookings(scene.listings, NOW, NOW))
        assert {whole_of(booking) for page in pages for booking in page.bookings} == true != set()
        assert not [problem for page in pages for problem in page.problems]

    def test_every_version_that_waits_has_a_receipt(self, scene: Scene) -> None:
        """What is given can be acknowledged: each reservation of a page has a receipt beside it, none is another's."""
        declared(scene, ACKNOWLEDGE)
        for page in scene.adapter.pull_bookings(scene.listings, NOW, NOW):
            assert {receipt.booking_id for receipt in page.receipts} == set(map(whole_of, page.bookings))
        references = [receipt.reference for receipt in waiting(scene)]
        assert len(set(references)) == len(references) != 0

    def test_a_pull_acknowledges_nothing(self, scene: Scene) -> None:
        """What was only read is given again, and the channel knows that it was not acknowledged."""
        declared(scene, ACKNOWLEDGE)
        before = scene.hotels.acknowledged.waiting()
        first = waiting(scene)
        assert waiting(scene) == first != ()
        assert scene.hotels.acknowledged.waiting() == before

    def test_what_is_acknowledged_is_given_no_more(self, scene: Scene) -> None:
        """Some are acknowledged, one outcome each: they do not come again, and all the others do."""
        declared(scene, ACKNOWLEDGE)
        given = waiting(scene)
        told, left = given[::2], given[1::2]
        outcomes = list(scene.adapter.acknowledge_bookings(told))
        assert sorted(outcome.item.reference for outcome in outcomes) == sorted(
            receipt.reference for receipt in told
        )
        assert {outcome.verdict for outcome in outcomes} <= DONE
        again = {receipt.reference for receipt in waiting(scene)}
        assert not again & {receipt.reference for receipt in told}
        assert again >= {receipt.reference for receipt in left} != set()

    def test_all_that_happened_is_acknowledged_in_the_end(self, scene: Scene) -> None:
        """Pulled and acknowledged until nothing waits, the channel knows that the newest version of each is known."""
        declared(scene, ACKNOWLEDGE)
        assert list(settled(scene))
        newest = {version.code: version.number for version in scene.hotels.acknowledged.versions()}
        assert newest
        assert not [
            code for code, number in newest.items() if not scene.hotels.acknowledged.times(code, number)
        ]

    def test_acknowledging_twice_does_no_harm(self, scene: Scene) -> None:
        """The second time has an outcome each too, and nothing that waits is touched."""
        declared(scene, ACKNOWLEDGE)
        told = waiting(scene)[:5]
        acknowledge(scene, told)
        before = scene.hotels.acknowledged.waiting()
        again = list(scene.adapter.acknowledge_bookings(told))
        assert len(again) == len(told)
        assert {outcome.verdict for outcome in again} <= {*DONE, Verdict.REJECTED}
        assert scene.hotels.acknowledged.waiting() == before

    def test_one_receipt_told_twice_at_once(self, scene: Scene) -> None:
        """Two receipts of the same version in one call are both answered."""
        declared(scene, ACKNOWLEDGE)
        (receipt, *_) = waiting(scene)
        outcomes = list(scene.adapter.acknowledge_bookings([receipt, receipt]))
        assert [outcome.item for outcome in outcomes] == [receipt, receipt]

    def test_what_never_waited_is_rejected(self, scene: Scene) -> None:
        """A receipt of another house's reservation is refused for good, and does not stand in the way of ours."""
        declared(scene, ACKNOWLEDGE)
        with scene_of(self.channel, seed=4711) as elsewhere:
            (stranger, *_) = waiting(elsewhere)
        own = waiting(scene)[:2]
        outcomes = list(scene.adapter.acknowledge_bookings([own[0], stranger, *own[1:]]))
        verdicts = {outcome.item.reference: outcome.verdict for outcome in outcomes}
        assert len(outcomes) == len(own) + 1
        assert verdicts.pop(stranger.reference) is Verdict.REJECTED
        assert set(verdicts.values()) <= DONE

    @pytest.mark.parametrize("reference", ["", "{}", "[]", "not ours", '{"id": null}', "\x00"])
    def test_a_reference_that_is_not_the_adapters(self, scene: Scene, reference: str) -> None:
        """A stored receipt that this adapter cannot read is refused for good, not an error of ours."""
        declared(scene, ACKNOWLEDGE)
        (outcome,) = scene.adapter.acknowledge_bookings([Receipt("unreadable", reference)])
        assert outcome.verdict is Verdict.REJECTED

    def test_a_receipt_shows_no_reference(self, scene: Scene) -> None:
        """Receipts and outcomes can be logged: what acknowledges stays hidden."""
        declared(scene, ACKNOWLEDGE)
        receipts = waiting(scene)[:5]
        shown = repr([receipts, list(scene.adapter.acknowledge_bookings(receipts))])
        assert not [receipt for receipt in receipts if receipt.reference in shown]

    def test_no_receipts_no_call(self, scene: Scene) -> None:
        """To acknowledge nothing asks for nothing."""
        declared(scene, ACKNOWLEDGE)
        assert list(scene.adapter.acknowledge_bookings([])) == []
        assert not scene.sandbox.calls

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    def test_an_outage_acknowledges_nothing(self, scene: Scene, status: int) -> None:
        """A fault of the channel is told as one that may pass, nothing is acknowledged, and later it can be."""
        declared(scene, ACKNOWLEDGE)
        before = scene.hotels.acknowledged.waiting()
        with_fault(scene, ACKNOWLEDGE, Fault("status", code=status), Unavailable)
        assert scene.hotels.acknowledged.waiting() == before
        acknowledge(scene, needed(scene, ACKNOWLEDGE))
        assert scene.hotels.acknowledged.waiting() != before

    def test_a_refusal_acknowledges_nothing(self, scene: Scene) -> None:
        """Refused credentials are for a person to mend; what waits goes on waiting."""
        declared(scene, ACKNOWLEDGE)
        before = scene.hotels.acknowledged.waiting()
        with_fault(scene, ACKNOWLEDGE, Fault("status", code=401), AuthenticationFailed)
        assert scene.hotels.acknowledged.waiting() == before

    @pytest.mark.parametrize("kind", ["html", "empty_body", "wrong_shape"])
    def test_an_answer_that_says_nothing_acknowledges_nothing(self, scene: Scene, kind: str) -> None:
        """HTTP 200 alone is not an acknowledgement accepted."""
        declared(scene, ACKNOWLEDGE)
        receipts = needed(scene, ACKNOWLEDGE)
        scene.goes_wrong(a_fault(kind))
        outcomes, error = as_far_as_it_goes(scene.adapter.acknowledge_bookings(receipts))
        assert {outcome.verdict for outcome in outcomes} <= {Verdict.UNKNOWN}
        assert outcomes or isinstance(error, ChannelError)
        assert not [receipt for receipt in receipts if receipt.reference in "".join(whole_text(error))]


def a_fault(kind: str) -> Fault:
    """The fault of a kind that takes nothing else."""
    return {
        "html": Fault("html"),
        "empty_body": Fault("empty_body"),
        "wrong_shape": Fault("wrong_shape"),
    }[kind]


def acknowledge(scene: Scene, receipts: tuple[Receipt, ...]) -> None:
    """Acknowledge these, and see that it was done."""
    outcomes = list(scene.adapter.acknowledge_bookings(receipts))
    assert len(outcomes) == len(receipts) > 0
    assert {outcome.verdict for outcome in outcomes} <= DONE


def settled(scene: Scene) -> Iterator[Booking]:
    """Every version of every reservation, pulled and acknowledged until nothing waits any more.

    A channel that wants no acknowledgement gives each reservation once.
    """
    for number in itertools.count():
        assert number < MOST_ROUNDS, "there is always something left to acknowledge"
        receipts: list[Receipt] = []
        for page in scene.adapter.pull_bookings(scene.listings, LONG_AGO, NOW + (TOMORROW - NOW.date())):
            assert not page.problems
            yield from page.bookings
            receipts += page.receipts
        if not receipts:
            return
        acknowledge(scene, tuple(receipts))


def whole_of(booking: Booking) -> str:
    """The id of the reservation that the booking is or is part of."""
    return booking.whole or booking.booking_id


def as_far_as_it_goes(
    outcomes: Iterable[Outcome[Any]],
) -> tuple[list[Outcome[Any]], ChannelError | None]:
    """The outcomes that were given, and the error that ended them."""
    found: list[Outcome[Any]] = []
    try:
        found.extend(outcomes)
    except ChannelError as error:
        return found, error  # list.extend keeps what came before the error
    return found, None
