"""HTML and XHTML as a tree of elements. No entity is expanded, nothing is fetched."""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import re
from typing import Any
from urllib.parse import unquote_to_bytes

from lxml import etree

Element = Any
"""An element of lxml, which has no types."""

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_DECLARED_WITHIN = 4096
_DECLARED = re.compile(rb"<(?:meta[^>]*?charset|\?xml[^>]*?encoding)\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_LATIN = {"iso-8859-1", "latin-1", "latin1", "ascii", "us-ascii"}  # what these declare is windows-1252, says HTML
_IS_XHTML = re.compile(r"\s*(?:<\?xml|<!DOCTYPE[^>]*XHTML|<html[^>]*xmlns)", re.IGNORECASE)
_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_DOCTYPE = re.compile(r"<!DOCTYPE[^<>\[]*(?:\[.*?\]\s*)?>", re.IGNORECASE | re.DOTALL)
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_OF_XML = {"amp", "lt", "gt", "quot", "apos"}


def decode_html(data: bytes) -> str:
    """The text of an HTML file: by its byte order mark, its declaration, as UTF-8, or as windows-1252."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(name, "replace")
    declared = _DECLARED.search(data[:_DECLARED_WITHIN])
    name = declared.group(1).decode("ascii").lower() if declared else "utf-8"
    name = "cp1252" if name in _LATIN else name
    try:
        if "16" not in name and "32" not in name:  # one that can be read to declare it is none of these
            return data.decode(name, "strict" if declared is None else "replace")
    except (LookupError, UnicodeDecodeError):
        pass
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


_MOST_DEEP = 500
_NESTING = re.compile(
    r"<!--.*?-->|<(script|style|textarea|title)\b.*?</\1\s*>|<(/?)([A-Za-z][\w:-]*)((?:\"[^\"]*\"|'[^']*'|[^'\">])*)>",
    re.DOTALL | re.IGNORECASE,
)
_EMPTY = frozenset("area base br col embed hr img input link meta param source track wbr".split())
_CLOSED_BY_THEMSELVES = frozenset("p li dt dd tr td th thead tbody tfoot option optgroup rp rt colgroup".split())


def without_depths(text: str) -> tuple[str, int]:
    """A page without what is in more than 500 elements, which no parser of HTML keeps, and how many parts that is."""
    parts, n_left_out, depth, at, cut = [], 0, 0, 0, -1
    for match in _NESTING.finditer(text):
        name = (match.group(3) or "").lower()
        if not name or name in _EMPTY or name in _CLOSED_BY_THEMSELVES or match.group(4).endswith("/"):
            continue
        if match.group(2):
            depth = max(0, depth - 1)
            if cut >= 0 and depth < _MOST_DEEP:
                at, cut = match.start(), -1
        else:
            depth += 1
            if depth > _MOST_DEEP and cut < 0:
                parts.append(text[at : match.start()])
                cut, n_left_out = match.start(), n_left_out + 1
    return ("".join(parts) + (text[at:] if cut < 0 else "")), n_left_out


def parse_html(text: str) -> Element | None:
    """The root of an HTML or XHTML text, its tags in lower case and without namespaces; None where there is none.

    Raises:
        MemoryError: It takes more than this process may have.
    """
    root = _parse_xhtml(text) if _IS_XHTML.match(text) else None
    if root is None:
        # Large pictures are written into pages; nesting of 2048 and the limits of the process hold all the same.
        parser = etree.HTMLParser(
            no_network=True, remove_comments=True, remove_pis=True, huge_tree=True, encoding="utf-8"
        )
        root = _parse(_without_nul(text).encode("utf-8", "replace"), parser)
    if root is not None:
        _simplify(root)
    return root


def parse_xml(data: bytes | str) -> Element:
    """The root of an XML text. Raises etree.XMLSyntaxError, MemoryError."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    return _parse(data, parser)


def _parse(data: bytes | str, parser: Any) -> Element | None:
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as e:
        if e.code == etree.ErrorTypes.ERR_NO_MEMORY:
            raise MemoryError("the tree of elements does not fit into memory") from e
        raise


def _parse_xhtml(text: str) -> Element | None:
    """As XML, since an element that closes itself stays open in HTML; None where it is not well-formed."""
    text = _DOCTYPE.sub("", _XML_DECLARATION.sub("", text, count=1), count=1)
    try:
        return parse_xml(_ENTITY.sub(_character, text).encode("utf-8", "replace"))
    except etree.XMLSyntaxError:
        return None


def _character(match: re.Match[str]) -> str:
    """What a named character of HTML stands for; XML knows five of them."""
    name = match.group(1)
    return match.group() if name in _OF_XML else html.escape(html.unescape(match.group()))


def _without_nul(text: str) -> str:
    return text.replace("\x00", "\ufffd")


_DATA = re.compile(r"data:image/[\w.+-]+((?:;[\w=.+-]+)*),(.*)", re.DOTALL | re.IGNORECASE)
_SHEET = re.compile(r"\s*data:text/css((?:;[\w=.+-]+)*),(.*)", re.DOTALL | re.IGNORECASE)


def embedded_image(address: str) -> bytes | None:
    """The image that an address of the scheme ``data:`` holds."""
    found = _DATA.match(address)
    if found is None:
        return None
    data = unquote_to_bytes(found.group(2))
    if ";base64" not in found.group(1).lower():
        return data
    try:
        return base64.b64decode(data)
    except binascii.Error:
        return None


def sheet_of_data(address: str) -> str | None:
    """The style sheet that an address of the scheme ``data:`` holds."""
    found = _SHEET.match(address)
    if found is None:
        return None
    data = unquote_to_bytes(found.group(2))
    if ";base64" in found.group(1).lower():
        try:
            data = base64.b64decode(data + b"==")
        except binascii.Error:
            return None
    return data.decode("utf-8", "replace")


def address_of(element: Element) -> str:
    """What an element of SVG refers to; the attribute stands with a namespace, a prefix, or neither."""
    return next((value for name, value in element.items() if re.split("[:}]", name)[-1] == "href"), "")


def _simplify(root: Element) -> None:
    """Tags without namespaces, in lower case. Those with a prefix, as Word writes them into HTML, stay as they are."""
    for element in root.iter(etree.Element):
        tag = element.tag.rpartition("}")[2].lower()
        if tag != element.tag and ":" not in tag:
            element.tag = tag
