"""XML is read hardened: what could expand, reach out or go on for ever is refused before anybody sees it."""

import pytest
from lxml import etree

from adapters.xml_body import DEEPEST, read_xml, written_xml

_LAUGHS = b"<!DOCTYPE l [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;'><!ENTITY c '&b;&b;&b;&b;'>]><l>&c;</l>"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<a>",
        b"<a></b>",
        b"<a>&unknown;</a>",
        b"<a b='1' b='2'/>",
        b"<!DOCTYPE a><a/>",
        _LAUGHS,
        b"<!DOCTYPE a SYSTEM 'http://127.0.0.1:9/a.dtd'><a/>",
        b"<!DOCTYPE a [<!ENTITY f SYSTEM 'file:///etc/passwd'>]><a>&f;</a>",
        "<!DOCTYPE a><a/>".encode("utf-16"),
        b"<?xml version='1.0' encoding='no-such'?><a/>",
        b"\xff\xfe<a/>",
        b"<a>\x00</a>",
    ],
)
def test_what_is_not_plain_xml_is_refused_without_a_word_of_it(body: bytes) -> None:
    """No document type, no entity, nothing malformed; the error repeats nothing and has nothing behind it."""
    with pytest.raises(ValueError, match=r"^the body is not XML that we read$") as caught:
        read_xml(body)
    assert caught.value.__context__ is None


def test_depth_is_bounded() -> None:
    """DEEPEST levels are read, one more is not, and a hundred thousand cost no stack."""

    def nested(levels: int) -> bytes:
        return b"<a>" * levels + b"</a>" * levels

    assert "a" == read_xml(nested(DEEPEST)).tag
    for levels in (DEEPEST + 1, 100_000):
        with pytest.raises(ValueError, match="not XML that we read"):
            read_xml(nested(levels))


def test_what_is_dropped_is_gone_with_all_it_holds() -> None:
    """By its local name in any namespace and at any depth; what stands around it stays."""
    body = (
        b'<r xmlns:x="urn:x"><x:Card n="4111111111111111"><Holder>Ana</Holder></x:Card><keep>1</keep>'
        b"<deep><Card>5500005555555559</Card>tail</deep></r>"
    )
    shown = etree.tostring(read_xml(body, {"Card"}))
    assert b"<keep>1</keep>" in shown
    assert not [word for word in (b"4111", b"5500", b"Ana", b"Card") if word in shown]
    with pytest.raises(ValueError, match="not XML that we read"):
        read_xml(b"<Card/>", {"Card"})


def test_comments_and_instructions_are_no_part_of_it() -> None:
    """Text on both sides of one is one text."""
    assert "12" == read_xml(b"<?x y?><a>1<!-- 9 --><?p q?>2</a>").text


def test_what_is_written_is_read_again() -> None:
    """In UTF-8, declared, whatever the letters."""
    root = etree.Element("r", name="Zoë 京都 & <b>")
    assert "Zoë 京都 & <b>" == read_xml(written_xml(root)).get("name")
