"""Form fields, notes and links of a page, through PyMuPDF."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mm_megacontext.document import Box, FieldKind, FormField, Link, Note, clean_text
from mm_megacontext.layout.engines.form_values import OFF
from mm_megacontext.layout.engines.protocol import Marks, clip_box

_KINDS: dict[str, FieldKind] = {
    "Text": "text",
    "ComboBox": "choice",
    "ListBox": "choice",
    "CheckBox": "checkbox",
    "RadioButton": "radio",
    "Button": "button",
    "Signature": "signature",
}
_HIDDEN = 2 | 32  # annotation flags: hidden, not in view
_PASSWORD = 1 << 13  # field flag
_LINK_TO_PAGE, _LINK_TO_URI = 1, 2

Place = Callable[[Any], Box | None]
"""A rectangle in the frame before rotation, as shown; None where it lies outside."""


def read_marks(page: Any, place: Place, size: tuple[float, float]) -> Marks:
    """What lies on a page. May raise whatever the library raises."""
    fields = tuple(_fields(page, place)) if page.first_widget else ()
    notes = tuple(_notes(page, place)) if page.first_annot else ()
    return Marks(fields, notes, tuple(_links(page, size)))


def _fields(page: Any, place: Place) -> Iterator[FormField]:
    for widget in page.widgets():
        kind = _KINDS.get(widget.field_type_string)
        box = place(widget.rect)
        if kind is None or box is None or _flags(page, widget.xref) & _HIDDEN:
            continue
        if kind == "text" and widget.field_flags & _PASSWORD:
            kind = "password"
        yield FormField(clean_text(widget.field_name or ""), kind, _value(widget, kind), box)


def _flags(page: Any, xref: int) -> int:
    kind, flags = page.parent.xref_get_key(xref, "F")
    return int(flags) if kind == "int" else 0


def _value(widget: Any, kind: FieldKind) -> str:
    value = widget.field_value
    if kind in ("checkbox", "radio"):  # all buttons of a group have the group's value
        is_on = value is True or value == widget.on_state()
        return str(widget.on_state() or "Yes") if is_on else OFF
    if kind == "password":
        return ""
    chosen = value if isinstance(value, (list, tuple)) else [value or ""]
    return ", ".join("\n".join(clean_text(line).strip() for line in str(one).splitlines()) for one in chosen)


def _notes(page: Any, place: Place) -> Iterator[Note]:
    for annotation in page.annots():
        kind = str(annotation.type[1]).lower()
        text = " ".join(clean_text(line) for line in annotation.info["content"].splitlines()).strip()
        box = place(annotation.rect)
        if text and box is not None and kind != "popup" and not annotation.flags & _HIDDEN:
            yield Note(kind, text, clean_text(annotation.info["title"]), box)


def _links(page: Any, size: tuple[float, float]) -> Iterator[Link]:
    for link in page.get_links():
        x0, y0, x1, y1 = map(float, link["from"])  # already as shown
        box = clip_box((x0, y0, x1, y1), size)
        if box is None:
            continue
        if link["kind"] == _LINK_TO_URI and link.get("uri"):
            yield Link(box, uri=clean_text(link["uri"]))
        elif link["kind"] == _LINK_TO_PAGE and 0 <= link.get("page", -1) < page.parent.page_count:
            yield Link(box, page=link["page"] + 1)
