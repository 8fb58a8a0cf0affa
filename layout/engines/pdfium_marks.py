"""Form fields, notes and links of a page, through PDFium."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from mm_megacontext.document import Box, FieldKind, FormField, Link, Note, clean_text
from mm_megacontext.layout.engines.form_values import OFF
from mm_megacontext.layout.engines.pdfium_graphics import PageSpace
from mm_megacontext.layout.engines.protocol import Marks

_KINDS: dict[int, FieldKind] = {
    pdfium_c.FPDF_FORMFIELD_TEXTFIELD: "text",
    pdfium_c.FPDF_FORMFIELD_COMBOBOX: "choice",
    pdfium_c.FPDF_FORMFIELD_LISTBOX: "choice",
    pdfium_c.FPDF_FORMFIELD_CHECKBOX: "checkbox",
    pdfium_c.FPDF_FORMFIELD_RADIOBUTTON: "radio",
    pdfium_c.FPDF_FORMFIELD_PUSHBUTTON: "button",
    pdfium_c.FPDF_FORMFIELD_SIGNATURE: "signature",
}
_NOTES = {
    pdfium_c.FPDF_ANNOT_TEXT: "text",
    pdfium_c.FPDF_ANNOT_FREETEXT: "freetext",
    pdfium_c.FPDF_ANNOT_LINE: "line",
    pdfium_c.FPDF_ANNOT_SQUARE: "square",
    pdfium_c.FPDF_ANNOT_CIRCLE: "circle",
    pdfium_c.FPDF_ANNOT_POLYGON: "polygon",
    pdfium_c.FPDF_ANNOT_POLYLINE: "polyline",
    pdfium_c.FPDF_ANNOT_HIGHLIGHT: "highlight",
    pdfium_c.FPDF_ANNOT_UNDERLINE: "underline",
    pdfium_c.FPDF_ANNOT_SQUIGGLY: "squiggly",
    pdfium_c.FPDF_ANNOT_STRIKEOUT: "strikeout",
    pdfium_c.FPDF_ANNOT_STAMP: "stamp",
    pdfium_c.FPDF_ANNOT_CARET: "caret",
    pdfium_c.FPDF_ANNOT_INK: "ink",
    pdfium_c.FPDF_ANNOT_FILEATTACHMENT: "fileattachment",
}
_HIDDEN = pdfium_c.FPDF_ANNOT_FLAG_HIDDEN | pdfium_c.FPDF_ANNOT_FLAG_NOVIEW
_PASSWORD = 1 << 13  # field flag


def read_marks(pdf: pdfium.PdfDocument, page: pdfium.PdfPage) -> Marks:
    """What lies on a page; to be asked before the page is flattened. Its form, if any, must have been initialised."""
    frame = PageSpace.of(page)
    fields: list[FormField] = []
    notes: list[Note] = []
    for index in range(pdfium_c.FPDFPage_GetAnnotCount(page)):
        annotation = pdfium_c.FPDFPage_GetAnnot(page, index)
        if not annotation:
            continue
        try:
            kind = pdfium_c.FPDFAnnot_GetSubtype(annotation)
            box = _box(annotation, frame)
            if box is None or pdfium_c.FPDFAnnot_GetFlags(annotation) & _HIDDEN:
                continue
            if kind == pdfium_c.FPDF_ANNOT_WIDGET and pdf.formenv is not None:
                fields += _field(pdf.formenv.raw, annotation, box)
            elif kind in _NOTES:
                notes += _note(_NOTES[kind], annotation, box)
        finally:
            pdfium_c.FPDFPage_CloseAnnot(annotation)
    return Marks(tuple(fields), tuple(notes), tuple(_links(pdf, page, frame)))


def _box(annotation: Any, frame: PageSpace) -> Box | None:
    rect = pdfium_c.FS_RECTF()
    if not pdfium_c.FPDFAnnot_GetRect(annotation, rect):
        return None
    return frame.box(rect.left, rect.bottom, rect.right, rect.top)


def _field(form: Any, annotation: Any, box: Box) -> Iterator[FormField]:
    kind = _KINDS.get(pdfium_c.FPDFAnnot_GetFormFieldType(form, annotation))
    if kind is None:
        return
    if kind == "text" and pdfium_c.FPDFAnnot_GetFormFieldFlags(form, annotation) & _PASSWORD:
        kind = "password"
    name = _text(lambda buffer, n: pdfium_c.FPDFAnnot_GetFormFieldName(form, annotation, buffer, n))
    yield FormField(clean_text(name), kind, _value(form, annotation, kind), box)


def _value(form: Any, annotation: Any, kind: FieldKind) -> str:
    if kind == "password":
        return ""
    if kind in ("checkbox", "radio"):
        if not pdfium_c.FPDFAnnot_IsChecked(form, annotation):
            return OFF
        return _text(lambda b, n: pdfium_c.FPDFAnnot_GetStringValue(annotation, b"AS", b, n)) or "Yes"
    if kind == "choice":
        chosen = _chosen(form, annotation)
        if chosen:
            return ", ".join(chosen)
    value = _text(lambda b, n: pdfium_c.FPDFAnnot_GetFormFieldValue(form, annotation, b, n))
    return "\n".join(clean_text(line).strip() for line in value.splitlines())


def _chosen(form: Any, annotation: Any) -> list[str]:
    chosen = []
    for option in range(max(0, pdfium_c.FPDFAnnot_GetOptionCount(form, annotation))):
        if pdfium_c.FPDFAnnot_IsOptionSelected(form, annotation, option):
            label = _text(
                lambda b, n, option=option: pdfium_c.FPDFAnnot_GetOptionLabel(form, annotation, option, b, n)  # type: ignore[misc]
            )
            chosen.append(clean_text(label))
    return chosen


def _note(kind: str, annotation: Any, box: Box) -> Iterator[Note]:
    def entry(key: bytes) -> str:
        text = _text(lambda buffer, n: pdfium_c.FPDFAnnot_GetStringValue(annotation, key, buffer, n))
        return " ".join(clean_text(line) for line in text.splitlines()).strip()

    text = entry(b"Contents")
    if text:
        yield Note(kind, text, entry(b"T"), box)


def _links(pdf: pdfium.PdfDocument, page: pdfium.PdfPage, frame: PageSpace) -> Iterator[Link]:
    position, link = ctypes.c_int(0), pdfium_c.FPDF_LINK()
    rect = pdfium_c.FS_RECTF()
    while pdfium_c.FPDFLink_Enumerate(page, position, link):
        if not pdfium_c.FPDFLink_GetAnnotRect(link, rect):
            continue
        box = frame.box(rect.left, rect.bottom, rect.right, rect.top)
        if box is None:
            continue
        action = pdfium_c.FPDFLink_GetAction(link)
        if action and pdfium_c.FPDFAction_GetType(action) == pdfium_c.PDFACTION_URI:
            uri = _bytes(lambda buffer, n, action=action: pdfium_c.FPDFAction_GetURIPath(pdf, action, buffer, n))  # type: ignore[misc]
            yield Link(box, uri=clean_text(uri.decode("utf-8", errors="replace")))
            continue
        target = pdfium_c.FPDFLink_GetDest(pdf, link) or (action and pdfium_c.FPDFAction_GetDest(pdf, action))
        index = pdfium_c.FPDFDest_GetDestPageIndex(pdf, target) if target else -1
        if index >= 0:
            yield Link(box, page=index + 1)


_Fill = Callable[[Any, int], int]
"""Writes to a buffer of so many bytes, and says how many are needed, the end mark included."""


def _text(fill: _Fill) -> str:
    raw = _bytes(lambda buffer, n: fill(ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)) if buffer else None, n), 2)
    return raw.decode("utf-16-le", errors="ignore")


def _bytes(fill: _Fill, end_mark: int = 1) -> bytes:
    needed = fill(None, 0)
    if needed <= end_mark:
        return b""
    buffer = ctypes.create_string_buffer(needed)
    fill(buffer, needed)
    return buffer.raw[: needed - end_mark]
