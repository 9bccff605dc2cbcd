"""What every channel's webhook promises. A channel passes by a subclass that names its scheme."""

import json
import string
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.accounts import Account
from adapters.errors import WebhookRefused
from adapters.factory import AdapterFactory
from adapters.model import Secret
from adapters.webhook import Delivery, Event, EventKind, Webhook
from tests.adapters.webhook_signing import Scheme, with_headers

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)

CARD, SPACED_CARD = "4111111111111111", "5500-0055-5555-5559"
CANARIES = (
    CARD,
    SPACED_CARD,
    "Canary",
    "canary@example.com",
    "911222333",
    "canary-token",
    "canary-password",
    "987-cvc",
)

# A guest, a card and secrets, under the keys that channels write them under.
PERSONAL: dict[str, Any] = {
    "guest_first_name": "Canary",
    "lastName": "Canary",
    "customer": {"name": "Canary", "mail": "canary@example.com", "phone": "911222333", "address": {"street": "Canary 1"}},
    "guest_phone_numbers": ["+351 911222333", 911222333],
    "emailAddress": "canary@example.com",
    "guarantee": {"card_number": CARD, "cvv": "987-cvc", "expiration_date": "12/2030", "cardholder_name": "Canary"},
    "card": {"number": int(CARD), "cvc": "987-cvc"},
    "auth": {"access_token": "canary-token", "Authorization": "Bearer canary-token", "password": "canary-password"},
    "secret": "canary-token",
    "special_requests": "Canary wants a cot",
    "log": f"charged {SPACED_CARD} of canary@example.com, call +351-911-222333",
    "reference": f"room 12 {CARD}",
    "a note to canary@example.com": None,
}  # fmt: skip

MALFORMED_PROOFS = (
    "",
    " ",
    ",",
    "v1",
    "v1,",
    "v1,=",
    "v1,AAAA",
    "v2,AAAA",
    "v1,AA==BB",
    "Bearer",
    "Bearer ",
    "Bearer a.b",
    "Bearer a.b.c",
    "Bearer eyJhbGciOiJub25lIn0.e30.",
    "Bearer " + "W" * 1000 + ".e30." + "A" * 43,
    "Basic YTpi",
    "Signature",
    'Signature keyId="',
    'Signature keyId="k",algorithm="rsa-sha256",headers="",delimiter="|",signature="AAAA"',
    'Signature keyId="k",algorithm="rsa-sha256",headers="host url method date content-type body",delimiter="|",signature=""',
    'Signature keyId="k",algorithm="none",headers="host url method date content-type body",delimiter="|",signature="AAAA"',
    "0" * 64,
    "=" * 10_000,
    "\x00",
    "é",
    "٣",
    "\ud800",
    '{"alg":"none"}',
)

UNREADABLE_BODIES = (
    b"",
    b"{",
    b"null",
    b"[]",
    b"17",
    b'"x"',
    b"\xff\xfe",
    b"<xml/>",
    b'{"a":NaN}',
    b'{"a":1e99999999999999999999}',
    b'{"a":' + b"9" * 5000 + b"}",
    b"[" * 100_000,
    b'{"a":' * 500 + b"1" + b"}" * 500,
    # The same under a key that is hidden: what is kept must not become readable by it.
    b'{"name":NaN}',
    b'{"name":1e99999999999999999999}',
    b'{"name":' + b"9" * 5000 + b"}",
    b'{"name":' + b"[" * 70 + b"]" * 70 + b"}",
)

json_leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**12, 10**19)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        [CARD, SPACED_CARD, "2026-05-01", "2026-02-02 10:00:00+00:00", "x@y.z", "***", "A" * 65]
    )
)
hostile_json = st.recursive(
    json_leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
printable = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=40)


# One test of several classes: each channel looks for its own counterexamples.
of_each_channel = settings(suppress_health_check=[HealthCheck.differing_executors])


class WebhookContract:
    """Subclass it in a module that pytest collects."""

    scheme: ClassVar[Scheme]

    @pytest.fixture
    def webhook(self) -> Webhook:
        """The channel's webhook, as the gateway gets it."""
        return AdapterFactory.get_webhook(self.scheme.channel)

    def signed(self, account: Account, body: bytes | None = None, at: datetime = NOW) -> Delivery:
        """A delivery that is signed with the account's newest secret."""
        return self.scheme.sign(self.scheme.delivery(body), account, at)

    # Who sent it.

    def test_a_good_signature_is_accepted(self, webhook: Webhook) -> None:
        """What the channel sends passes, at once and again: to sort out the second one is not the verifier's."""
        account = self.scheme.account()
        for _ in range(2):
            webhook.verify(self.signed(account), account, NOW)

    def test_a_missing_proof_is_refused(self, webhook: Webhook) -> None:
        """Without any one of the headers that the scheme needs, nothing passes."""
        account = self.scheme.account()
        good = self.signed(account)
        for name in (self.scheme.proof, *self.scheme.covered_headers):
            refused(webhook, without(good, name), account)

    @pytest.mark.parametrize("proof", MALFORMED_PROOFS, ids=range(len(MALFORMED_PROOFS)))
    def test_a_malformed_proof_is_refused(self, webhook: Webhook, proof: str) -> None:
        """Whatever stands in its place is a refusal and no other error."""
        account = self.scheme.account()
        good = self.signed(account)
        for name in (self.scheme.proof, *self.scheme.covered_headers):
            refused(webhook, changed(good, name, proof), account)

    def test_a_proof_that_was_changed_anywhere_is_refused(self, webhook: Webhook) -> None:
        """One character changed, added or left out, at every place: refused, unless the scheme does not look at it."""
        account = self.scheme.account()
        good = self.signed(account)
        for name in (self.scheme.proof, *self.scheme.covered_headers):
            value = good.headers[name]
            for other in neighbours(value):
                if name != self.scheme.proof or self.scheme.meaning(other) != self.scheme.meaning(value):
                    refused(webhook, changed(good, name, other), account)

    def test_a_body_that_was_changed_is_refused_or_not_believed(self, webhook: Webhook) -> None:
        """Where the body is signed one byte counts; where it is not, a delivery never carries a booking."""
        account = self.scheme.account()
        good = self.signed(account)
        if not self.scheme.covers_body:
            assert [event.booking for event in webhook.events(good)] == [None]
            return
        for place in range(len(good.body)):
            body = bytearray(good.body)
            body[place] ^= 1
            refused(webhook, replace(good, body=bytes(body)), account)
        for body_too in (b"", good.body[:-1], good.body + b" ", good.body * 2):
            refused(webhook, replace(good, body=body_too), account)

    def test_a_stale_proof_is_refused(self, webhook: Webhook) -> None:
        """A proof is good for as long as is told, in either direction of time, and not a second longer."""
        account = self.scheme.account()
        good = self.signed(account)
        if self.scheme.lasts is None:
            webhook.verify(good, account, NOW + timedelta(days=3650))
            return
        webhook.verify(good, account, NOW + self.scheme.lasts - SECOND)
        for shift in (self.scheme.lasts + SECOND, -self.scheme.lasts - SECOND, timedelta(days=3650)):
            refused(webhook, good, account, NOW + shift)

    # Secrets.

    def test_the_secret_before_is_good_while_it_is_replaced(self, webhook: Webhook) -> None:
        """With two secrets configured both sign; a broken one of them does not cost the other."""
        both = self.scheme.account(now=1, before=0)
        webhook.verify(self.signed(self.scheme.account(now=0)), both, NOW)
        webhook.verify(self.signed(self.scheme.account(now=1)), both, NOW)

    def test_a_secret_that_was_removed_is_refused(self, webhook: Webhook) -> None:
        """After the replacement the old secret signs nothing."""
        refused(webhook, self.signed(self.scheme.account(now=0)), self.scheme.account(now=1))

    def test_the_secret_of_another_account_is_refused(self, webhook: Webhook) -> None:
        """A delivery to one account does not pass for one to another."""
        refused(webhook, self.signed(self.scheme.account("other", now=2)), self.scheme.account())

    @pytest.mark.parametrize("value", [None, "", " ", "\n"])
    def test_no_secret_is_refused(self, webhook: Webhook, value: str | None) -> None:
        """Closed, never open: an account without a secret, or with an empty one, is sent nothing."""
        account = self.scheme.account()
        empty = {} if value is None else dict.fromkeys(account.secrets, Secret(value))
        refused(webhook, self.signed(account), replace(account, secrets=empty))

    @of_each_channel
    @given(st.text(max_size=60), st.binary(max_size=60), st.dictionaries(printable, printable, max_size=4))
    def test_nothing_but_refusals(self, text: str, body: bytes, headers: dict[str, str]) -> None:
        """Any delivery to any account is refused, in the one way there is."""
        webhook = AdapterFactory.get_webhook(self.scheme.channel)
        account = self.scheme.account()
        given_headers = {**self.signed(account).headers, **headers, self.scheme.proof: text}
        refused(webhook, Delivery(text, text, text, text, given_headers, body), account)
        secrets = dict.fromkeys(account.secrets, Secret(text))
        other = Account("other", text, dict.fromkeys(SETTINGS, text), secrets)
        refused(webhook, replace(self.signed(account), body=body), other)

    def test_no_refusal_tells_a_secret(self, webhook: Webhook) -> None:
        """Neither a secret nor a proof nor a body is in a refusal or behind it."""
        account = self.scheme.account(now=1, before=0)
        good = self.signed(account)
        attempts = [
            replace(good, headers={}),
            replace(good, body=good.body + b"."),
            *(changed(good, self.scheme.proof, proof) for proof in MALFORMED_PROOFS),
            *(
                changed(good, self.scheme.proof, good.headers[self.scheme.proof][:-places])
                for places in (1, 9)
            ),
        ]
        untold = [secret.reveal() for secret in account.secrets.values()]
        untold += [good.headers[self.scheme.proof], "metadata", "reservation", "payload", "notificationId"]
        for attempt in attempts:
            if attempt.headers == good.headers and not self.scheme.covers_body:
                continue
            error = refused(webhook, attempt, account)
            assert not [each for each in untold for text in whole_text(error) if each in text]

    def test_no_secret_is_kept(self, webhook: Webhook) -> None:
        """The headers that are stored with a delivery hold neither proof nor secret."""
        assert self.scheme.proof not in webhook.kept_headers
        assert not {"authorization", "cookie", "x-api-key"} & set(webhook.kept_headers)
        assert set(webhook.secret_names) == set(self.scheme.secrets(0))

    # What it says.

    def test_a_known_event(self, webhook: Webhook) -> None:
        """The sample is an event of a known kind under the channel's own word."""
        (event,) = webhook.events(self.signed(self.scheme.account()))
        assert event.name == self.scheme.known_event
        assert event.kind is not EventKind.UNKNOWN
        assert event.problem is None

    @pytest.mark.parametrize("name", ["a_kind_of_2031", "x.y.z", "UPPER"])
    def test_an_unknown_kind_is_an_event(self, webhook: Webhook, name: str) -> None:
        """A kind that this version does not know is UNKNOWN, under its name."""
        body = json.dumps(self.scheme.body(name)).encode()
        (event,) = webhook.events(self.signed(self.scheme.account(), body))
        assert (event.kind, event.name) == (EventKind.UNKNOWN, name)

    @pytest.mark.parametrize("name", ["", "Ann <canary@example.com>", "x" * 65, "a b", "\ud800", "a\n"])
    def test_a_name_that_is_none_is_not_shown(self, webhook: Webhook, name: str) -> None:
        """What stands for an event's name and is no word may be anybody's: it is not handed on."""
        body = json.dumps(self.scheme.body(name)).encode()
        (event,) = webhook.events(self.signed(self.scheme.account(), body))
        assert event.kind is EventKind.UNKNOWN
        assert name not in repr(event) or not name

    @pytest.mark.parametrize(
        "body",
        UNREADABLE_BODIES,
        ids=range(len(UNREADABLE_BODIES)),
    )
    def test_a_body_that_cannot_be_read_is_an_event(self, webhook: Webhook, body: bytes) -> None:
        """It is UNKNOWN and says what is wrong, without a word of it."""
        delivery = self.signed(self.scheme.account(), body)
        (event,) = webhook.events(delivery)
        assert (event.kind, event.problem) == (EventKind.UNKNOWN, "the body is not a JSON object")
        assert webhook.events(kept(webhook, delivery)) == (event,)

    def test_the_same_delivery_twice_is_the_same_event(self, webhook: Webhook) -> None:
        """Sent again, with a new proof and at another time, a delivery gives an equal event."""
        account = self.scheme.account()
        once = webhook.events(self.signed(account))
        assert (
            once
            == webhook.events(self.signed(account, at=NOW + SECOND))
            == webhook.events(self.signed(account))
        )

    @of_each_channel
    @given(st.data())
    def test_events_of_anything(self, data: st.DataObject) -> None:
        """Whatever stands in a body, events are read, and the same ones from what is kept of the delivery."""
        webhook = AdapterFactory.get_webhook(self.scheme.channel)
        body = json.dumps(altered(self.scheme.body(self.scheme.known_event), data)).encode()
        delivery = self.scheme.delivery(body)
        events = webhook.events(delivery)
        assert [type(event) for event in events] == [Event] * len(events) != []
        assert webhook.events(kept(webhook, delivery)) == events

    # What is kept of it.

    def test_no_guest_is_kept(self, webhook: Webhook) -> None:
        """Guests, cards and secrets are gone from what is kept, at any depth; what was read of it is the same."""
        sample = self.scheme.body(self.scheme.known_event)
        nested: dict[str, Any] = {**sample, **PERSONAL, "deep": [{"er": [PERSONAL]}]}
        for key, value in sample.items():
            if isinstance(value, dict):
                nested[key] = {**PERSONAL, **value, "more": [PERSONAL]}
        delivery = self.signed(self.scheme.account(), json.dumps(nested).encode())
        body = webhook.scrubbed(delivery.body)
        assert not [canary for canary in CANARIES if canary in body.decode()]
        assert isinstance(json.loads(body), dict)
        assert webhook.events(kept(webhook, delivery)) == webhook.events(delivery)
        assert not [canary for canary in CANARIES if canary in repr(webhook.events(delivery))]

    def test_no_guest_is_kept_of_a_malformed_body(self, webhook: Webhook) -> None:
        """The same where the body breaks off, is a form, or is no text at all."""
        whole = json.dumps({**self.scheme.body(self.scheme.known_event), **PERSONAL}).encode()
        broken = [whole[:-1], whole + b"}", b"\xff" + whole, whole.replace(b'"', b"'")]
        broken += [whole[:length] for length in range(len(whole) - 40, len(whole), 7)]
        broken += [b"guest_name=Canary&email=canary@example.com&card=4111111111111111&token=canary-token"]
        broken += [b"Authorization: Bearer canary-token\nName: Canary\nPhone: 911 222 333"]
        for body in broken:
            kept_body = webhook.scrubbed(body).decode()
            assert not [canary for canary in CANARIES if canary in kept_body], kept_body
            assert webhook.events(Delivery("POST", "", "/", body=webhook.scrubbed(body))) == webhook.events(
                Delivery("POST", "", "/", body=body)
            )


SETTINGS = (
    "webhook_tolerance_s", "webhook_host_port", "webhook_header", "webhook_client_id", "webhook_signature_header",
    "webhook_timestamp_header",
)  # fmt: skip


def refused(webhook: Webhook, delivery: Delivery, account: Account, now: datetime = NOW) -> WebhookRefused:
    """The refusal of the delivery."""
    with pytest.raises(WebhookRefused) as caught:
        webhook.verify(delivery, account, now)
    return caught.value


def without(delivery: Delivery, name: str) -> Delivery:
    """The delivery without one header."""
    return replace(delivery, headers={key: value for key, value in delivery.headers.items() if key != name})


def changed(delivery: Delivery, name: str, value: str) -> Delivery:
    """The delivery with another value of one header."""
    return with_headers(delivery, **{name: value})


def neighbours(value: str) -> Iterator[str]:
    """Values that are one character away, at every place; among them those that base64 reads as the same bytes."""
    for place, character in enumerate(value):
        before, after = value[:place], value[place + 1 :]
        yield before + after
        for other in ("A", "0", "=", " ", character.swapcase(), *same_but_for_low_bits(character)):
            if character != other:
                yield before + other + after
            yield before + other + value[place:]
    yield from (value + " ", " " + value, value + "=", value * 2)


def same_but_for_low_bits(character: str) -> list[str]:
    """The digits of base64, in both alphabets, that differ from this one in bits that may be padding."""
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits
    return [
        alphabet[alphabet.index(character) ^ bit]
        for alphabet in (letters + "+/", letters + "-_")
        if character in alphabet
        for bit in (1, 2, 4, 8)
    ]


def kept(webhook: Webhook, delivery: Delivery) -> Delivery:
    """What is stored of a delivery."""
    headers = {name: value for name, value in delivery.headers.items() if name in webhook.kept_headers}
    return replace(delivery, headers=headers, body=webhook.scrubbed(delivery.body))


def altered(value: Any, data: st.DataObject) -> Any:
    """The value with some of its leaves and branches replaced or left out."""
    if data.draw(st.integers(0, 9)) == 0:
        return data.draw(hostile_json)
    if isinstance(value, dict):
        return {key: altered(each, data) for key, each in value.items() if data.draw(st.integers(0, 9))}
    return value


def whole_text(error: BaseException | None) -> list[str]:
    """Everything that an error and those behind it say."""
    found: list[str] = []
    while error is not None:
        found += [str(error), repr(error), repr(error.args)]
        error = error.__cause__ or error.__context__
    return found
