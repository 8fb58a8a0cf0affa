"""One page of a PDF: what is seen of it, read by OCR where it is a scan, as regions in reading order."""

from __future__ import annotations

from dataclasses import replace

from mm_megacontext.layout.document import Page, Region
from mm_megacontext.layout.engines import OpenPdf, RawPage
from mm_megacontext.layout.form_values import with_values
from mm_megacontext.layout.leaders import without_leaders
from mm_megacontext.layout.ocr import DPI, Ocr, OcrFailed
from mm_megacontext.layout.regions import find_regions
from mm_megacontext.layout.visibility import split_hidden

_PT_PER_INCH = 72.0
_FEW_WORDS = 5  # a stamp or page number on a scan
_SCAN_SHARE = 0.5  # of the page's area that images cover
_MAX_OCR_PIXELS = 60_000_000  # a sheet of A1 at 300 dpi would be twice that


def read_page(pdf: OpenPdf, engine: str, number: int, ocr: Ocr | None) -> Page:
    """A page; whatever goes wrong with it is its problem, not the document's.

    Args:
        pdf: The document.
        engine: Name of what opened it.
        number: From 1.
        ocr: What reads scans, or None to leave them as pictures.
    """
    try:
        raw = pdf.page(number)
    except Exception as e:
        return Page(number, (0.0, 0.0), (), engine, problem=_what(e))
    problem = raw.problem
    try:
        seen, hidden = split_hidden(raw)
    except Exception as e:
        problem = f"whether text on it is hidden could not be found out ({_what(e)})"
        seen, hidden = raw, ()
    try:
        regions, unread = _regions_and_problem(with_values(_without_leaders(seen), raw.words), ocr)
    except Exception as e:
        return Page(number, raw.size, hidden, engine, _what(e), *raw.marks)
    return Page(number, raw.size, (*regions, *hidden), engine, problem or unread, *raw.marks)


def _without_leaders(page: RawPage) -> RawPage:
    return replace(page, words=without_leaders(page.words))


def _regions_and_problem(page: RawPage, ocr: Ocr | None) -> tuple[tuple[Region, ...], str | None]:
    """The regions, and why a scan is left as it is if it cannot be read."""
    try:
        return _regions(page, ocr), None
    except OcrFailed as e:
        return find_regions(page), _what(e)


def _regions(page: RawPage, ocr: Ocr | None) -> tuple[Region, ...]:
    if ocr is None or page.raster is None or not _is_scan(page):
        return find_regions(page)
    scale = min(DPI / _PT_PER_INCH, (_MAX_OCR_PIXELS / (page.size[0] * page.size[1])) ** 0.5)
    words = ocr.words(page.raster(scale), 1 / scale)
    if len(words) <= len(page.words):
        return find_regions(page)
    return (*find_regions(replace(page, words=words, images=[])), *_as_picture(page))


def _is_scan(page: RawPage) -> bool:
    """Whether pictures are all there is to read on a page."""
    if not page.words:
        return bool(page.images)
    covered = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in page.images)
    return len(page.words) < _FEW_WORDS and covered >= _SCAN_SHARE * page.size[0] * page.size[1]


def _as_picture(page: RawPage) -> tuple[Region, ...]:
    """The page without its words: what is left if they cannot be read."""
    return find_regions(replace(page, words=[]))


def _what(error: Exception) -> str:
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}".rstrip(": ")
