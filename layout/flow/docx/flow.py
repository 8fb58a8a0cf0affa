"""A Word document as a flow, through mammoth: headings by their styles, lists, tables, pictures, notes, equations.

Headers and footers are read once, comments are left out. Text that Word does not show, or that cannot be seen where it
stands, is kept apart; what stands above or below the line is kept as a mark. A picture that is not in the file is
reported.
"""

from __future__ import annotations

import io
import re
import xml.dom.expatbuilder  # noqa: F401  # mammoth needs it when no file can be opened any more
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Literal

from lxml import etree

from mm_megacontext.errors import ErrorCode, IngestError
from mm_megacontext.layout.flow.docx.margins import margin_items
from mm_megacontext.layout.flow.docx.parts import (
    CLOSE,
    HIDDEN_MARKS,
    NO_PICTURE,
    OPEN,
    PICTURE_OUTSIDE,
    SCRIPT_MARKS,
    TOO_DEEP,
    ready_part,
)
from mm_megacontext.layout.flow.docx.styles import DocxStyles, read_docx_styles
from mm_megacontext.layout.flow.flow import WIDE_SPACE, Flow, FlowItem, FlowTable, Paragraph, Run, Runs, Unread, Unseen
from mm_megacontext.layout.flow.html.flow import html_flow
from mm_megacontext.layout.flow.html.source import parse_html
from mm_megacontext.layout.flow.office.elements import relations
from mm_megacontext.layout.flow.zip_container import ZipContainer

_DOCUMENT = "word/document.xml"
_SPACE = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_OTHERS = {
    f"word/{name}.xml": f'<w:{name} xmlns:w="{_SPACE}"/>'.encode()
    for name in ("footnotes", "endnotes", "comments", "numbering", "styles")
}
"""Parts that a document can do without, and what stands for them when they cannot be read."""
_MARGINS: tuple[Literal["header", "footer"], ...] = ("header", "footer")
_STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => h2:fresh
p[style-name='Heading 7'] => h6:fresh
p[style-name='Heading 8'] => h6:fresh
p[style-name='Heading 9'] => h6:fresh
p[style-name='caption'] => figcaption:fresh
p[style-name='Caption'] => figcaption:fresh
br[type='page'] => hr.new-page
"""
_MARKED = re.compile(f"{OPEN}(.)([^{CLOSE}]*){CLOSE}", re.DOTALL)
_PROBLEMS: dict[str, tuple[str, ErrorCode]] = {
    NO_PICTURE: ("a picture on it is not in the file: put it into the file", "corrupt"),
    PICTURE_OUTSIDE: ("a picture on it is outside the file, and is not fetched: put it into the file", "unsupported"),
    TOO_DEEP: ("a part of it lies in too many others: save the file anew", "limit_size"),
}


def docx_flow(container: ZipContainer, data: bytes) -> Flow:
    """The contents of a document. Raises ImportError where mammoth is not installed."""
    import mammoth

    container.refuse_doctypes()
    styles = read_docx_styles(container)
    problems: list[Unread] = []
    converted = mammoth.convert_to_html(io.BytesIO(_made_ready(container, data, styles, problems)), style_map=_STYLES)
    root = parse_html(f"<html><body>{converted.value.replace(chr(9), WIDE_SPACE)}</body></html>")
    body = iter(()) if root is None else html_flow(root, lambda address: None)
    headers, footers = (margin_items(container, styles, kind) for kind in _MARGINS)
    return _without_marks(chain(problems, headers, body, footers))


def _made_ready(container: ZipContainer, data: bytes, styles: DocxStyles, problems: list[Unread]) -> bytes:
    """The same document with marks in its text, see ``docx_parts``, and without parts that cannot be read.

    Args:
        container: The document.
        data: Its bytes.
        styles: Of it.
        problems: What cannot be read is added to these.
    """
    changed = {_DOCUMENT: ready_part(container.read(_DOCUMENT), styles, relations(container, _DOCUMENT))}
    for name, empty in _OTHERS.items():
        if container.find("", name):
            try:
                changed[name] = ready_part(container.read(name), styles, relations(container, name))
            except (etree.XMLSyntaxError, IngestError):
                problems.append(Unread(f"{name} in it cannot be read: what it gives is left out", "corrupt"))
                changed[name] = empty
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as new:
        for member in dict.fromkeys(old.namelist()):
            new.writestr(member, changed[member] if member in changed else container.read(member))
    return out.getvalue()


def _without_marks(flow: Flow) -> Iterator[FlowItem]:
    for item in flow:
        if isinstance(item, Paragraph):
            runs, unseen, problems = _read_marks(item.runs)
            yield from unseen
            if any(run.text.strip() for run in runs):
                yield replace(item, runs=runs)
            yield from problems
        elif isinstance(item, FlowTable):
            found = [_read_marks(cell.runs) for cell in item.cells]
            cells = [replace(cell, runs=runs) for cell, (runs, _, _) in zip(item.cells, found, strict=True)]
            yield replace(item, cells=tuple(cells))
            for _, unseen, problems in found:
                yield from unseen
                yield from problems
        else:
            yield item


def _read_marks(runs: Runs) -> tuple[Runs, list[Unseen], list[Unread]]:
    """Runs without marks; what nobody sees of them; and what could not be read."""
    seen: list[Run] = []
    unseen: list[Unseen] = []
    problems = [Unread(*_PROBLEMS[c]) for run in runs for c in run.text if c in _PROBLEMS]
    for run in runs:
        at = 0
        text = run.text.translate(dict.fromkeys(map(ord, _PROBLEMS)))
        for match in _MARKED.finditer(text):
            seen.append(replace(run, text=text[at : match.start()]))
            at = match.end()
            if match[1] in SCRIPT_MARKS:
                seen.append(replace(run, text=match[2], script=SCRIPT_MARKS[match[1]]))
            elif match[2].strip():
                unseen.append(Unseen(match[2].strip(), HIDDEN_MARKS[match[1]]))
        seen.append(replace(run, text=text[at:]))
    return _trimmed([run for run in seen if run.text]), unseen, problems


def _trimmed(runs: list[Run]) -> Runs:
    """Runs with one space where a text that nobody sees stood between two."""
    kept: list[Run] = []
    for run in runs:
        ends_white = not kept or kept[-1].text.endswith((" ", "\n"))
        text = run.text[1:] if ends_white and run.text.startswith(" ") else run.text
        if text:
            kept.append(replace(run, text=text))
    return tuple(kept)
