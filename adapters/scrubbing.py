"""A delivery's body as it may be kept: without what identifies a guest, card data and secrets.

Keys decide what is hidden in JSON; what looks like a card, an e-mail address or an international phone number is
hidden wherever it stands. The fields that a channel's reader needs are named by it and kept as they are, so that
the scrubbed body reads as the body did.
"""

import json
import re
from collections.abc import Iterator, Mapping

from adapters.json_body import Literal, json_value

MARK = "***"  # no id, date, number or word that any reader accepts
UNREADABLE = "not JSON: "  # before a malformed body, so that masking never makes it well-formed

LONGEST_KEPT = 64  # characters: no id, date, amount or event's name is longer
LONGEST_TOKEN = 4_096

Path = tuple[str, ...]

# Fragments of a key, without its capitals and separators: "guest_first_name", "emailAddress", "cardNumber".
_HIDDEN_PARTS = re.compile(
    "name|mail|phone|mobile|address|street|postal|postcode|zipcode|birth|passport|nationality"
    "|card|cvc|cvv|exp(?:ir|month|year|date)|iban|accountnumber"
    "|token|secret|passw|authoriz|apikey|credential|signature|cookie"
    "|note|comment|remark|message|specialrequest"
)
_HIDDEN_KEYS = frozenset(
    {
        "number", "pan", "zip", "city", "fax", "text", "content", "body", "subject",
        "line1", "line2", "line3", "gender", "first", "last", "auth",
    }
)  # fmt: skip
_SEPARATORS = re.compile("[^a-z0-9]")

_EMAIL = re.compile(r"[^\s@\"'<>,;:()\[\]{}\\]{1,64}@[^\s@\"'<>,;:()\[\]{}\\]{1,255}")
_PHONE = re.compile(r"\+\d(?:[ ().-]{0,2}\d){7,14}")
_DIGIT_GROUPS = re.compile(r"\d+(?:[ .\u00a0-]\d+)*")
_CARD_LENGTHS = range(13, 20)
_MOST_GROUPS = 40  # more digits one by one are hidden unlooked at: trying them all would take too long

# In a body that is not JSON: the value behind a key, and any run of digits that is long enough for a phone.
_QUOTED_FIELD = re.compile(
    r"""(["'])([^"'\\\n]{1,64})\1(\s{0,9}[:=]\s{0,9})("(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[^\s,;}\]"']+)"""
)
_PLAIN_FIELD = re.compile(
    r"""(?<![\w.-])([\w.-]{1,64})([ \t]{0,2}[:=][ \t]{0,2})("[^"]*"?|'[^']*'?|[^\n&;,<>"'{}\[\]]+)"""
)
_ELEMENT = re.compile(r"<([\w:.-]{1,64})((?:\s[^<>]{0,1000})?>)([^<>]+)")
_LONG_NUMBER = re.compile(r"\+?\d(?:[ ()./-]{0,3}\d){6,}")


def scrubbed_body(body: bytes, kept: frozenset[Path], tokens: frozenset[Path] = frozenset()) -> bytes:
    """``body`` with MARK in place of what must not be kept. ``kept`` are the paths of keys a reader needs.

    A list stands on the path of its key: {"updates": [{"id": 1}]} has ("updates", "id"). A kept string longer than
    LONGEST_KEPT, or than LONGEST_TOKEN on a path of ``tokens``, is hidden. A malformed body comes back as text,
    beginning with UNREADABLE.
    """
    if not body:
        return body
    try:
        value = json_value(body, literal_numbers=True)
    except ValueError:
        return _masked_text(body)
    longest = dict.fromkeys(kept, LONGEST_KEPT) | dict.fromkeys(tokens, LONGEST_TOKEN)
    return _written(value, (), longest, hidden=False).encode()


def is_hidden(key: str) -> bool:
    """Whether what stands under this key is hidden whatever it is."""
    plain = _SEPARATORS.sub("", key.lower())
    return plain in _HIDDEN_KEYS or _HIDDEN_PARTS.search(plain) is not None


def _written(value: object, path: Path, kept: Mapping[Path, int], *, hidden: bool) -> str:
    """The value as JSON, kept strings up to so many characters. Under a hidden key the shape stays and every leaf is the mark."""
    if isinstance(value, dict):
        members = (
            f"{json.dumps(_masked(key))}:"
            + _written(each, (*path, key), kept, hidden=hidden or is_hidden(key))
            for key, each in value.items()
        )
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_written(each, path, kept, hidden=hidden) for each in value) + "]"
    if not isinstance(value, str):
        return json.dumps(value)  # true, false, null
    if path in kept:
        shown = value if len(value) <= kept[path] else MARK
    else:
        shown = MARK if hidden else _masked(value)
    return shown if isinstance(value, Literal) and shown == value else json.dumps(str(shown))


def _masked(text: str) -> str:
    """The text without cards, e-mail addresses and international phone numbers."""
    if "@" in text:
        text = _EMAIL.sub(MARK, text)
    if "+" in text:
        text = _PHONE.sub(MARK, text)
    return _DIGIT_GROUPS.sub(_without_cards, text)


def _without_cards(found: re.Match[str]) -> str:
    text = found.group()
    if len(text) < _CARD_LENGTHS.start:
        return text
    groups = re.findall(r"\d+", text)
    is_card = len(groups) > _MOST_GROUPS or any(map(_passes_luhn, _card_candidates(groups)))
    return MARK if is_card else text


def _card_candidates(groups: list[str]) -> Iterator[str]:
    """Every 13 to 19 digits of neighbouring groups: a room number may stand before a card."""
    for start in range(len(groups)):
        digits = ""
        for group in groups[start:]:
            digits += group
            if len(digits) >= _CARD_LENGTHS.stop:
                break
            if len(digits) in _CARD_LENGTHS:
                yield digits


def _passes_luhn(digits: str) -> bool:
    odd, even = digits[-1::-2], digits[-2::-2]
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in even)
    return (sum(map(int, odd)) + doubled) % 10 == 0


def _masked_text(body: bytes) -> bytes:
    text = body.decode("utf-8", "replace")
    text = _QUOTED_FIELD.sub(lambda m: f"{m[1]}{m[2]}{m[1]}{m[3]}{MARK}" if is_hidden(m[2]) else m[0], text)
    text = _PLAIN_FIELD.sub(lambda m: f"{m[1]}{m[2]}{MARK}" if is_hidden(m[1]) else m[0], text)
    text = _ELEMENT.sub(lambda m: f"<{m[1]}{m[2]}{MARK}" if is_hidden(m[1]) else m[0], text)
    if "@" in text:
        text = _EMAIL.sub(MARK, text)
    return (UNREADABLE + _LONG_NUMBER.sub(MARK, text)).encode()
