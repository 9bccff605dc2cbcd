"""What is masked in a body that is kept, and what is left."""

import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.scrubbing import MARK, UNREADABLE, is_hidden, scrubbed_body

NOTHING: frozenset[tuple[str, ...]] = frozenset()


def scrubbed(value: object, kept: frozenset[tuple[str, ...]] = NOTHING) -> object:
    found: object = json.loads(scrubbed_body(json.dumps(value).encode(), kept))
    return found


def with_check_digit(digits: str) -> str:
    """The digits and the one that makes them pass Luhn's check."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        worth = int(digit) * (2 if place % 2 == 0 else 1)
        total += worth - 9 if worth > 9 else worth
    return f"{digits}{-total % 10}"


cards = st.text("0123456789", min_size=12, max_size=18).map(with_check_digit)


@pytest.mark.parametrize(
    "key",
    ["name", "guest_name", "firstName", "LAST-NAME", "surname", "e-mail", "email_address", "phone", "mobilePhone", "Address",
     "street", "postal_code", "zip", "city", "cardNumber", "card_holder", "number", "cvc", "cvv2", "expiry", "exp_month",
     "access_token", "client_secret", "password", "Authorization", "api-key", "signature", "notes", "comment", "message",
     "special_requests", "passport", "birth_date", "iban"],
)  # fmt: skip
def test_hidden_keys(key: str) -> None:
    """A key of a guest, a card or a secret, however it is written: all of its value is masked, the shape stays."""
    assert is_hidden(key)
    assert scrubbed({key: "x"}) == {key: MARK}
    assert scrubbed([{key: ["x", 1, {"a": 2.5, "b": None, "c": True}]}]) == [
        {key: [MARK, MARK, {"a": MARK, "b": None, "c": True}]}
    ]


@pytest.mark.parametrize(
    "key",
    ["id", "listing_id", "event", "type", "status", "start_date", "nights", "amount", "currency", "number_of_adults",
     "guest_details", "guests", "notificationId", "eventType", "uuid", "rate_plan_id", "availability", "updated_at"],
)  # fmt: skip
def test_other_keys(key: str) -> None:
    """Ids, dates, counts and amounts are what a body is kept for."""
    assert not is_hidden(key)


def test_numbers_stay_as_they_were_written() -> None:
    """No digit of an amount or an id is lost."""
    body = (
        b'{"a":1.10,"b":12345678901234567890123,"c":1E+2,"d":-0,"e":[0.1000000000000000055511151231257827]}'
    )
    assert scrubbed_body(body, NOTHING) == body


@given(cards, st.sampled_from(["", " ", "-", "."]), st.text(max_size=10), st.text(max_size=10))
def test_a_card_in_a_text(card: str, separator: str, before: str, after: str) -> None:
    """13 to 19 digits that pass Luhn's check are masked wherever they stand, in groups or not."""
    shown = separator.join(card[place : place + 4] for place in range(0, len(card), 4))
    text = f"{before}|{shown}|{after}"
    found = scrubbed({"remains": text, "list": [text], shown: 1})
    assert shown not in json.dumps(found, ensure_ascii=False)
    assert card not in json.dumps(found)


@given(cards.filter(lambda card: card[0] != "0"))
def test_a_card_as_a_number(card: str) -> None:
    """Also one that is no text."""
    assert scrubbed({"a": int(card)}) == {"a": MARK}


def test_a_card_behind_another_number() -> None:
    """A room's number before a card does not hide the card from us."""
    for text in ("12 4111111111111111", "4111 1111 1111 1111 12/30", "7-4111-1111-1111-1111-9", "1 " * 60):
        assert not re.search("1111|1 1 1", str(scrubbed(text)))


@pytest.mark.parametrize(
    "text", ["4111111111111112", "411111111111", "41111111111111111111", "2026-05-01 2026-05-04"]
)
def test_what_is_no_card(text: str) -> None:
    """Digits that fail the check, are too few or too many, or are two dates."""
    assert scrubbed({"a": text}) == {"a": text}


def test_addresses_and_phones_in_a_text() -> None:
    """E-mail addresses and international phone numbers go, times with an offset stay."""
    text = "write to ann.marie+1@example.co.uk or call +351 (911) 222-333 by 2026-05-01T10:00:00+00:00"
    assert scrubbed(text) == f"write to {MARK} or call {MARK} by 2026-05-01T10:00:00+00:00"


def test_kept_fields() -> None:
    """What a reader needs is kept though it looks like a card or stands under a hidden key; longer texts are not."""
    kept = frozenset({("a", "id"), ("message", "id"), ("rows", "id")})
    card = "4111111111111111"
    value = {"a": {"id": card}, "message": {"id": int(card)}, "rows": [{"id": card}, [{"id": 7}]]}
    assert scrubbed(value, kept) == value
    assert scrubbed({"b": {"id": card}, "a": {"id": [card]}}, kept) == {
        "b": {"id": MARK},
        "a": {"id": [card]},
    }
    assert scrubbed({"a": {"id": "x" * 65}}, kept) == {"a": {"id": MARK}}


def test_a_body_that_is_masked_again() -> None:
    """What was masked stays as it is."""
    once = scrubbed_body(b'{"name":"Ann","a":"ann@example.com","b":4111111111111111,"c":1.5}', NOTHING)
    assert scrubbed_body(once, NOTHING) == once


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b'{"a":"\xff"}', b'{"a":NaN}', b'{"a":"x@y.z\x01"}', b"name=Ann", b"0123"]
)
def test_a_malformed_body_never_becomes_well_formed(body: bytes) -> None:
    """Masking does not mend it: it is read as it was."""
    found = scrubbed_body(body, NOTHING)
    assert found.startswith(UNREADABLE.encode())
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(found)


def test_an_empty_body_stays_empty() -> None:
    """Nothing is not malformed."""
    assert scrubbed_body(b"", NOTHING) == b""


def test_malformed_bodies_in_other_forms() -> None:
    """XML, forms, headers and broken JSON lose the same."""
    for body in (
        '<Guest><FirstName lang="en">Ann</FirstName><Email>a@b.c</Email><Card number="4111111111111111"/></Guest>',
        "first_name=Ann&email=a%40b.c&phone=911222333&password=Ann",
        "Authorization: Bearer Ann911222333\r\nX-Name: Ann",
        '{"guest": {"name": "Ann", "phone": 911222333, "email": "a@b.c", "address": "Ann',
    ):
        found = scrubbed_body(body.encode(), NOTHING).decode()
        assert not re.search("Ann|a@b.c|a%40|4111|911222333", found.removeprefix(UNREADABLE)), found


@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    """Nothing that is sent makes masking fail."""
    scrubbed_body(body, NOTHING)


@pytest.mark.parametrize(
    "part",
    [b"a", b"@", b"a@", b"1", b"1 ", b"+1", b'"', b'":"', b"=", b"name=", b"<", b"<name>", b" ", b"\\", b"[", b'["a@b",'],
    ids=range(16),
)  # fmt: skip
def test_long_bodies_are_masked_in_time(part: bytes) -> None:
    """A megabyte of whatever is repeated takes seconds at most: no pattern goes back and forth."""
    began = time.monotonic()
    scrubbed_body((part * 1_048_576)[:1_048_576], NOTHING)
    scrubbed_body(json.dumps((part * 1_048_576)[:1_000_000].decode()).encode(), NOTHING)
    assert time.monotonic() - began < 30
