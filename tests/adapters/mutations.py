"""Good bodies changed in many small and large ways, and bodies made to exhaust whoever reads them."""

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any

from lxml import etree

_TOKENS = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"{", b"}", b"[", b"]", b'"', b"'", b"<", b">", b"/>", b"&",
    b"]]>", b"<![CDATA[", b"<!--", b"<?x", b"&#xD800;", b"&#0;", b"&amp;", b"&nope;", b"\\u0000", b"\\ud800", b"\r\n",
    b"1e999999999", b"NaN", b"-Infinity", b"null", b"true", b"-1", b"0", b"9" * 5000, b"1." + b"0" * 5000, b"[" * 3000,
    b'{"a":' * 900, b"<a>" * 3000, b"0000-00-00", b"9999-12-31", b"2026-02-30", b"4111111111111111", b"BEGIN:VEVENT\r\n",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 10**30, 10**4000, float("nan"), float("inf"), float("-inf"), 1e308, "", " ", "null",
    "NaN", "1e999999999", "Infinity", "-0", "0x10", "١٢٣", "\x00", "\ud800", "\u202e", "é" * 300, "9" * 5000, "<a/>",
    "0000-00-00", "9999-12-31", "0001-01-01", "2026-02-30", "2026-13-01T99:99:99Z", "EUR", "eur", "XXX", "../../etc",
    [], {}, [[]], [None], {"": None}, [1] * 2000, {"id": []}, "true", "4111111111111111",
)  # fmt: skip
_TEXTS = tuple(value for value in _VALUES if isinstance(value, str) and not {"\x00", "\ud800"} & set(value))
_ENCODINGS = ("utf-16", "utf-32", "utf-16-le", "cp037", "utf-7", "latin-1")
_BY_NAME = ("UTF-16", "UTF-7", "ISO-8859-1", "KOI8-R", "EBCDIC-CP-US", "x-nonsense", "")


def mutation(body: bytes, chance: Random) -> bytes:
    """The body with one to three changes."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        start = body.lstrip()[:1]
        if start in (b"{", b"[") and chance.random() < 0.6:
            body = _changed_json(body, chance)
        elif start == b"<" and chance.random() < 0.6:
            body = _changed_xml(body, chance)
        else:
            body = _changed_bytes(body, chance)
    return body


def extremes(good: bytes, many: int = 500_000) -> Iterator[tuple[str, bytes]]:
    """Bodies made to exhaust whoever reads them, in the good one's format; ``many`` parts of the shallow ones."""
    deep = 100_000
    if good.lstrip()[:1] == b"<":
        root = _root_tag(good)
        laughs = b"".join(
            b'<!ENTITY l%d "%b">' % (number, b"&l%d;" % (number - 1) * 10) for number in range(1, 12)
        )
        yield "billion laughs", _with_doctype(good, b'<!ENTITY l0 "lol">' + laughs, b"&l11;")
        yield "quadratic blow-up", _with_doctype(good, b'<!ENTITY a "%b">' % (b"a" * 50_000), b"&a;" * 2_000)
        yield "external entity", _with_doctype(good, b'<!ENTITY a SYSTEM "file:///etc/passwd">', b"&a;")
        yield "external document type", _inserted(good, b'<!DOCTYPE %b SYSTEM "http://127.0.0.1:9/x">' % root)
        yield "100,000 deep", b"<a>" * deep + b"</a>" * deep
        yield (
            "100,000 deep inside",
            good.replace(b"</" + root, b"<a>" * deep + b"</a>" * deep + b"</" + root, 1),
        )
        yield "100,000 attributes", b"<a " + b" ".join(b'a%d=""' % n for n in range(deep)) + b"/>"
        yield f"{many:,} elements", b"<a>" + b"<b/>" * many + b"</a>"
        return
    if good.lstrip()[:1] in (b"{", b"["):
        yield "100,000 deep lists", b"[" * deep + b"]" * deep
        yield "100,000 deep objects", b'{"data":' * deep + b"1" + b"}" * deep
        yield (
            "100,000 deep inside",
            good.rstrip()[:-1] + b',"data":' + b"[" * deep + b"]" * deep + good.rstrip()[-1:],
        )
        yield "a million digits", b'{"data":' + b"9" * 1_000_000 + b"}"
        yield "an exponent of nine digits", b'{"data":[1e999999999,-1E-999999999]}'
        yield f"{many:,} members", b"{" + b",".join(b'"%d":0' % n for n in range(many)) + b"}"
        return
    yield "one line of ten megabytes", good + b"X" * 10_000_000
    yield "100,000 deep", good + b"BEGIN:VEVENT\r\n" * deep


def _changed_bytes(body: bytes, chance: Random) -> bytes:
    start, end = sorted(chance.randrange(len(body) + 1) for _ in range(2))
    near = min(len(body), start + chance.randrange(40))
    match chance.randrange(9):
        case 0:
            flipped = (body[start] if start < len(body) else 0) ^ (1 << chance.randrange(8))
            changed = body[:start] + bytes([flipped]) + body[start + 1 :]
        case 1:
            changed = body[:start] + body[near:]
        case 2:
            changed = body[:start]
        case 3:
            changed = body[:start] + chance.choice(_TOKENS) + body[chance.choice((start, near)) :]
        case 4:
            changed = body[:near] + body[start:]
        case 5:
            changed = body[end:] + body[start:end] + body[:start]
        case 6:
            changed = body.decode("utf-8", "replace").encode(chance.choice(_ENCODINGS), "replace")
        case 7:
            changed = body + chance.choice(_TOKENS)
        case _:
            changed = chance.choice((b"", b" ", b"\x00" * 100, b"\xef\xbb\xbf" + body, body * 2))
    return changed


def _changed_json(body: bytes, chance: Random) -> bytes:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return _changed_bytes(body, chance)
    holders = list(_containers(value))
    if not holders:
        return json.dumps(chance.choice(_VALUES)).encode("utf-8", "surrogatepass")
    holder = chance.choice(holders)
    keys: list[Any] = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    key = chance.choice(keys)
    match chance.randrange(7):
        case 0:
            del holder[key]
        case 1:
            holder[key] = [holder[key]]
        case 2:
            holder[key] = {"value": holder[key]}
        case 3:
            holder[key] = _other_type(holder[key], chance)
        case 4 if isinstance(holder, list):
            holder.extend(copy.deepcopy(holder[key]) for _ in range(chance.choice((1, 1, 50))))
        case 5 if isinstance(holder, list):
            chance.shuffle(holder)
        case _:
            holder[key] = copy.deepcopy(chance.choice(_VALUES))
    try:
        return json.dumps(value, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    except ValueError:  # an int with too many digits for Python's own writing
        return body.replace(b":", b":" + b"9" * 5000, 1)


def _containers(value: object) -> Iterator[Any]:
    level = [value]
    while level:
        found = [each for each in level if isinstance(each, dict | list) and each]
        yield from found
        level = [child for each in found for child in (each.values() if isinstance(each, dict) else each)]


def _other_type(value: object, chance: Random) -> object:
    if isinstance(value, str):
        return chance.choice((0, [value], {value: value}, list(value), value * 2, value[:-1], float("nan")))
    if isinstance(value, bool) or value is None:
        return chance.choice((0, 1, "true", "null", []))
    if isinstance(value, int | float):
        return chance.choice((str(value), -value, value * 10**12, [value], f"{value}.5", f" {value} "))
    if isinstance(value, list):
        return {str(number): each for number, each in enumerate(value)}
    return list(value.items()) if isinstance(value, dict) else value


def _changed_xml(body: bytes, chance: Random) -> bytes:
    if chance.random() < 0.3:
        return _changed_markup(body, chance)
    try:
        root = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
    except (etree.LxmlError, ValueError):
        return _changed_bytes(body, chance)
    elements = [each for each in root.iter() if isinstance(each.tag, str)]
    element = chance.choice(elements)
    if element is not root and chance.random() < 0.5:
        _changed_place(element, chance)
    else:
        _changed_element(element, chance.choice(elements), chance)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _changed_place(element: Any, chance: Random) -> None:
    """An element removed, repeated, nested in others of its name, or put elsewhere among its siblings."""
    parent = element.getparent()
    match chance.randrange(4):
        case 0:
            parent.remove(element)
        case 1:
            for _ in range(chance.choice((1, 1, 50))):
                parent.append(copy.deepcopy(element))
        case 2:
            _nested(parent, element, chance.choice((1, 3, 100)))
        case _:
            children = list(parent)
            chance.shuffle(children)
            parent[:] = children


def _changed_element(element: Any, other: Any, chance: Random) -> None:
    """An element with another name, text or attribute."""
    match chance.randrange(5):
        case 0:
            element.tag, other.tag = other.tag, element.tag
        case 1:
            element.tag = chance.choice(("a", "{urn:other}" + etree.QName(element).localname, "Error"))
        case 2 if element.attrib:
            del element.attrib[chance.choice(list(element.attrib))]
        case 3:
            element.text = chance.choice(_TEXTS)
        case _:
            name = chance.choice([*element.attrib, "id", "date"])
            element.set(name, chance.choice(_TEXTS))


def _nested(parent: Any, element: Any, levels: int) -> None:
    place = parent.index(element)
    inner = element
    for _ in range(levels):
        outer = etree.Element(element.tag)
        outer.append(inner)
        inner = outer
    parent.insert(place, inner)


def _changed_markup(body: bytes, chance: Random) -> bytes:
    """What a tree cannot hold: document types, entities, repeated attributes, wrong encodings."""
    root = _root_tag(body)
    quote = body.find(b'="', body.find(b"<" + root))
    match chance.randrange(7):
        case 0:
            changed = _with_doctype(body, b'<!ENTITY a "4111111111111111">', b"&a;")
        case 1:
            changed = _with_doctype(body, b'<!ENTITY a SYSTEM "file:///etc/passwd">', b"&a;")
        case 2:
            changed = _inserted(body, b"<!DOCTYPE %b>" % root)
        case 3 if quote > 0:
            start = body.rfind(b" ", 0, quote)
            end = body.find(b'"', quote + 2) + 1
            changed = body[:end] + body[start:end] + body[end:]
        case 4:
            name = chance.choice(_BY_NAME).encode()
            changed = b'<?xml version="1.0" encoding="%b"?>' % name + body.split(b"?>", 1)[-1]
        case 5:
            changed = _inserted(body, b"<!-- a --><?php echo 1 ?>")
        case _:
            place = body.find(b">", chance.randrange(len(body))) + 1
            changed = body[:place] + chance.choice(_TOKENS) + body[place:]
    return changed


def _root_tag(body: bytes) -> bytes:
    """The root's name as it is written."""
    start = body.find(b"<")
    while body[start + 1 : start + 2] in (b"?", b"!"):
        start = body.find(b"<", start + 1)
    end = start + 1
    while end < len(body) and body[end : end + 1] not in b" \t\r\n/>":
        end += 1
    return body[start + 1 : end] or b"a"


def _inserted(body: bytes, before_the_root: bytes) -> bytes:
    place = max(0, body.find(b"<" + _root_tag(body)))
    return body[:place] + before_the_root + body[place:]


def _with_doctype(body: bytes, entities: bytes, used: bytes) -> bytes:
    """The body with a document type of these entities and a use of them before the root's end."""
    root = _root_tag(body)
    place = body.rfind(b"</" + root)
    inside = body[:place] + used + body[place:] if place > 0 else b"<%b>%b</%b>" % (root, used, root)
    return _inserted(inside, b"<!DOCTYPE %b [%b]>" % (root, entities))
