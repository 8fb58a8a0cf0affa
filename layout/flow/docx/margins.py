"""Headers and footers of a Word document, each once: headers before its text, footers behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from lxml import etree

from mm_megacontext.errors import IngestError
from mm_megacontext.layout.flow.docx.parts import ready_part
from mm_megacontext.layout.flow.docx.styles import DocxStyles, is_on, optional_part
from mm_megacontext.layout.flow.flow import WIDE_SPACE, FlowItem, Paragraph, Run, Unread
from mm_megacontext.layout.flow.html.source import Element
from mm_megacontext.layout.flow.office.elements import attribute, child, children, local, parse_deep, relations
from mm_megacontext.layout.flow.zip_container import ZipContainer

_DOCUMENT, _SETTINGS = "word/document.xml", "word/settings.xml"


def margin_items(container: ZipContainer, styles: DocxStyles, kind: Literal["header", "footer"]) -> Iterator[FlowItem]:
    """The paragraphs of all headers, or footers, that are shown; what they repeat of each other is left out."""
    links = relations(container, _DOCUMENT)
    said = set[str]()
    for identity in _shown(container, kind):
        part = links.get(identity, ("", None))[1]
        if part is None:
            continue
        try:
            root = parse_deep(ready_part(container.read(part), styles, relations(container, part)))
        except (etree.XMLSyntaxError, IngestError) as e:
            what = (str(e).splitlines() or [""])[0][:120]
            yield Unread(f"a {kind} of it cannot be read ({what}): save the file anew", "corrupt")
            continue
        for paragraph in (e for e in root.iter() if local(e) == "p"):
            text = "".join(_pieces(paragraph)).strip()
            if text and text not in said:
                said.add(text)
                yield Paragraph((Run(text),), kind)


def _pieces(paragraph: Element) -> Iterator[str]:
    """The text of a paragraph without that of paragraphs in it."""
    for part in paragraph.iter():
        kind = local(part)
        if kind not in ("t", "tab", "br") or next(e for e in part.iterancestors() if local(e) == "p") is not paragraph:
            continue
        if kind == "t":
            yield part.text or ""
        elif any(local(e) == "r" for e in part.iterancestors()):  # other tabs are stops
            yield WIDE_SPACE if kind == "tab" else "\n"


def _shown(container: ZipContainer, kind: str) -> Iterator[str]:
    """The references to headers or footers that some page has."""
    has_even = is_on(child(optional_part(container, _SETTINGS), "evenAndOddHeaders"))
    for section in (e for e in parse_deep(container.read(_DOCUMENT)).iter() if local(e) == "sectPr"):
        for reference in children(section, f"{kind}Reference"):
            on = {"first": is_on(child(section, "titlePg")), "even": has_even}
            if on.get(attribute(reference, "type") or "default", True):
                yield attribute(reference, "id") or ""
