"""Form fields, notes and links of a page, through PyMuPDF."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mm_megacontext.layout.document import Box, FieldKind, FormField, Link, Note
from mm_megacontext.layout.engines import Marks, clean_text

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


def read_marks(page: Any, place: Place) -> Marks:
    """What lies on a page. May raise whatever the library raises."""
    fields = tuple(_fields(page, place)) if page.first_widget else ()
    notes = tuple(_notes(page, place)) if page.first_annot else ()
    return Marks(fields, notes, tuple(_links(page)))


def _fields(page: Any, place: Place) -> Iterator[FormField]:
    for widget in page.widgets():
        kind = _KINDS.get(widget.field_type_string)
        box = place(widget.rect)
        if kind is None or box is None or _flags(page, widget.xref) & _HIDDEN:
            continue
        is_secret = kind == "text" and widget.field_flags & _PASSWORD
        value = "" if is_secret else _value(widget.field_value)
        yield FormField(clean_text(widget.field_name or ""), kind, value, box)


def _flags(page: Any, xref: int) -> int:
    kind, flags = page.parent.xref_get_key(xref, "F")
    return int(flags) if kind == "int" else 0


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_value, value))
    if isinstance(value, bool):
        return "Yes" if value else "Off"
    return "\n".join(clean_text(line).strip() for line in str(value or "").splitlines())


def _notes(page: Any, place: Place) -> Iterator[Note]:
    for annotation in page.annots():
        kind = str(annotation.type[1]).lower()
        text = " ".join(clean_text(line) for line in annotation.info["content"].splitlines()).strip()
        box = place(annotation.rect)
        if text and box is not None and kind != "popup" and not annotation.flags & _HIDDEN:
            yield Note(kind, text, clean_text(annotation.info["title"]), box)


def _links(page: Any) -> Iterator[Link]:
    for link in page.get_links():
        box = tuple(map(float, link["from"]))  # already as shown
        if link["kind"] == _LINK_TO_URI and link.get("uri"):
            yield Link((box[0], box[1], box[2], box[3]), uri=clean_text(link["uri"]))
        elif link["kind"] == _LINK_TO_PAGE and link.get("page", -1) >= 0:
            yield Link((box[0], box[1], box[2], box[3]), page=link["page"] + 1)
