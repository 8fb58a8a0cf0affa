"""An EPUB book as a flow: the documents of its spine, one after the other, each on pages of its own."""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from mm_megacontext.errors import IngestError
from mm_megacontext.layout.flow.flow import Flow, FlowItem, NewPage, Picture, Unread
from mm_megacontext.layout.flow.html.flow import html_flow
from mm_megacontext.layout.flow.html.source import (
    Element,
    address_of,
    decode_html,
    parse_html,
    parse_xml,
    without_depths,
)
from mm_megacontext.layout.flow.zip_container import ZipContainer

_CONTAINER, _ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
_MOST_SHEETS = 50  # of one document


def epub_flow(book: ZipContainer, source: str) -> Flow:
    """The contents of a book. Raises IngestError where it says nowhere what they are, or they are encrypted."""
    package = _package_name(book, source)
    names = _spine(book, package, source)
    locked = _encrypted(book)
    if names and locked.issuperset(names):
        raise IngestError("the book is encrypted (DRM): use a copy without", source=source, code="unsupported")
    return _contents(book, names)


def _contents(book: ZipContainer, names: list[str | None]) -> Iterator[FlowItem]:
    for name in names:
        yield NewPage()
        if name is None:
            yield Unread("a chapter that the book names is not in it", "corrupt")
            continue
        try:
            data = book.read(name)
            yield from _chapter(book, name, data)
        except IngestError as e:
            yield Unread(e.reason, e.code)


def _chapter(book: ZipContainer, name: str, data: bytes) -> Flow:
    text, n_left_out = without_depths(decode_html(data))
    if n_left_out:
        yield Unread("parts of a chapter stand in more than 500 elements and are left out", "limit_size")
    root = parse_html(text)
    if root is None:
        return
    if root.tag == "svg":
        yield from _pictures_of(book, name, root)
        return

    def fetch(address: str) -> bytes | None:
        member = book.find(name, address)
        return None if member is None else book.read(member)

    sheets = [link.get("href") or "" for link in root.iter("link") if "stylesheet" in (link.get("rel") or "").lower()]
    texts = [sheet.decode("utf-8", "replace") for href in sheets[:_MOST_SHEETS] if (sheet := fetch(href)) is not None]
    yield from html_flow(root, fetch, texts)


def _pictures_of(book: ZipContainer, name: str, root: Element) -> Iterator[FlowItem]:
    """What a chapter shows that is one drawing."""
    for image in root.iter("image"):
        member = book.find(name, address_of(image))
        if member is not None:
            yield Picture(book.read(member))


def _package_name(book: ZipContainer, source: str) -> str:
    try:
        root = parse_xml(book.read(_CONTAINER))
        address = next(e.get("full-path") for e in root.iter("{*}rootfile") if e.get("full-path"))
    except (KeyError, StopIteration, etree.XMLSyntaxError) as e:
        raise IngestError("the EPUB does not say where its contents are: export it anew", source=source) from e
    name = book.find("", address)
    if name is None:
        raise IngestError("the EPUB has no list of its contents: export it anew", source=source)
    return name


def _spine(book: ZipContainer, package: str, source: str) -> list[str | None]:
    """The names of the chapters in reading order; None for one that is not there."""
    try:
        root = parse_xml(book.read(package))
    except etree.XMLSyntaxError as e:
        raise IngestError(f"the EPUB's list of contents is damaged ({e}): export it anew", source=source) from e
    manifest = {item.get("id"): item.get("href") or "" for item in root.iter("{*}item")}
    chapters = [manifest.get(entry.get("idref")) for entry in root.iter("{*}itemref")]
    if not chapters:
        raise IngestError("the EPUB has no chapters: export it anew", source=source, code="zero_pages")
    return [None if href is None else book.find(package, href) for href in chapters]


def _encrypted(book: ZipContainer) -> set[str | None]:
    """The names of members that only a reader with a key can read."""
    try:
        root = parse_xml(book.read(_ENCRYPTION))
    except (KeyError, etree.XMLSyntaxError):
        return set()
    return {book.find("", e.get("URI") or "") for e in root.iter("{*}CipherReference")}
