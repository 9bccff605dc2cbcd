"""What a channel that is told availability or prices promises: it shows what it was told, there and nowhere else."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from adapters.accounts import Listing
from adapters.base_adapter import Capability
from adapters.errors import AuthenticationFailed, ChannelError, RateLimited, Unavailable
from adapters.model import ONE_DAY, Money, Restrictions, Stay
from adapters.updates import AvailabilityUpdate, Outcome, PricingUpdate, Verdict
from channel_sync.sandbox.extranet import Shown
from channel_sync.sandbox.faults import Fault
from tests.adapters.contract_acknowledgements import DONE, a_fault, as_far_as_it_goes
from tests.adapters.contract_verbs import TODAY, declared, with_fault
from tests.adapters.scene import TOO_LATE, Scene

AVAILABILITY, PRICING = Capability.PUSH_AVAILABILITY, Capability.PUSH_PRICING
SEEN = Stay(TODAY, TODAY + 120 * ONE_DAY)  # what is looked at before and after
Update = AvailabilityUpdate | PricingUpdate
Shop = dict[tuple[str, date], Shown]

RULES = [
    Restrictions(min_stay_arrival=4),
    Restrictions(min_stay_through=4),
    Restrictions(max_stay=21),
    Restrictions(closed_to_arrival=True),
    Restrictions(closed_to_departure=True),
    Restrictions(stop_sell=True),
]
MIN_STAYS = {"min_stay_arrival", "min_stay_through"}  # some channels keep one of them only

every_push = pytest.mark.parametrize("push", [AVAILABILITY, PRICING], ids=str)


class PushContract:
    """Part of ``ChannelContract``; skipped where the channel does not declare the verb."""

    def test_nights_are_closed_and_opened(self, scene: Scene) -> None:
        """Closed and opened again, apart and in a row, for every listing: those nights are shown so and no other."""
        declared(scene, AVAILABILITY)
        for units in (0, 1):
            before = shown(scene)
            updates = [
                AvailabilityUpdate(listing, stay, units)
                for listing in scene.listings
                for stay in open_stays(scene, listing)
            ]
            assert all_done(updates, scene.adapter.push_availability(updates))
            after = shown(scene)
            told = {
                (update.listing.listing_id, night): units for update in updates for night in update.nights
            }
            assert {key: after[key].units for key in told} == told
            assert {key for key in after if after[key] != before[key]} <= told.keys()

    def test_the_last_word_counts(self, scene: Scene) -> None:
        """Updates of one night arrive in the order in which they are given."""
        declared(scene, AVAILABILITY)
        listing = scene.listings[0]
        first, second, *_ = open_stays(scene, listing)
        updates = [
            AvailabilityUpdate(listing, stay, units)
            for stay, words in ((first, (0, 1, 0)), (second, (1, 0, 1)))
            for units in words
        ]
        outcomes = list(scene.adapter.push_availability(updates))
        assert sorted(map(repr, updates)) == sorted(repr(outcome.item) for outcome in outcomes)
        after = shown(scene)
        assert {after[listing.listing_id, night].units for night in first} == {0}
        assert {after[listing.listing_id, night].units for night in second} == {1}

    def test_prices_are_shown_to_the_last_digit(self, scene: Scene) -> None:
        """Each listing's price stands in its own currency with all its digits, on those nights only, and nothing else moves."""
        declared(scene, PRICING)
        before = shown(scene)
        updates = [
            PricingUpdate(listing, stay, Money.from_minor(2_345_671 + number, listing.currency))
            for listing in scene.listings
            for number, stay in enumerate(open_stays(scene, listing))
        ]
        assert all_done(updates, scene.adapter.push_pricing(updates))
        told = {
            (update.listing.listing_id, night): {"price": update.price.amount}
            for update in updates
            if update.price
            for night in update.nights
        }
        assert changes(before, shown(scene)) == told

    @pytest.mark.parametrize("rules", RULES, ids=lambda rules: next(iter(told_of(rules))))
    def test_a_rule_is_shown_or_refused(self, scene: Scene, rules: Restrictions) -> None:
        """A rule alone is shown on those nights and changes nothing else; one without a word for it is rejected uncalled."""
        declared(scene, PRICING)
        scene.adapter.verify_credentials()
        calls = len(scene.sandbox.calls)
        listing = scene.listings[0]
        stays = list(open_stays(scene, listing))
        updates = [PricingUpdate(listing, stay, restrictions=rules) for stay in stays]
        before = shown(scene)
        outcomes = list(scene.adapter.push_pricing(updates))
        after = shown(scene)
        changed = changes(before, after)
        assert sorted(map(repr, updates)) == sorted(repr(outcome.item) for outcome in outcomes)
        if {outcome.verdict for outcome in outcomes} == {Verdict.REJECTED}:
            assert (changed, len(scene.sandbox.calls)) == ({}, calls)
            assert all(outcome.words for outcome in outcomes)
            return
        assert {outcome.verdict for outcome in outcomes} <= DONE
        ((name, value),) = told_of(rules).items()
        names = MIN_STAYS if name in MIN_STAYS else {name}
        nights = {(listing.listing_id, night) for stay in stays for night in stay}
        assert changed.keys() <= nights
        assert {field for fields in changed.values() for field in fields} <= names
        assert all(any(getattr(after[key], each) == value for each in names) for key in nights)

    def test_prices_and_rules_together(self, scene: Scene) -> None:
        """One update may tell both; both are shown."""
        declared(scene, PRICING)
        listing = scene.listings[0]
        (stay, *_) = open_stays(scene, listing)
        update = PricingUpdate(
            listing, stay, Money(Decimal(321), listing.currency), Restrictions(closed_to_arrival=True)
        )
        assert all_done([update], scene.adapter.push_pricing([update]))
        for night in stay:
            seen = shown(scene)[listing.listing_id, night]
            assert (seen.price, seen.closed_to_arrival) == (Decimal(321), True)

    def test_another_currency_is_rejected_uncalled(self, scene: Scene) -> None:
        """A price that is not in the listing's currency is nobody's to convert; its neighbours are told all the same."""
        declared(scene, PRICING)
        scene.adapter.verify_credentials()
        calls = len(scene.sandbox.calls)
        listing, other = scene.listings[:2]
        first, second, *_ = open_stays(scene, listing)
        foreign = PricingUpdate(listing, first, Money(Decimal(250), other.currency))
        before = shown(scene)
        (outcome,) = scene.adapter.push_pricing([foreign])
        assert (outcome.item, outcome.verdict) == (foreign, Verdict.REJECTED)
        assert (len(scene.sandbox.calls), shown(scene)) == (calls, before)

        own = PricingUpdate(listing, second, Money(Decimal(250), listing.currency))
        verdicts = {repr(each.item): each.verdict for each in scene.adapter.push_pricing([foreign, own])}
        assert verdicts.pop(repr(foreign)) is Verdict.REJECTED
        assert verdicts.pop(repr(own)) in DONE
        assert changes(before, shown(scene)).keys() == {(listing.listing_id, night) for night in second}

    @every_push
    def test_pushing_twice_changes_nothing(self, scene: Scene, push: Capability) -> None:
        """The same once more leaves everything as it is."""
        declared(scene, push)
        updates = some_updates(scene, push)
        assert all_done(updates, pushed(scene, push, updates))
        after = shown(scene)
        assert all_done(updates, pushed(scene, push, updates))
        assert shown(scene) == after

    @every_push
    def test_nothing_to_push_no_call(self, scene: Scene, push: Capability) -> None:
        """To tell nothing asks for nothing."""
        declared(scene, push)
        assert list(pushed(scene, push, [])) == []
        assert not scene.sandbox.calls

    @every_push
    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            (Fault("status", code=401), AuthenticationFailed),
            (Fault("status", code=403), AuthenticationFailed),
            (Fault("status", code=429, retry_after="7"), RateLimited),
            (Fault("status", code=500), Unavailable),
            (Fault("status", code=503), Unavailable),
            (TOO_LATE, Unavailable),
            (Fault("drop"), Unavailable),
        ],
        ids=["401", "403", "429", "500", "503", "timeout", "dropped"],
    )
    def test_what_was_refused_is_not_shown(
        self, scene: Scene, push: Capability, fault: Fault, expected: type[ChannelError]
    ) -> None:
        """What is told is how it is, so a lost answer may be told again; a refusal changed nothing, and later it is done."""
        declared(scene, push)
        before = shown(scene)
        with_fault(scene, push, fault, expected)
        if fault is not TOO_LATE:  # that one may arrive, if late
            assert shown(scene) == before
        updates = some_updates(scene, push)
        assert all_done(updates, pushed(scene, push, updates))
        assert shown(scene) != before

    @every_push
    @pytest.mark.parametrize("kind", ["html", "empty_body", "wrong_shape"])
    def test_an_answer_that_says_nothing_is_no_success(
        self, scene: Scene, push: Capability, kind: str
    ) -> None:
        """HTTP 200 alone is not done."""
        declared(scene, push)
        scene.adapter.verify_credentials()
        scene.goes_wrong(a_fault(kind))
        outcomes, error = as_far_as_it_goes(pushed(scene, push, some_updates(scene, push)))
        assert {outcome.verdict for outcome in outcomes} <= {Verdict.UNKNOWN}
        assert outcomes or error


def shown(scene: Scene) -> Shop:
    """What the channel shows of the account's listings for some months."""
    return {
        (listing.listing_id, night.night): night
        for listing in scene.listings
        for night in scene.hotels.extranet.shown(
            scene.truth[listing.listing_id], SEEN.check_in, SEEN.check_out
        )
    }


def open_stays(scene: Scene, listing: Listing) -> Iterator[Stay]:
    """Stretches of nights that nobody booked: two that touch, and two apart."""
    booked = {
        night
        for booking in scene.world.stays(scene.truth[listing.listing_id], scene.sandbox.clock.now())
        for night in Stay(booking.check_in, booking.check_out)
    }
    start, found = SEEN.check_in + 3 * ONE_DAY, 0
    while found < 4:
        stay = Stay(start, start + (1 if found == 2 else 2) * ONE_DAY)
        assert stay.check_out < SEEN.check_out, "the simulated channel has nothing left to sell"
        if booked.isdisjoint(stay):
            yield stay
            found += 1
            start = stay.check_out if found == 1 else stay.check_out + ONE_DAY
        else:
            start += ONE_DAY


def some_updates(scene: Scene, push: Capability) -> Sequence[Update]:
    """Updates of a few nights of two listings, each a change."""
    chosen = [(listing, stay) for listing in scene.listings[:2] for stay in open_stays(scene, listing)]
    if push is AVAILABILITY:
        return [AvailabilityUpdate(listing, stay, 0) for listing, stay in chosen]
    return [PricingUpdate(listing, stay, Money(Decimal(777), listing.currency)) for listing, stay in chosen]


def pushed(scene: Scene, push: Capability, updates: Sequence[Any]) -> Iterable[Outcome[Any]]:
    """The outcomes of a push."""
    if push is AVAILABILITY:
        return scene.adapter.push_availability(updates)
    return scene.adapter.push_pricing(updates)


def all_done(updates: Sequence[Update], outcomes: Iterable[Outcome[Any]]) -> bool:
    """Whether each update has one outcome, and was done."""
    told = list(outcomes)
    assert sorted(map(repr, updates)) == sorted(repr(outcome.item) for outcome in told)
    assert {outcome.verdict for outcome in told} <= DONE, [outcome.words for outcome in told]
    return True


def changes(before: Shop, after: Shop) -> dict[tuple[str, date], dict[str, Any]]:
    """By night, the fields that are shown otherwise, as they are now."""
    names = [field.name for field in fields(Shown)]
    return {
        key: {
            name: getattr(after[key], name)
            for name in names
            if getattr(after[key], name) != getattr(before[key], name)
        }
        for key in after
        if after[key] != before[key]
    }


def told_of(rules: Restrictions) -> dict[str, Any]:
    """What the rules say, by name."""
    return {name: value for name, value in asdict(rules).items() if value is not None}
