"""A part of a Word document made ready for mammoth: what is shown of it, its text with marks that come through.

Marks are characters for private use around a text: nobody sees it, or it stands above or below the line; alone, they
stand for something that cannot be read. Such characters of the document itself are taken out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lxml import etree

from mm_megacontext.document import HiddenReason, Script
from mm_megacontext.layout.flow.docx.styles import DocxStyles
from mm_megacontext.layout.flow.docx.visibility import DocxLooks
from mm_megacontext.layout.flow.html.source import Element
from mm_megacontext.layout.flow.office.elements import attribute, child, children, chosen_alternative, local, parse_deep
from mm_megacontext.layout.flow.office.equations import linear

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
OPEN, CLOSE = "\ue0f0", "\ue0f1"
HIDDEN_MARKS: dict[str, HiddenReason] = {
    "\ue0f2": "not displayed",
    "\ue0f3": "no contrast",
    "\ue0f4": "smaller than 1 pt",
    "\ue0f5": "transparent",
    "\ue0f6": "outside the page",
}
SCRIPT_MARKS: dict[str, Script] = {"\ue0f7": "sup", "\ue0f8": "sub"}
NO_PICTURE, PICTURE_OUTSIDE, TOO_DEEP = "\ue0f9", "\ue0fa", "\ue0fb"
_OWN_MARKS = dict.fromkeys(range(0xE0F0, 0xE0FC))
_MARK_OF = {why: mark for mark, why in HIDDEN_MARKS.items()} | {script: mark for mark, script in SCRIPT_MARKS.items()}
_TRANSPARENT = ("smartTag", "customXml", "ins", "moveTo", "bdo", "dir")
_MOST_TABLES = 6  # in each other
_MOST_NESTED = 90  # elements in each other: mammoth goes through them by recursion


def ready_part(data: bytes, styles: DocxStyles, links: dict[str, tuple[str, str | None]]) -> bytes:
    """A part with its marks. Raises etree.XMLSyntaxError.

    Args:
        data: The part.
        styles: Of the document.
        links: What the part refers to, see ``office_xml.relations``.
    """
    root = parse_deep(data)
    _choose_alternatives(root)
    _mark_texts(root, DocxLooks(styles, root))
    _write_equations(root)
    _open_boxes(root)
    _check_pictures(root, links)
    _unwrap(root)
    _cut_tables(root)
    _cut_deep(root)
    return bytes(etree.tostring(root, encoding="utf-8", xml_declaration=True))


def marked(text: str, kind: HiddenReason | Script) -> str:
    """A text in marks."""
    return f"{OPEN}{_MARK_OF[kind]}{text}{CLOSE}"


def _all(root: Element, *names: str) -> list[Element]:
    return [e for e in root.iter() if isinstance(e.tag, str) and local(e) in names]


def _run(text: str) -> Element:
    run = etree.Element(f"{W}r")
    etree.SubElement(run, f"{W}t").text = text
    return run


def _replace(element: Element, others: list[Element]) -> None:
    parent = element.getparent()
    place = parent.index(element)
    parent[place : place + 1] = others


def _text(element: Element) -> str:
    return "".join(t.text or "" for t in _all(element, "t"))


def _choose_alternatives(root: Element) -> None:
    """Put what is shown in the place of alternatives; what others say that this does not is unseen text."""
    for element in _all(root, "AlternateContent"):
        if element.getparent() is None:
            continue
        chosen = chosen_alternative(element)
        shown = list(chosen) if chosen is not None else []
        said = "" if chosen is None else _text(chosen)
        others = [_text(other) for other in element if other is not chosen and isinstance(other.tag, str)]
        unseen = [text for text in others if text.strip() and text not in said]
        if unseen:
            mark = etree.Element(f"{W}t")
            mark.text = marked(" ".join(unseen).translate(_OWN_MARKS), "not displayed")
            mark.set("done", "1")
            if local(element.getparent()) == "r":
                shown.append(mark)
            elif local(element.getparent()) == "p":
                run = etree.Element(f"{W}r")
                run.append(mark)
                shown.append(run)
        _replace(element, shown)


def _mark_texts(root: Element, looks: DocxLooks) -> None:
    fields: list[str] = []  # of fields in each other: whether their code or their result is being read
    for element in _all(root, "fldChar", "t"):
        if local(element) == "fldChar":
            kind = attribute(element, "fldCharType")
            if kind == "begin":
                fields.append("code")
            elif fields and kind == "separate":
                fields[-1] = "result"
            elif fields and kind == "end":
                fields.pop()
            continue
        if element.attrib.pop("done", None) is not None:
            continue
        run = next((e for e in element.iterancestors() if local(e) == "r"), None)
        text = (element.text or "").translate(_OWN_MARKS)
        element.text = text
        if run is None or not text or not element.tag.startswith("{") or "math" in element.tag:
            continue
        look = looks.of(run)
        why: HiddenReason | None = "not displayed" if "code" in fields else look.hidden
        if why is not None:
            element.text = marked(text, why)
        elif look.script:
            element.text = marked(text, look.script)
    for place in _all(root, "vertAlign"):  # the marks say it
        place.getparent().remove(place)


def _write_equations(root: Element) -> None:
    for element in _all(root, "oMath"):
        if element.getparent() is None or any(local(e) == "oMath" for e in element.iterancestors()):
            continue
        _replace(element, [_run(linear(element).translate(_OWN_MARKS))])
    for element in _all(root, "oMathPara"):
        _replace(element, [e for e in element if isinstance(e.tag, str) and e.tag.startswith(W)])


def _open_boxes(root: Element) -> None:
    """Put text boxes where mammoth looks for them, and pictures that are grouped with them beside them."""
    for drawing in _all(root, "drawing"):
        boxes = [b for b in _all(drawing, "txbxContent") if _outermost(b, drawing, "txbxContent")]
        pictures = _all(drawing, "pic")
        is_plain = child(drawing, "inline", "graphic", "graphicData", "pic") is not None
        is_plain = is_plain or child(drawing, "anchor", "graphic", "graphicData", "pic") is not None
        if drawing.getparent() is None or (not boxes and (is_plain or not pictures)):
            continue
        parts = [_drawing_of(p) for p in pictures if not any(local(e) == "txbxContent" for e in p.iterancestors())]
        if boxes:
            pict = etree.Element(f"{W}pict")
            pict.extend(boxes)
            parts.append(pict)
        _replace(drawing, parts)


def _outermost(element: Element, top: Element, kind: str) -> bool:
    for above in element.iterancestors():
        if above is top:
            return True
        if local(above) == kind:
            return False
    return False


_WP = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"


def _drawing_of(picture: Element) -> Element:
    drawing = etree.Element(f"{W}drawing")
    data: Any = drawing
    for tag in (f"{_WP}inline", f"{_A}graphic", f"{_A}graphicData"):
        data = etree.SubElement(data, tag)
    data.append(picture)
    return drawing


def _check_pictures(root: Element, links: dict[str, tuple[str, str | None]]) -> None:
    """A mark in the place of every picture that is not in the file."""
    for holder in _all(root, "blip", "imagedata"):
        inside = attribute(holder, "embed") or (attribute(holder, "id") if local(holder) == "imagedata" else None)
        if inside is not None and links.get(inside, ("", None))[1] is not None:
            link = next((name for name in holder.attrib if name.endswith("}link")), None)
            if link is not None:
                del holder.attrib[link]
            continue
        whole = next((e for e in holder.iterancestors() if local(e) in ("drawing", "pict", "object")), None)
        if whole is None or whole.getparent() is None:
            continue
        is_missing = inside is not None and links.get(inside, ("",))[0] != "" and not _leads_out(holder, links)
        mark = etree.Element(f"{W}t")
        mark.text = NO_PICTURE if is_missing or (inside is not None and inside not in links) else PICTURE_OUTSIDE
        keep = [] if local(whole) != "pict" else list(_all(whole, "txbxContent"))
        if not keep:
            _replace(whole, [mark])
        else:
            holder.getparent().remove(holder)


def _leads_out(holder: Element, links: dict[str, tuple[str, str | None]]) -> bool:
    return attribute(holder, "link") in links


def _unwrap(root: Element) -> None:
    """Take away elements that only group others."""
    for element in _all(root, *_TRANSPARENT):
        if element.getparent() is not None:
            _replace(element, [e for e in element if isinstance(e.tag, str)])
    for element in _all(root, "sdt"):
        if element.getparent() is not None and child(element, "sdtPr", "checkbox") is None:
            content = child(element, "sdtContent")
            _replace(element, [] if content is None else list(content))


def _cut_tables(root: Element) -> None:
    """Tables that lie in too many others become their paragraphs."""
    for table in reversed(_all(root, "tbl")):
        if sum(local(e) == "tbl" for e in table.iterancestors()) >= _MOST_TABLES:
            paragraphs = [part for row in children(table, "tr") for cell in children(row, "tc") for part in cell]
            _replace(table, [part for part in paragraphs if local(part) in ("p", "tbl")])


def _cut_deep(root: Element) -> None:
    """Where elements lie too deep in others, a mark."""
    for element, depth in _with_depth(root):
        if depth == _MOST_NESTED:
            for part in list(element):
                element.remove(part)
            element.tag = f"{W}t"
            element.attrib.clear()
            element.text = TOO_DEEP


def _with_depth(root: Element) -> Iterator[tuple[Element, int]]:
    depth = 0
    for event, element in etree.iterwalk(root, events=("start", "end")):
        if event == "start":
            depth += 1
            yield element, depth
        else:
            depth -= 1
