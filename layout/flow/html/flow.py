"""An HTML page as paragraphs, tables and pictures, in the order of the file; what nobody sees is kept apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from lxml import etree

from mm_megacontext.document import HiddenReason, Script
from mm_megacontext.layout.flow.flow import (
    Flow,
    FlowItem,
    FlowTable,
    NewPage,
    Paragraph,
    ParagraphKind,
    Picture,
    Run,
    Runs,
    Unread,
    Unseen,
)
from mm_megacontext.layout.flow.html.look import Look
from mm_megacontext.layout.flow.html.source import Element, address_of, embedded_image, parse_html, without_depths
from mm_megacontext.layout.flow.html.style import Styles
from mm_megacontext.layout.flow.html.tables import TableTooLarge, inner_table, is_data_table, table_rows, to_flow_table

FetchImage = Callable[[str], bytes | None]
"""The bytes of an image that comes with the page, by its address there; None for every other address."""

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = {
    "address", "article", "aside", "blockquote", "body", "center", "dd", "details", "dialog", "dir", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "footer", "form", "header", "hgroup", "hr", "html", "legend", "li", "main",
    "menu", "nav", "ol", "optgroup", "p", "pre", "search", "section", "summary", "table", "tbody", "td", "tfoot", "th",
    "thead", "tr", "ul", "caption", "listing", "xmp", *_HEADINGS,
}  # fmt: skip
_LISTS = {"ul", "ol", "menu", "dir"}
_BOLD = {"b", "strong", "th", "dt"}
_CODE = {"pre", "listing", "xmp"}
_SPACES = re.compile(r"[ \t\n\r\f]+")
_PT_PER_PX = 0.75
_SVG_PT = (225.0, 112.5)  # 300 x 150 px, where a drawing does not say
_MAX_HREF = 2000


@dataclass(frozen=True, slots=True)
class _State:
    """What an element hands on to what is in it."""

    look: Look
    kind: ParagraphKind = "text"
    level: int | None = None
    depth: int = 0
    bold: bool = False
    href: str | None = None
    in_cell: bool = False
    script: Script = ""


_Step = tuple[Literal["enter", "leave", "tail"], Element, _State]


@dataclass(slots=True)
class _Writer:
    """Paragraphs as they are filled."""

    items: list[FlowItem] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    state: _State | None = None
    marker: str = ""
    unseen: list[str] = field(default_factory=list)
    why: HiddenReason | None = None

    def text(self, text: str, state: _State) -> None:
        """Take text; it begins a paragraph if none is open."""
        if not text:
            return
        hidden = state.look.hidden
        if hidden is not None:
            if text.strip():
                self._flush_unseen(hidden)
                self.unseen.append(text.strip())
            return
        if state.kind != "code":
            text = _SPACES.sub(" ", text)
            if not self.runs or self.runs[-1].text.endswith((" ", "\n")):
                text = text.lstrip(" ")
        if not text:
            return
        if not self.runs:
            self.state = state
        self.runs.append(Run(text, state.bold, state.href, state.script))

    def line_break(self, state: _State) -> None:
        """End a line but not the paragraph."""
        if self.runs and state.look.hidden is None:
            self.runs.append(Run("\n"))

    def end(self) -> None:
        """End the paragraph."""
        runs, self.runs = _trimmed(self.runs), []
        if runs:
            state = self.state
            assert state is not None, "text came with its state"
            if self.marker:
                runs = (Run(self.marker), *runs)
            self.marker = ""
            self._flush_unseen(None)
            self.items.append(Paragraph(runs, state.kind, state.level, state.depth))

    def add(self, item: FlowItem) -> None:
        """Put something between paragraphs."""
        self.end()
        self._flush_unseen(None)
        self.items.append(item)

    def finish(self) -> None:
        """End everything."""
        self.end()
        self._flush_unseen(None)

    def _flush_unseen(self, why: HiddenReason | None) -> None:
        """Keep texts together that are unseen for one reason."""
        if self.unseen and self.why is not None and why != self.why:
            self.items.append(Unseen(_SPACES.sub(" ", " ".join(self.unseen)), self.why))
            self.unseen = []
        self.why = why or self.why


def page_flow(text: str, fetch: FetchImage, sheets_of: Callable[[Element], Iterable[str]] = lambda root: ()) -> Flow:
    """The contents of a page from its text; what is nested too deep is left out, and said to be.

    Args:
        text: The page.
        fetch: Gives images that come with the page.
        sheets_of: The style sheets that come with the page, from its root.
    """
    text, n_left_out = without_depths(text)
    root = parse_html(text)
    if root is not None:
        yield from html_flow(root, fetch, sheets_of(root))
    if n_left_out:
        yield Unread(
            "parts of it stand in more than 500 elements and are left out: save it from a browser", "limit_size"
        )


def html_flow(root: Element, fetch: FetchImage, sheets: Iterable[str] = ()) -> Flow:
    """The contents of a page.

    Args:
        root: The page, see ``source``.
        fetch: Gives images that come with the page; images written into it are read here.
        sheets: Style sheets that come with the page.
    """
    return iter(_Walk(fetch, Styles(root, sheets, fetch)).through(root, _State(Look())))


@dataclass(slots=True)
class _Walk:
    """Goes through elements without recursion: pages may nest them as deep as they like."""

    fetch: FetchImage
    styles: Styles

    def through(self, root: Element, state: _State) -> list[FlowItem]:
        """What is in an element."""
        out = _Writer()
        steps: list[_Step] = [("enter", root, state)]
        numbers: dict[Element, int] = {}
        while steps:
            what, element, outer = steps.pop()
            if what == "tail":
                out.text(element.tail or "", outer)
            elif what == "leave":
                if element.tag in _BLOCKS:
                    out.end()
            elif isinstance(element.tag, str):
                steps += reversed(list(self._enter(element, outer, out, numbers)))
        out.finish()
        return out.items

    def _enter(self, element: Element, outer: _State, out: _Writer, numbers: dict[Element, int]) -> Iterator[_Step]:
        """Begin an element; gives what is to be done next."""
        tag = element.tag
        state = self._state(element, outer)
        if state.look.gone is not None:
            out.text(_own_text(element), state)
            return
        if tag in _BLOCKS:
            out.end()
        if tag == "br":
            out.line_break(state)
        elif tag == "hr" and element.get("class") == "new-page":  # as ``docx`` writes it
            out.add(NewPage())
        elif tag == "img":
            self._picture(element, state, out)
        elif tag == "svg":
            self._drawing(element, state, out)
        elif tag in ("input", "select", "textarea"):
            out.text(_field_text(element), state)
        elif tag == "table" and not outer.in_cell and is_data_table(element):
            self._table(element, state, out)
        else:
            if tag == "li":
                out.marker = _marker(element, numbers)
            out.text(element.text or "", state)
            for child in element:
                yield "enter", child, state
                yield "tail", child, state
            yield "leave", element, state

    def _state(self, element: Element, outer: _State) -> _State:
        tag = element.tag
        look = self.styles.look(element)
        kind, level, depth, href = outer.kind, outer.level, outer.depth, outer.href
        if tag in _HEADINGS:
            kind, level = "heading", _HEADINGS[tag]
        elif tag in _LISTS:
            depth += outer.kind == "list"
            kind, level = "list", None
        elif tag in _CODE:
            kind, level = "code", None
        elif tag in ("figcaption", "caption"):
            kind, level = "caption", None
        elif tag in ("blockquote", "dd"):
            depth += 1
        elif tag == "a":
            href = (element.get("href") or "")[:_MAX_HREF] or None
        script: Script = "sup" if tag == "sup" else "sub" if tag == "sub" else outer.script
        return _State(look, kind, level, depth, outer.bold or tag in _BOLD, href, outer.in_cell, script)

    def _table(self, element: Element, state: _State, out: _Writer) -> None:
        """A table with its caption before it."""
        unseen: list[Unseen] = []

        def contents_of(cell: Element, row_state: object) -> Runs | FlowTable:
            assert isinstance(row_state, _State)
            inner = inner_table(cell)
            state = _State(row_state.look, in_cell=True)
            if inner is not None:
                around = [cell, *(e for e in inner.iterancestors() if cell in e.iterancestors())]
                for element in (*around[:1], *reversed(around[1:]), inner):
                    state = self._state(element, state)
                if state.look.hidden is None:
                    table = to_flow_table(table_rows(inner, state, self._state), contents_of)
                    return () if table is None else table
            items = self.through(cell, state if inner is None else _State(row_state.look, in_cell=True))
            unseen.extend(item for item in items if isinstance(item, Unseen))
            return _joined(items)

        for caption in element.iterchildren("caption"):
            for item in self.through(caption, state):
                out.add(item)
        rows = table_rows(element, state, self._state)
        try:
            table = to_flow_table(rows, contents_of)
        except TableTooLarge as e:
            out.add(Unread(str(e), "limit_size"))
            return
        if table is not None:
            out.add(table)
        for item in unseen:
            out.add(item)

    def _picture(self, element: Element, state: _State, out: _Writer) -> None:
        data = self._image(element.get("src") or "")
        if data and state.look.hidden is None and not state.in_cell:
            out.add(Picture(data, _size(element)))

    def _image(self, address: str) -> bytes | None:
        """The image at an address, if it is in the page or comes with it."""
        return embedded_image(address) if address[:5].lower() == "data:" else self.fetch(address)

    def _drawing(self, element: Element, state: _State, out: _Writer) -> None:
        """A drawing in SVG; one that only shows an image, as book covers do, is that image."""
        if state.look.hidden is not None or state.in_cell:
            return
        images = list(element.iter("image"))
        if images:
            for image in images:
                if data := self._image(address_of(image)):
                    out.add(Picture(data))
            return
        out.add(Picture(_svg(element), _size(element) or _size_of_view(element) or _SVG_PT))


# HTML's parser knows no capital letters; SVG does.
_SVG_NAMES = {
    name.lower(): name
    for name in """viewBox preserveAspectRatio linearGradient radialGradient gradientUnits gradientTransform
        spreadMethod clipPath clipPathUnits textPath textLength lengthAdjust markerWidth markerHeight markerUnits
        refX refY patternUnits patternTransform patternContentUnits maskUnits maskContentUnits startOffset
        pathLength foreignObject""".split()
}


def _svg(element: Element) -> bytes:
    """A drawing as a file of its own, without what it takes from elsewhere."""
    drawing = etree.fromstring(etree.tostring(element, with_tail=False))
    for part in list(drawing.iter(etree.Element)):
        tag = part.tag.rpartition("}")[2]
        part.tag = _SVG_NAMES.get(tag, tag)
        for name in [name for name in part.attrib if name in _SVG_NAMES]:
            part.set(_SVG_NAMES[name], part.attrib.pop(name))
        if part.tag == "use" and not address_of(part).startswith("#"):
            part.getparent().remove(part)
    etree.cleanup_namespaces(drawing)
    drawing.set("xmlns", "http://www.w3.org/2000/svg")
    return bytes(etree.tostring(drawing))


_NO_TEXT = {"script", "style", "head", "title", "datalist"}
"""Elements whose text was never meant to be read."""


def _own_text(element: Element) -> str:
    """All text in an element that is one."""
    if element.tag in _NO_TEXT:
        return ""
    texts = element.xpath("descendant::text()[not(parent::script or parent::style)]")
    return " ".join(texts)


def _joined(items: list[FlowItem]) -> Runs:
    """The paragraphs of a cell as one text with line breaks."""
    runs: list[Run] = []
    for item in items:
        if isinstance(item, Paragraph):
            runs += [Run("\n")] if runs else []
            runs += item.runs
    return tuple(runs)


def _trimmed(runs: list[Run]) -> Runs:
    """Runs without white space at the end; none where there is nothing else."""
    kept = list(runs)
    while kept and not kept[-1].text.strip():
        kept.pop()
    if kept:
        kept[-1] = replace(kept[-1], text=kept[-1].text.rstrip())
    return tuple(kept)


def _marker(element: Element, numbers: dict[Element, int]) -> str:
    """What stands before an item of a list."""
    parent = element.getparent()
    if parent is None or parent.tag != "ol":
        return "\u2022 "
    start = numbers.get(parent, _whole(parent.get("start"), 1) - 1)
    numbers[parent] = _whole(element.get("value"), start + 1)
    return f"{numbers[parent]}. "


def _whole(text: str | None, otherwise: int) -> int:
    return int(text) if text and re.fullmatch(r"-?\d{1,9}", text) else otherwise


def _field_text(element: Element) -> str:
    """What a field of a form shows, as it stands in the file."""
    if element.tag == "textarea":
        return f" {element.text or ''} "
    if element.tag == "select":
        options = list(element.iter("option"))
        chosen = [o for o in options if o.get("selected") is not None] or options[:1]
        chosen = [o for o in chosen if o.get("hidden") is None]
        return f" {', '.join(''.join(o.itertext()).strip() for o in chosen)} "
    kind = (element.get("type") or "text").lower()
    if kind in ("checkbox", "radio"):
        return " \u2611 " if element.get("checked") is not None else " \u2610 "
    return (
        ""
        if kind in ("hidden", "password", "image", "file")
        else f" {element.get('value') or element.get('placeholder') or ''} "
    )


def _size(element: Element) -> tuple[float, float] | None:
    """The size that an element asks for, in points."""
    sides = [re.fullmatch(r"\s*(\d{1,5}(?:\.\d+)?)(?:px)?\s*", element.get(name) or "") for name in ("width", "height")]
    if not all(sides):
        return None
    width, height = (float(side.group(1)) * _PT_PER_PX for side in sides if side)
    return (width, height) if width > 0 and height > 0 else None


def _size_of_view(element: Element) -> tuple[float, float] | None:
    numbers = re.findall(r"-?\d+(?:\.\d+)?", element.get("viewBox") or element.get("viewbox") or "")
    if len(numbers) != 4:
        return None
    width, height = float(numbers[2]) * _PT_PER_PX, float(numbers[3]) * _PT_PER_PX
    return (width, height) if width > 0 and height > 0 else None
