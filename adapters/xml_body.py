"""An XML body somebody sent us, read in one way wherever it is read, and one of ours, written.

Nothing in it is believed before it is read: no document type, no entity but the five of XML itself and characters, no
network, at most DEEPEST levels. Card data is dropped before anybody sees the tree.
"""

from collections.abc import Collection

from lxml import etree

DEEPEST = 64  # levels; no channel nests a quarter of it

Element = etree._Element  # noqa: SLF001 - lxml's public type has no public name

_TOO_DEEP = etree.XPath(f"boolean({'/*' * (DEEPEST + 1)})")
_MESSAGE = "the body is not XML that we read"  # lxml's own errors carry parts of the body


def read_xml(body: bytes, dropped: Collection[str] = ()) -> Element:
    """The root of ``body``, without comments, processing instructions and the elements of these local names.

    Raises ValueError, without a word of the body, for anything that is not well-formed, has a document type or is
    nested too deeply. Names of elements keep their namespace in lxml's form: "{http://...}Name".
    """
    root = _parsed(body)
    if root is None or root.getroottree().docinfo.internalDTD is not None or _TOO_DEEP(root):
        raise ValueError(_MESSAGE)
    if dropped:
        for element in [*root.iter(*(f"{{*}}{name}" for name in dropped))]:
            parent = element.getparent()
            if parent is None:
                raise ValueError(_MESSAGE)
            element.tail = None
            parent.remove(element)
    return root


def written_xml(root: Element) -> bytes:
    """The document of ``root`` in UTF-8, with its declaration."""
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _parsed(body: bytes) -> Element | None:
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        collect_ids=False,
    )
    try:
        return etree.fromstring(body, parser)
    except (etree.LxmlError, ValueError):
        return None
