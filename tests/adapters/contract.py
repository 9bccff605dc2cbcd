"""What every channel promises, proven over real HTTP before the sandbox.

A channel passes by a subclass that names it. What is skipped is decided by what the channel declares, never by
which channel it is.
"""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from adapters.model import ONE_DAY, BookingStatus, Evidence, Money, Receipt, Stay, Validators
from channel_sync.resilience import quota_keys
from channel_sync.sandbox.faults import Fault
from tests.adapters.scene import NOW, TOO_LATE, Scene, scene_of

TOMORROW = NOW.date() + ONE_DAY
LONG_AGO = NOW - timedelta(days=3650)
WINDOWS = [
    Stay(TOMORROW, TOMORROW + ONE_DAY),
    Stay(TOMORROW + 9 * ONE_DAY, TOMORROW + 30 * ONE_DAY),
    Stay(TOMORROW, TOMORROW + 400 * ONE_DAY),
]
WINDOW = WINDOWS[1]

# Each verb as the engine calls it, drained.
VERBS: Mapping[Capability, Callable[[Scene], Iterable[object] | None]] = {
    Capability.LIST_LISTINGS: lambda scene: scene.adapter.list_listings(),
    Capability.PULL_AVAILABILITY: lambda scene: scene.adapter.pull_availability(
        scene.listings[0], WINDOW, Validators()
    ),
    Capability.PULL_PRICING: lambda scene: scene.adapter.pull_pricing(scene.listings[0], WINDOW),
    Capability.PULL_BOOKINGS: lambda scene: scene.adapter.pull_bookings(scene.listings, LONG_AGO, NOW),
    Capability.ACKNOWLEDGE_BOOKINGS: lambda scene: scene.adapter.acknowledge_bookings([Receipt("HM1", "HM1")]),
    Capability.PUSH_AVAILABILITY: lambda scene: scene.adapter.push_availability([]),
    Capability.PUSH_PRICING: lambda scene: scene.adapter.push_pricing([]),
}
PULLS = [
    Capability.LIST_LISTINGS,
    Capability.PULL_AVAILABILITY,
    Capability.PULL_PRICING,
    Capability.PULL_BOOKINGS,
]

# Two letters or more, and no number but that of a protocol's version: it stands in the keys and rows of counters.
ENDPOINT = re.compile("[a-z][a-z_]+[0-9]?")

every_verb = pytest.mark.parametrize("verb", list(Capability), ids=str)
every_window = pytest.mark.parametrize("window", WINDOWS, ids=lambda window: f"{len(window)}-nights")

# Everything that can go wrong on the way back, once: for what must hold whatever goes wrong.
EVERYTHING_WRONG = (
    *(Fault("status", code=code) for code in (302, 400, 401, 403, 404, 408, 409, 410, 422, 429, 500, 503)),
    Fault("status", code=429, retry_after="30"),
    TOO_LATE,
    Fault("drop"),
    Fault("drop", after="headers"),
    Fault("truncate", bytes=40),
    Fault("html"),
    Fault("empty_body"),
    Fault("wrong_shape"),
)


class ChannelContract:
    """Subclass it as ``Test...`` and set ``channel`` to the channel's name in the factory."""

    channel: str

    @pytest.fixture
    def scene(self) -> Iterator[Scene]:
        """The sample portfolio's account on this channel, before a sandbox of its own."""
        with scene_of(self.channel) as scene:
            yield scene

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test that takes a ``pull`` runs for each one that the channel declares."""
        if "pull" in metafunc.fixturenames:
            capabilities = AdapterFactory.get_adapter(self.channel).declaration.capabilities
            metafunc.parametrize("pull", [pull for pull in PULLS if pull in capabilities], ids=str)

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
                drained(scene, verb)
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
            assert spend.listing_id in (None, scene.listings[0].listing_id)
            assert spend.cost >= 1

    def test_a_listings_calls_are_counted_as_its_own(self, scene: Scene, pull: Capability) -> None:
        """A pull of one listing names it in every request but those of the account."""
        if pull not in (Capability.PULL_AVAILABILITY, Capability.PULL_PRICING):
            pytest.skip("not a pull of one listing")
        drained(scene, pull)
        assert {spend.listing_id for spend in scene.spends} >= {scene.listings[0].listing_id}

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
        for listing in scene.listings:
            pages = list(scene.adapter.pull_availability(listing, window, Validators()))
            truth = scene.sandbox.world.closed_nights(
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

    @every_window
    def test_prices_are_the_truth(self, scene: Scene, window: Stay) -> None:
        """Each night of the half-open window has its price once, to the last digit, and its restrictions."""
        declared(scene, Capability.PULL_PRICING)
        for listing in scene.listings:
            pages = list(scene.adapter.pull_pricing(listing, window))
            truth = scene.sandbox.world.calendar(
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
        """Every booking ever made comes with its nights, status, time and money."""
        declared(scene, Capability.PULL_BOOKINGS)
        pages = list(scene.adapter.pull_bookings(scene.listings, LONG_AGO, NOW + ONE_DAY))
        found = {booking.booking_id: booking for page in pages for booking in page.bookings}
        truth = {booking.code: booking for booking in scene.sandbox.world.bookings(NOW)}
        assert found.keys() == truth.keys() != set()
        assert not [problem for page in pages for problem in page.problems]
        for code, true in truth.items():
            assert found[code].listing_id == true.listing_id
            assert found[code].stay == Stay(true.check_in, true.check_out)
            assert (found[code].status is BookingStatus.CONFIRMED) is true.confirmed
            assert (found[code].booked_at, found[code].revised_at) == (true.booked_at, true.updated_at)
            assert found[code].payout == Money(true.payout, true.currency)

    def test_changes_belong_to_one_window(self, scene: Scene) -> None:
        """Two windows that touch share no booking and lose none, even when one changed at the very edge."""
        declared(scene, Capability.PULL_BOOKINGS)
        changes = sorted(booking.updated_at for booking in scene.sandbox.world.bookings(NOW))
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
        assert [listing.listing_id for listing in listed] == list(scene.sandbox.world.listings)
        currencies = {listing.listing_id: listing.currency for listing in scene.listings}
        assert {listing.listing_id: listing.currency for listing in listed} == currencies

    def test_no_guest_comes_through(self, scene: Scene, pull: Capability) -> None:
        """The wire is full of guests; nothing that an adapter hands on holds one."""
        shown = repr(drained(scene, pull))
        for booking in scene.sandbox.world.bookings(NOW):
            guest = booking.guest
            assert not [part for part in (guest.last_name, guest.email, guest.phone) if part in shown]

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

    def test_nothing_is_asked_before_it_is_wanted(self, scene: Scene, pull: Capability) -> None:
        """A pull makes its first request when its first page is asked for."""
        pages = iter(VERBS[pull](scene) or ())
        assert not scene.sandbox.calls
        next(pages)
        assert scene.sandbox.calls

    # What goes wrong.

    @pytest.mark.parametrize("status", [401, 403])
    def test_refused_credentials(self, scene: Scene, pull: Capability, status: int) -> None:
        """Refused credentials are for a person to mend."""
        with_fault(scene, pull, Fault("status", code=status), AuthenticationFailed)

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
        self, scene: Scene, pull: Capability, header: str | None, seconds: float | None
    ) -> None:
        """A limit is told with the time to wait, in both forms of Retry-After, or without one."""
        error = with_fault(scene, pull, Fault("status", code=429, retry_after=header), RateLimited)
        assert isinstance(error, RateLimited)
        assert error.retry_after == seconds

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    def test_a_fault_of_the_channel(self, scene: Scene, pull: Capability, status: int) -> None:
        """A fault of the channel's own may pass: the call can be repeated."""
        with_fault(scene, pull, Fault("status", code=status), Unavailable)

    def test_nothing_there(self, scene: Scene, pull: Capability) -> None:
        """What the channel does not know it does not know: repeating the call is useless."""
        with_fault(scene, pull, Fault("status", code=404), Rejected)

    @pytest.mark.parametrize(
        "fault",
        [TOO_LATE, Fault("drop"), Fault("drop", after="headers")],
        ids=["timeout", "dropped", "dropped-after-headers"],
    )
    def test_no_answer(self, scene: Scene, pull: Capability, fault: Fault) -> None:
        """A question without an answer changed nothing and can be asked again."""
        with_fault(scene, pull, fault, Unavailable)

    def test_nobody_there(self, scene: Scene, pull: Capability) -> None:
        """A refused connection can be tried again."""
        scene.adapter.verify_credentials()
        scene.sandbox.__exit__(None, None, None)
        with pytest.raises(Unavailable):
            drained(scene, pull)

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
        self, scene: Scene, pull: Capability, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Whatever goes wrong, no secret or token is in an error, its causes, a log record or a repr."""
        caplog.set_level(logging.DEBUG)
        # httpx logs every URL, and a feed's URL is a secret: the composition root raises these two levels.
        for name in ("httpx", "httpcore"):
            caplog.set_level(logging.WARNING, logger=name)
        shown = [repr(drained(scene, pull))]
        for fault in EVERYTHING_WRONG:
            for method in ("*", "GET"):
                scene.goes_wrong(replace(fault, method=method))
                with pytest.raises(ChannelError) as caught:
                    drained(scene, pull)
                shown += whole_text(caught.value)
        shown += [repr(scene.adapter), repr(scene.account), repr(scene.listings), repr(scene.tokens.stored)]
        shown += [f"{record.getMessage()} {record.args!r} {record.exc_text}" for record in caplog.records]
        assert scene.secrets()
        assert not [secret for secret in scene.secrets() for text in shown if secret in text]


def declared(scene: Scene, verb: Capability) -> None:
    """Skip the test unless the channel declares the verb."""
    if verb not in scene.adapter.declaration.capabilities:
        pytest.skip(f"{scene.adapter.declaration.title} does not declare {verb}")


def drained(scene: Scene, verb: Capability) -> list[object]:
    """All that a verb gives."""
    return list(VERBS[verb](scene) or ())


def with_fault(
    scene: Scene,
    verb: Capability,
    fault: Fault,
    expected: type[ChannelError] | tuple[type[ChannelError], ...],
) -> ChannelError:
    """Let every question meet the fault, after the credentials were accepted; the error that it becomes."""
    scene.adapter.verify_credentials()
    scene.goes_wrong(replace(fault, method="GET"))
    with pytest.raises(expected) as caught:
        drained(scene, verb)
    assert caught.value.__cause__ is None
    return caught.value


def whole_text(error: BaseException | None) -> list[str]:
    """Everything that an error and those behind it say, with their attributes."""
    found: list[str] = []
    while error is not None:
        found += [str(error), repr(error), repr(error.args), repr(vars(error))]
        found += whole_text(error.__cause__)
        error = error.__context__
    return found
