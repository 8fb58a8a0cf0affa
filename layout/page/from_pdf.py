"""One page of a PDF: what is seen of it, read by OCR where it is a scan, as regions in reading order."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mm_megacontext.document import Box, Page, Region
from mm_megacontext.errors import ErrorCode, IngestError, first_words
from mm_megacontext.layout.engines.form_values import with_values
from mm_megacontext.layout.engines.protocol import ModelRegion, OpenPdf, RawPage, RawWord, without_model
from mm_megacontext.layout.engines.scripts import beside_others
from mm_megacontext.layout.page.disagreement import MAX_SCORE, disagreement, is_doubtful, is_sure
from mm_megacontext.layout.page.drawn_boxes import with_ticks
from mm_megacontext.layout.page.leaders import without_leaders
from mm_megacontext.layout.page.legibility import is_illegible
from mm_megacontext.layout.page.neural_regions import fill_regions
from mm_megacontext.layout.page.ocr import DPI, NoOcr, Ocr, OcrFailed, without_specks
from mm_megacontext.layout.page.regions import find_regions
from mm_megacontext.layout.page.scan import ILLEGIBLE, UNSURE, read_scan
from mm_megacontext.layout.page.visibility import split_hidden
from mm_megacontext.turned_frame import mapped

_PT_PER_INCH = 72.0
_FEW_WORDS = 5  # a stamp or page number on a scan
_SCAN_SHARE = 0.5  # of the page's area that images cover
_MAX_OCR_PIXELS = 60_000_000  # a sheet of A1 at 300 dpi would be twice that
MARKS_UNREAD = "its form fields, notes and links could not be read"
"""Begins the problem of a page where that is so."""
_NO_MEMORY = re.compile(r"\b[mc]alloc\b|\brealloc\b|out of memory", re.IGNORECASE)


class ModelFailed(Exception):
    """The layout model failed on a page, which is then laid out by geometry."""

    code: ErrorCode = "layout_model_failed"


class Illegible(Exception):
    """The words of a page cannot be read; the message says whether OCR has read them instead."""

    code: ErrorCode = ILLEGIBLE


class TooLarge(ValueError):
    """A page has more pixels than the limit."""


def read_page(pdf: OpenPdf, engine: str, number: int, ocr: Ocr | None, max_pixels: int) -> Page:
    """A page; whatever goes wrong with it is its problem, not the document's.

    Args:
        pdf: The document.
        engine: Name of what opened it.
        number: From 1.
        ocr: What reads scans, or None to leave them as pictures.
        max_pixels: A page that has more at one pixel a point is not read: it cannot be looked at.
    """
    try:
        raw = pdf.page(number)
        _check_size(raw, max_pixels)
    except Exception as e:
        return Page(number, (0.0, 0.0), (), engine, problem=_told(e), code=_code(e, "corrupt"))
    fields, notes, links = raw.marks
    problem: str | None = None
    code: ErrorCode | None = None
    if raw.marks_error is not None:
        problem = f"{MARKS_UNREAD} ({_told(raw.marks_error)})"
        code = _code(raw.marks_error, "marks_unread")
    try:
        seen, hidden = split_hidden(raw)
    except Exception as e:
        problem = f"whether text on it is hidden could not be found out ({_told(e)})"
        code = _code(e, "visibility_unknown")
        seen, hidden = raw, ()
    laid_out = _LaidOut(())
    try:
        laid_out = _lay_out(with_values(with_ticks(_prepared(seen)), raw.words), ocr)
    except Exception as e:
        problem, code = _told(e), _code(e, "layout_failed")
    if problem is None and laid_out.failure is not None:
        problem, code = _told(laid_out.failure), laid_out.failure.code
    score: float | None = None
    if problem is None:
        score, problem, code = _doubt(seen, ocr)
    return Page(
        number,
        raw.size,
        (*laid_out.regions, *hidden),
        engine if laid_out.by_model else without_model(engine),
        problem=problem,
        code=code,
        fields=fields,
        notes=notes,
        links=links,
        disagreement=score,
    )


def _doubt(page: RawPage, ocr: Ocr | None) -> tuple[float | None, str | None, ErrorCode | None]:
    """How much the text of a page differs from what it shows, if that was looked at, and what is wrong with it."""
    if ocr is None or isinstance(ocr, NoOcr) or page.raster is None or _is_scan(page) or not is_doubtful(page):
        return None, None, None
    try:
        score = disagreement(page.words, _Picture(page, ocr).words)
    except OcrFailed as e:
        return None, f"whether its text is what it shows could not be found out ({e})", e.code
    if score is None or score <= MAX_SCORE:
        return score, None, None
    problem = f"its text is not what it shows (they differ by {score:.2f}, more than {MAX_SCORE}): look at the page"
    return score, problem, "text_layer_disagrees"


def _prepared(page: RawPage) -> RawPage:
    """The page without dot leaders, and with what stands above or below its lines told."""
    return replace(page, words=beside_others(without_leaders(page.words)))


def _check_size(page: RawPage, max_pixels: int) -> None:
    """Raises ValueError where a page has no size, TooLarge where it has too much of it."""
    width, height = page.size
    if not (math.isfinite(width) and math.isfinite(height) and width > 0 and height > 0):
        raise ValueError(f"the page has no size ({width:g} x {height:g} pt)")
    if width * height > max_pixels:
        raise TooLarge(
            f"the page is {width:.0f} x {height:.0f} pt, more than the limit of {max_pixels} pixels: raise "
            "max_decoded_pixels if you trust the file"
        )


def _code(error: Exception, otherwise: ErrorCode) -> ErrorCode:
    if isinstance(error, TooLarge):
        return "limit_pixels"
    if isinstance(error, IngestError):
        return error.code
    # MuPDF says "malloc of N bytes failed" in an exception of its own.
    return "limit_memory" if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)) else otherwise


@dataclass(frozen=True, slots=True)
class _LaidOut:
    """The regions of a page; why it is not read as it should be, if so; whether the model found them."""

    regions: tuple[Region, ...]
    failure: OcrFailed | ModelFailed | Illegible | None = None
    by_model: bool = False


def _lay_out(page: RawPage, ocr: Ocr | None) -> _LaidOut:
    try:
        if ocr is not None and page.raster is not None and _is_scan(page):
            return _scan(page, ocr)
        if is_illegible(page.words):
            return _illegible(page, ocr)
        return _LaidOut(find_regions(page)) if page.model_regions is None else _by_model(page, page.model_regions)
    except (OcrFailed, ModelFailed) as e:
        return _LaidOut(find_regions(page), e)


def _by_model(page: RawPage, model: Callable[[], list[ModelRegion]]) -> _LaidOut:
    """The regions as the model sees them. Raises ModelFailed."""
    try:
        found = model()
    except MemoryError:
        raise
    except Exception as e:
        raise ModelFailed(f"the layout model failed on it, its regions are those of geometry ({_told(e)})") from e
    return _LaidOut(fill_regions(page, found), by_model=bool(found and page.words))


def _illegible(page: RawPage, ocr: Ocr | None) -> _LaidOut:
    """The regions of a page that does not say which letters it shows, as OCR sees them. Raises OcrFailed."""
    what = "its text cannot be read, its fonts do not say which letters they show"
    can_look = ocr is not None and not isinstance(ocr, NoOcr) and page.raster is not None
    if can_look and ocr is not None:
        picture = _Picture(page, ocr)
        if picture.reading.is_sure:
            return _LaidOut(picture.regions(page.images), Illegible(f"{what}: OCR has read it instead"))
    how = "read with the languages that it is in (--ocr)" if can_look else "install Tesseract and read with OCR"
    return _LaidOut(find_regions(page), Illegible(f"{what}: {how}"))


def _scan(page: RawPage, ocr: Ocr) -> _LaidOut:
    """The regions of a scan with the words that it shows. Raises OcrFailed."""
    picture = _Picture(page, ocr)
    why = Illegible(UNSURE) if picture.reading.is_illegible else None
    if len(picture.words) <= len(page.words):
        return _LaidOut(find_regions(page), why)
    return _LaidOut((*picture.regions([]), *_as_picture(page)), why)


class _Picture:
    """What a page shows, read by OCR. Raises OcrFailed.

    Args:
        page: Of which the engine can make a picture.
        ocr: What reads it.
    """

    def __init__(self, page: RawPage, ocr: Ocr) -> None:
        assert page.raster is not None, "the caller has asked"
        self._page = page
        self._scale = min(DPI / _PT_PER_INCH, (_MAX_OCR_PIXELS / (page.size[0] * page.size[1])) ** 0.5)
        self.reading = read_scan(page.raster(self._scale), ocr.words, _makes_sense)
        self.words = without_specks(self.reading.words)

    def regions(self, images: list[Box]) -> tuple[Region, ...]:
        """Regions of its words. Of what else stands on the page, a picture that was turned shows nothing but these."""
        words = [_resized(word, 1 / self._scale) for word in self.words]
        if self.reading.frame.turn == 0:
            return find_regions(replace(self._page, words=words, images=images))
        width, height = self.reading.frame.turned_size
        turned = RawPage(self._page.number, (width / self._scale, height / self._scale), words, [], [], [])
        turn = self.reading.frame.turn
        return tuple(replace(mapped(r, self._back), turn=r.turn + turn) for r in find_regions(turned))

    def _back(self, box: Box) -> Box:
        scale = self._scale
        x0, y0, x1, y1 = self.reading.frame.on_page((box[0] * scale, box[1] * scale, box[2] * scale, box[3] * scale))
        return (x0 / scale, y0 / scale, x1 / scale, y1 / scale)


def _makes_sense(read: Sequence[RawWord]) -> bool:
    return is_sure(without_specks(read))


def _resized(word: RawWord, factor: float) -> RawWord:
    x0, y0, x1, y1 = (value * factor for value in word.box)
    return word._replace(x0=x0, y0=y0, x1=x1, y1=y1, size=word.size * factor)


def _is_scan(page: RawPage) -> bool:
    """Whether pictures are all there is to read on a page."""
    if not page.words:
        return bool(page.images)
    covered = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in page.images)
    return len(page.words) < _FEW_WORDS and covered >= _SCAN_SHARE * page.size[0] * page.size[1]


def _as_picture(page: RawPage) -> tuple[Region, ...]:
    """The page without its words: what is left if they cannot be read."""
    return find_regions(replace(page, words=[]))


def _told(error: Exception) -> str:
    """What is wrong with a page: in our own words, or in the first ones of a library."""
    return str(error) if isinstance(error, TooLarge | ModelFailed | Illegible) else first_words(error)
