"""What every channel promises, proven over real HTTP before the sandbox.

A channel passes by a subclass that names it. What is skipped is decided by what the channel declares, never by
which channel it is.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from email.utils import format_datetime

import pytest

from adapters.base_adapter import Capability, ChannelAdapter
from adapters.errors import (
    AuthenticationFailed,
    ChannelError,
    ConfigurationError,
    RateLimited,
    Rejected,
    Retryable,
    Unavailable,
    UnexpectedResponse,
    Unsupported,
)
from adapters.factory import AdapterFactory
from adapters.model import ONE_DAY, Booking, BookingStatus, Evidence, Money, Receipt, Stay, Validators
from adapters.spending import Spend
from channel_sync.resilience import quota_keys
from channel_sync.sandbox.faults import Fault
from tests.adapters.contract_acknowledgements import AcknowledgementContract, settled, whole_of
from tests.adapters.contract_pushes import PushContract
from tests.adapters.contract_verbs import (
    ENDPOINT,
    EVERYTHING_WRONG,
    LONG_AGO,
    PULLS,
    TEST_CARDS,
    TODAY,
    TOMORROW,
    VERBS,
    WINDOW,
    WINDOWS,
    declared,
    drained,
    needed,
    whole_text,
    with_fault,
    within_reach,
)
from tests.adapters.scene import NOW, TOO_LATE, Scene, scene_of

every_verb = pytest.mark.parametrize("verb", list(Capability), ids=str)
every_window = pytest.mark.parametrize("window", WINDOWS, ids=lambda window: f"{len(window)}-nights")


class ChannelContract(AcknowledgementContract, PushContract):
    """Subclass it as ``Test...`` and set ``channel`` to the channel's name in the factory."""

    channel: str

    @pytest.fixture
    def scene(self) -> Iterator[Scene]:
        """The sample portfolio's account on this channel, before a sandbox of its own."""
        with scene_of(self.channel) as scene:
            yield scene

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test that takes a ``pull`` runs for each one that the channel declares, with a ``call`` for each verb."""
        capabilities = AdapterFactory.get_adapter(self.channel).declaration.capabilities
        for name, verbs in (("pull", PULLS), ("call", list(Capability))):
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, [verb for verb in verbs if verb in capabilities], ids=str)

    # What is declared.

    @every_verb
    def test_a_declared_verb_is_written_and_no_other(self, verb: Capability) -> None:
        """A verb is overridden exactly when the channel declares it."""
        adapter = AdapterFactory.get_adapter(self.channel)
        overridden = getattr(adapter, verb) is not getattr(ChannelAdapter, verb)
        assert overridden is (verb in adapter.declaration.capabilities)

    @every_verb
    def test_a_declared_verb_works_and_another_refuses(self, scene: Scene, verb: Capability) -> None:
        """A declared verb asks the channel; an undeclared one refuses before any request."""
        if verb in scene.adapter.declaration.capabilities:
            drained(scene, verb)
            assert scene.sandbox.calls
        else:
            with pytest.raises(Unsupported, match=scene.adapter.declaration.title):
                drained(scene, verb, ())
            assert not scene.sandbox.calls

    def test_the_declaration_is_sound(self) -> None:
        """It is listed under its name, reaches into the future, and its quotas and addresses make sense."""
        declaration = AdapterFactory.get_adapter(self.channel).declaration
        assert declaration.name == self.channel
        assert declaration.horizon_days > 0
        assert all(quota.limit > 0 and quota.window > timedelta(0) for quota in declaration.quotas)
        assert all(url.startswith("https://") for url in declaration.base_urls.values())
        acknowledges = Capability.ACKNOWLEDGE_BOOKINGS in declaration.capabilities
        assert (declaration.acknowledge_within is not None) is acknowledges

    def test_its_quotas_can_be_kept(self) -> None:
        """What may go at once is part of what may go at all, and quotas of some endpoints name ones that there are."""
        for quota in AdapterFactory.get_adapter(self.channel).declaration.quotas:
            assert 1 <= quota.burst <= quota.limit
            assert all(ENDPOINT.fullmatch(endpoint) for endpoint in quota.endpoints)

    @every_verb
    def test_every_request_says_what_it_spends(self, scene: Scene, verb: Capability) -> None:
        """Each request of a verb is marked with its kind, in a word that is the same for every listing."""
        scene.adapter.verify_credentials()
        if verb in scene.adapter.declaration.capabilities:
            drained(scene, verb)
        assert len(scene.spends) == len(scene.sandbox.calls)
        for spend in scene.spends:
            assert ENDPOINT.fullmatch(spend.endpoint)
            assert not [secret for secret in scene.secrets() if secret in spend.endpoint]
            assert spend.listing_id in (None, *(listing.listing_id for listing in scene.listings))
            assert spend.cost >= 1

    def test_a_listings_calls_are_counted_as_its_own(self, scene: Scene, pull: Capability) -> None:
        """A pull of one listing names it, or its property, in every request but those of the account."""
        if pull not in (Capability.PULL_AVAILABILITY, Capability.PULL_PRICING):
            pytest.skip("not a pull of one listing")
        drained(scene, pull)
        assert any(names(spend, scene.listings[0].listing_id) for spend in scene.spends)

    def test_every_quota_can_count_every_request(self, scene: Scene) -> None:
        """No request lacks the property or listing by which a declared quota counts it."""
        declaration = scene.adapter.declaration
        scene.adapter.verify_credentials()
        for verb in sorted(declaration.capabilities):
            drained(scene, verb)
        for spend in scene.spends:
            assert quota_keys.policies(self.channel, declaration.quotas, "account", "host", spend)

    def test_credentials_that_are_good(self, scene: Scene) -> None:
        """The sample account's credentials are accepted, again and again."""
        scene.adapter.verify_credentials()
        scene.adapter.verify_credentials()
        assert all(call.status == 200 for call in scene.sandbox.calls)

    def test_a_missing_secret_is_named(self, scene: Scene) -> None:
        """Each declared secret that is not set is a configuration error that names it, before any request."""
        declaration = scene.adapter.declaration
        for name in sorted(declaration.account_secrets):
            secrets = {key: value for key, value in scene.account.secrets.items() if key != name}
            poorer = scene.with_account(replace(scene.account, secrets=secrets))
            with pytest.raises(ConfigurationError, match=f"{scene.account.code}.*{name}"):
                poorer.adapter.verify_credentials()
        for name in sorted(declaration.listing_secrets):
            listing = replace(scene.listings[0], secrets={})
            with pytest.raises(ConfigurationError, match=f"{listing.listing_id}.*{name}"):
                list(scene.adapter.pull_availability(listing, WINDOW, Validators()))
        assert not scene.sandbox.calls

    # What is true.

    @every_window
    def test_availability_is_the_truth(self, scene: Scene, window: Stay) -> None:
        """The closed nights are the world's, in the half-open window, each stated once as the evidence promises."""
        declared(scene, Capability.PULL_AVAILABILITY)
        window = within_reach(scene, window)
        for listing in scene.listings:
            pages = list(scene.adapter.pull_availability(listing, window, Validators()))
            truth = scene.world.closed_nights(
                scene.truth[listing.listing_id], NOW, window.check_in, window.check_out
            )
            stated = [night for page in pages for night in page.nights]
            closed = [night.night for night in stated if not night.units_open]
            assert set(closed) == truth
            assert all((night.closure is None) == bool(night.units_open) for night in stated)
            assert [night.night for night in stated] == sorted({night.night for night in stated})
            assert not [problem for page in pages for problem in page.problems]
            if scene.adapter.declaration.evidence is Evidence.EXPLICIT:
                assert [night.night for night in stated] == list(window)
                assert [night for page in pages for night in page.window] == list(window)
            else:
                assert [page.window for page in pages] == [window]
                assert [night.night for night in stated] == closed
            assert {page.listing_id for page in pages} == {listing.listing_id}
            assert {page.evidence for page in pages} == {scene.adapter.declaration.evidence}

    def test_a_window_may_begin_in_the_past(self, scene: Scene) -> None:
        """Months are pulled from their first day: nights gone by may be left out, what is to come is true."""
        declared(scene, Capability.PULL_AVAILABILITY)
        window = Stay(TODAY - 9 * ONE_DAY, TODAY + 30 * ONE_DAY)
        for listing in scene.listings:
            pages = list(scene.adapter.pull_availability(listing, window, Validators()))
            to_come = [night for page in pages for night in page.window if night >= TOMORROW]
            assert to_come == [night for night in window if night >= TOMORROW]
            stated = [night for page in pages for night in page.nights]
            closed = {night.night for night in stated if not night.units_open and night.night >= TOMORROW}
            truth = scene.truth[listing.listing_id]
            assert closed == scene.world.closed_nights(truth, NOW, TOMORROW, window.check_out)
            if scene.adapter.declaration.evidence is Evidence.EXPLICIT:
                assert [night.night for night in stated] == [night for page in pages for night in page.window]

    @every_window
    def test_prices_are_the_truth(self, scene: Scene, window: Stay) -> None:
        """Each night of the half-open window has its price once, to the last digit, and its restrictions."""
        declared(scene, Capability.PULL_PRICING)
        window = within_reach(scene, window)
        for listing in scene.listings:
            pages = list(scene.adapter.pull_pricing(listing, window))
            truth = scene.world.calendar(
                scene.truth[listing.listing_id], window.check_in, window.check_out, NOW
            )
            stated = [night for page in pages for night in page.nights]
            assert [night.night for night in stated] == list(window)
            assert [night for page in pages for night in page.window] == list(window)
            for night, true in zip(stated, truth, strict=True):
                assert night.price == Money(true.terms.price, listing.currency)
                assert type(night.price.amount) is Decimal
                assert night.restrictions.max_stay == true.terms.max_nights
                assert true.terms.min_nights in (
                    night.restrictions.min_stay_arrival,
                    night.restrictions.min_stay_through,
                )
                assert night.restrictions.closed_to_arrival is true.terms.closed_to_arrival
                assert night.restrictions.closed_to_departure is true.terms.closed_to_departure

    def test_bookings_are_the_truth(self, scene: Scene) -> None:
        """Every booking ever made comes with its nights, status, times and money, as far as the channel tells them."""
        declared(scene, Capability.PULL_BOOKINGS)
        found: dict[str, Booking] = {}
        for booking in sorted(settled(scene), key=lambda booking: booking.revised_at):
            found[whole_of(booking)] = booking
        truth = {self.known_as(scene, true.code): true for true in scene.world.bookings(NOW)}
        assert found.keys() == truth.keys() != set()
        for known_as, true in truth.items():
            booking = found[known_as]
            assert (booking.status is BookingStatus.CONFIRMED) is true.confirmed
            assert booking.revised_at == true.updated_at
            assert booking.booked_at in (None, true.booked_at)
            assert booking.total in (None, Money(true.total, true.currency))
            assert booking.payout in (None, Money(true.payout, true.currency))
            if booking.stay is None:  # a cancellation, which may name neither nights nor room nor money
                continue
            assert booking.stay == Stay(true.check_in, true.check_out)
            assert scene.truth[booking.listing_id] == true.listing_id
            assert booking.total or booking.payout or not true.confirmed

    def known_as(self, scene: Scene, code: str) -> str:
        """The channel's id of the world's booking."""
        acknowledges = Capability.ACKNOWLEDGE_BOOKINGS in scene.adapter.declaration.capabilities
        return scene.hotels.reservation_id(code) if acknowledges else code

    def test_changes_belong_to_one_window(self, scene: Scene) -> None:
        """Two windows that touch share no booking and lose none, even when one changed at the very edge."""
        declared(scene, Capability.PULL_BOOKINGS)
        if Capability.ACKNOWLEDGE_BOOKINGS in scene.adapter.declaration.capabilities:
            pytest.skip("what waits for an acknowledgement comes first, whatever the window")
        changes = sorted(booking.updated_at for booking in scene.world.bookings(NOW))
        edge = changes[len(changes) // 2]
        before, after, whole = (
            [
                booking.booking_id
                for page in scene.adapter.pull_bookings(scene.listings, changed_from, changed_until)
                for booking in page.bookings
            ]
            for changed_from, changed_until in (
                (LONG_AGO, edge),
                (edge, NOW + ONE_DAY),
                (LONG_AGO, NOW + ONE_DAY),
            )
        )
        assert before
        assert after
        assert sorted(before + after) == sorted(whole)

    def test_listings_are_the_truth(self, scene: Scene) -> None:
        """Every listing of the account is listed once, under its own id."""
        declared(scene, Capability.LIST_LISTINGS)
        listed = list(scene.adapter.list_listings())
        assert sorted(listing.listing_id for listing in listed) == sorted(scene.truth)
        for listing in listed:
            true = scene.world.listings[scene.truth[listing.listing_id]]
            assert listing.currency in (None, true.currency)

    def test_no_guest_comes_through(self, scene: Scene, call: Capability) -> None:
        """The wire is full of guests and their cards; nothing that an adapter hands on holds one, not even to itself."""
        receipts = needed(scene, call)
        shown = repr(drained(scene, call, receipts)) + repr([receipt.reference for receipt in receipts])
        for booking in scene.world.bookings(NOW):
            guest = booking.guest
            assert not [part for part in (guest.last_name, guest.email, guest.phone) if part in shown]
        assert not [card for card in TEST_CARDS if card in shown]

    def test_asking_again_gives_the_same(self, scene: Scene, pull: Capability) -> None:
        """While nothing changes, the same pull gives equal pages."""
        assert drained(scene, pull) == drained(scene, pull) != []

    def test_what_is_unchanged_may_be_said_so(self, scene: Scene) -> None:
        """Asked with its own validators, a channel gives an equal page or says that nothing changed."""
        declared(scene, Capability.PULL_AVAILABILITY)
        for listing in scene.listings:
            (page,) = scene.adapter.pull_availability(listing, WINDOW, Validators())
            (again,) = scene.adapter.pull_availability(listing, WINDOW, page.validators)
            assert again.window == page.window
            assert (again.unchanged and not again.nights) or again == page

    def test_nothing_is_asked_before_it_is_wanted(self, scene: Scene, call: Capability) -> None:
        """A verb makes its first request when its first page or outcome is asked for."""
        receipts = needed(scene, call)
        calls = len(scene.sandbox.calls)
        pages = iter(VERBS[call](scene, receipts) or ())
        assert len(scene.sandbox.calls) == calls
        next(pages)
        assert len(scene.sandbox.calls) > calls

    # What goes wrong.

    @pytest.mark.parametrize("status", [401, 403])
    def test_refused_credentials(self, scene: Scene, call: Capability, status: int) -> None:
        """Refused credentials are for a person to mend."""
        with_fault(scene, call, Fault("status", code=status), AuthenticationFailed)

    def test_credentials_that_are_bad(self, scene: Scene) -> None:
        """Where verifying asks the channel at all, a refusal says that the credentials are bad."""
        scene.sandbox.faults.add(Fault("status", code=401))
        if scene.adapter.declaration.account_secrets:
            with pytest.raises(AuthenticationFailed):
                scene.adapter.verify_credentials()
        else:
            scene.adapter.verify_credentials()
            assert not scene.sandbox.calls

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [("7", 7.0), (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0), (None, None)],
        ids=["seconds", "date", "absent"],
    )
    def test_too_many_calls(
        self, scene: Scene, call: Capability, header: str | None, seconds: float | None
    ) -> None:
        """A limit is told with the time to wait, in both forms of Retry-After, or without one."""
        error = with_fault(scene, call, Fault("status", code=429, retry_after=header), RateLimited)
        assert isinstance(error, RateLimited)
        assert error.retry_after == seconds

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    def test_a_fault_of_the_channel(self, scene: Scene, call: Capability, status: int) -> None:
        """A fault of the channel's own may pass: the call can be repeated."""
        with_fault(scene, call, Fault("status", code=status), Unavailable)

    def test_nothing_there(self, scene: Scene, pull: Capability) -> None:
        """What the channel does not know it does not know: repeating the call is useless."""
        with_fault(scene, pull, Fault("status", code=404), Rejected)

    @pytest.mark.parametrize(
        "fault",
        [TOO_LATE, Fault("drop"), Fault("drop", after="headers")],
        ids=["timeout", "dropped", "dropped-after-headers"],
    )
    def test_no_answer(self, scene: Scene, call: Capability, fault: Fault) -> None:
        """A question without an answer changed nothing, and what is told says how it is: both can be repeated."""
        with_fault(scene, call, fault, Unavailable)

    def test_nobody_there(self, scene: Scene, call: Capability) -> None:
        """A refused connection can be tried again."""
        scene.adapter.verify_credentials()
        receipts = needed(scene, call)
        scene.sandbox.__exit__(None, None, None)
        with pytest.raises(Unavailable):
            drained(scene, call, receipts)

    @pytest.mark.parametrize("sent", [0, 1, 60, 150])
    def test_half_an_answer(self, scene: Scene, pull: Capability, sent: int) -> None:
        """A body that ends before its announced length never becomes a page."""
        with_fault(scene, pull, Fault("truncate", bytes=sent), (Retryable, UnexpectedResponse))

    @pytest.mark.parametrize("kind", ["html", "empty_body", "wrong_shape"])
    def test_an_answer_that_is_none(self, scene: Scene, pull: Capability, kind: str) -> None:
        """Success with a page for people, with nothing or with something else proves nothing."""
        fault = {
            "html": Fault("html"),
            "empty_body": Fault("empty_body"),
            "wrong_shape": Fault("wrong_shape"),
        }
        with_fault(scene, pull, fault[kind], UnexpectedResponse)

    # What is not seen.

    def test_no_secret_is_seen(
        self, scene: Scene, call: Capability, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Whatever goes wrong, no secret, token or card is in an error, its causes, a log record or a repr."""
        caplog.set_level(logging.DEBUG)
        # httpx logs every URL, and a feed's URL is a secret: the composition root raises these two levels.
        for name in ("httpx", "httpcore"):
            caplog.set_level(logging.WARNING, logger=name)
        receipts = needed(scene, call)
        shown = [repr(drained(scene, call, receipts))]
        # The fault meets the call itself, then the exchange of credentials that a new account begins with.
        for one in (scene, scene.with_account(scene.account)):
            for fault in EVERYTHING_WRONG:
                one.goes_wrong(fault)
                shown += ended(one, call, receipts)
        shown += [repr(scene.adapter), repr(scene.account), repr(scene.listings), repr(scene.tokens.stored)]
        shown += [f"{record.getMessage()} {record.args!r} {record.exc_text}" for record in caplog.records]
        hidden = scene.secrets() | set(TEST_CARDS) | {receipt.reference for receipt in receipts}
        assert scene.secrets()
        assert not [secret for secret in hidden for text in shown if secret in text]


def names(spend: Spend, listing_id: str) -> bool:
    """Whether a call was marked as one about this listing, or about the property that it is a part of."""
    return listing_id == spend.listing_id or spend.property_id in listing_id.split("/")


def ended(scene: Scene, verb: Capability, receipts: tuple[Receipt, ...]) -> list[str]:
    """All that a verb says that met a fault. A question fails; what is told may have outcomes that say how it ended."""
    try:
        outcomes = drained(scene, verb, receipts)
    except ChannelError as error:
        return whole_text(error)
    assert verb not in PULLS
    return [repr(outcomes)]
