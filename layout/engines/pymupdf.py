"""The PyMuPDF engine: fast, tolerant of broken files; PyMuPDF is AGPL or commercial, hence an extra."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import Box, HiddenReason, Rgb, clean_text
from mm_megacontext.errors import IngestError
from mm_megacontext.layout.engines.corrections import Correction, find_corrections
from mm_megacontext.layout.engines.passwords import spellings, wrong_password
from mm_megacontext.layout.engines.protocol import (
    NO_MARKS,
    ModelRegion,
    OpenPdf,
    Painted,
    RawPage,
    RawWord,
    clip_box,
    is_outside,
    place_vector,
)
from mm_megacontext.layout.engines.pymupdf_ink import PyMuPdfInk
from mm_megacontext.layout.engines.pymupdf_layers import settle_memberships
from mm_megacontext.layout.engines.pymupdf_library import pymupdf
from mm_megacontext.layout.engines.pymupdf_marks import read_marks
from mm_megacontext.layout.engines.pymupdf_tree import reveal_pages
from mm_megacontext.layout.engines.unshown import not_shown

WHITE_SPACE = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
"""What parts words; MuPDF by itself knows only the space and the no-break space."""
_RARE_SPACE = frozenset(WHITE_SPACE) - frozenset(map(chr, range(33))) - {"\u00a0"}

_VECTOR_BLOCK = 3
_BOLD = 16  # span flag
_BOLD_CHARACTER = 8  # bold by its weight, not by its font's name
_FILLED, _INKED, _CLIPPING = 16, 16 | 32, 64  # filled or stroked; only cutting out what is painted next
_TYPE_3 = "Unnamed-T3"  # of such fonts MuPDF paints letters in colours of their own one by one, as drawings
_MAX_VECTORS = 4_000  # pages of more are maps or plots: their rules are no evidence for tables
_PAGES_PER_SHRINK = 64  # MuPDF's cache would grow to 256 MiB; emptying it more often re-reads fonts

# Ligatures come expanded (flag left out). Images are read apart: the dictionary would copy or re-encode each of them.
# Vectors are collected only to know whether there are any; releases before 1.26 cannot, and are always asked for them.
_COLLECT_VECTORS = getattr(pymupdf, "TEXT_COLLECT_VECTORS", 0)
# Nothing is cut at the page's edge: what lies outside is told apart and not lost.
_TOLD = pymupdf.TEXTFLAGS_WORDS & ~pymupdf.TEXT_PRESERVE_LIGATURES & ~pymupdf.TEXT_MEDIABOX_CLIP
# Releases before 1.26 do not know of ActualText.
_GLYPHS = _TOLD | getattr(pymupdf, "TEXT_IGNORE_ACTUALTEXT", 0)
_FLAGS = _GLYPHS | _COLLECT_VECTORS

_OFF: HiddenReason = "in a layer that is off"
_TOLD_ONLY: HiddenReason = "only in ActualText"


class PyMuPdfEngine:
    """Opens PDF files with PyMuPDF."""

    name = "pymupdf"

    def open(self, path: Path, password: str | None) -> OpenPdf:
        """Open a PDF. Raises IngestError."""
        return open_pdf(path, password)


Model = Callable[[Any], list[ModelRegion]]
"""What looks at a page of PyMuPDF and says what it is made of."""


def open_pdf(path: Path, password: str | None, model: Model | None = None) -> OpenPdf:
    """Open a PDF whose pages are looked at by ``model``, if there is one. Raises IngestError."""
    try:
        pdf = pymupdf.open(path, filetype="pdf")
        if not _is_unlocked(pdf, password):
            pdf.close()
            raise wrong_password(str(path), password)
        n_pages = reveal_pages(pdf)
        settle_memberships(pdf)
        corrections = find_corrections(path, password)
        _correct(pdf, corrections)
    except IngestError:
        raise
    except Exception as e:
        what = (str(e).splitlines() or [type(e).__name__])[0]
        raise IngestError(f"PyMuPDF cannot open it as a PDF ({what}): export it anew", source=str(path)) from e
    return PyMuPdfFile(pdf, n_pages, model, partial(_open_again, path, password, corrections))


def _is_unlocked(pdf: Any, password: str | None) -> bool:
    return not pdf.needs_pass or any(map(pdf.authenticate, spellings(password or "")))


def _open_again(path: Path, password: str | None, corrections: list[Correction]) -> Any:
    """A file that could be opened with this password before."""
    pdf = pymupdf.open(path, filetype="pdf")
    _is_unlocked(pdf, password)
    reveal_pages(pdf)
    _correct(pdf, corrections)
    return pdf


def _correct(pdf: Any, corrections: list[Correction]) -> None:
    """Put fonts of the open document, not of the file, right."""
    for number, keys, data in corrections:
        to_unicode = pdf.get_new_xref()
        pdf.update_object(to_unicode, "<<>>")
        pdf.update_stream(to_unicode, data, new=True)
        pdf.xref_set_key(number, "/".join(key[1:] for key in (*keys, "/ToUnicode")), f"{to_unicode} 0 R")


class PyMuPdfFile:
    """A document that PyMuPDF holds open, of any kind that has pages.

    Args:
        pdf: The open document.
        n_pages: How many pages it has.
        model: What looks at its pages, if anything does.
        reopen: Opens the same PDF once more; None for other kinds, which have no layers and no ActualText.
    """

    def __init__(
        self, pdf: Any, n_pages: int, model: Model | None = None, reopen: Callable[[], Any] | None = None
    ) -> None:
        self._pdf = pdf
        self.n_pages = n_pages
        self._model = model
        self._reopen = reopen
        self._unlayered: Any = None
        self._undrawn: Any = None

    def page(self, number: int) -> RawPage:
        if number % _PAGES_PER_SHRINK == 0:
            pymupdf.TOOLS.store_shrink(100)
            pymupdf.TOOLS.reset_mupdf_warnings()
        page = self._pdf.load_page(number - 1)
        size = (float(page.rect.width), float(page.rect.height))
        turn = tuple(page.rotation_matrix) if page.rotation else None
        text_page = page.get_textpage(clip=pymupdf.INFINITE_RECT(), flags=_FLAGS)
        blocks = text_page.extractDICT()["blocks"]
        words = _words(_extract_words(text_page, blocks), _Looks(blocks, turn), size, turn)
        words += self._unshown(page, words, size, turn)
        rules, drawings = self._vectors(page, blocks, size, turn)
        images = self._images(page, size, turn) if not words or page.get_images() else []
        raster, order = partial(_raster, page), partial(_paint_order, page, turn)
        ink = PyMuPdfInk(page, self._without_drawn_letters(page.number) if _draws_letters(blocks) else None)
        marks, error = NO_MARKS, None
        try:
            marks = read_marks(page, lambda rect: clip_box(_turned(tuple(rect), turn), size), size)
        except Exception as e:
            error = e.with_traceback(None)
        look = None if self._model is None else partial(self._model, page)
        return RawPage(
            number,
            size,
            words,
            rules,
            images,
            drawings,
            raster=raster,
            colours=ink.colours,
            letters=ink,
            paint_order=order,
            marks=marks,
            marks_error=error,
            model_regions=look,
        )

    def _unshown(
        self, page: Any, words: list[RawWord], size: tuple[float, float], turn: tuple[float, ...] | None
    ) -> list[RawWord]:
        """What layers that are off would paint, and what stands in ActualText alone."""
        found: list[RawWord] = []
        if self._reopen is None:
            return found
        if self._has_layers:
            unlayered = self._all_layers(self._reopen, page.number)
            found += not_shown(words, _plain_words(unlayered, _GLYPHS, size, turn), _OFF)
        if _TOLD != _GLYPHS and _may_have_actual_text(page):
            found += not_shown(words, _plain_words(page, _TOLD, size, turn), _TOLD_ONLY)
        return found

    @cached_property
    def _has_layers(self) -> bool:
        kind, _ = self._pdf.xref_get_key(self._pdf.pdf_catalog(), "OCProperties")
        return bool(kind != "null")

    def _all_layers(self, reopen: Callable[[], Any], index: int) -> Any:
        """A page of the same file as if it had no layers: all that could be switched on is painted."""
        if self._unlayered is None:
            self._unlayered = reopen()
            self._unlayered.xref_set_key(self._unlayered.pdf_catalog(), "OCProperties", "null")
        return self._unlayered.load_page(index)

    def _without_drawn_letters(self, index: int) -> Callable[[], Any] | None:
        """A page of the same file whose fonts of type 3 have no letters: nothing else tells these from drawings."""
        return None if self._reopen is None else partial(self._load_undrawn, self._reopen, index)

    def _load_undrawn(self, reopen: Callable[[], Any], index: int) -> Any:
        if self._undrawn is None:
            self._undrawn = reopen()
            settle_memberships(self._undrawn)
            for number in range(1, self._undrawn.xref_length()):
                if _is_type_3(self._undrawn, number):
                    self._undrawn.xref_set_key(number, "CharProcs", "<<>>")
        return self._undrawn.load_page(index)

    @staticmethod
    def _vectors(
        page: Any, blocks: list[dict[str, Any]], size: tuple[float, float], turn: tuple[float, ...] | None
    ) -> tuple[list[Box], list[Box]]:
        rules: list[Box] = []
        drawings: list[Box] = []
        vectors = [block for block in blocks if block["type"] == _VECTOR_BLOCK]
        if len(vectors) > _MAX_VECTORS:
            boxes = (clip_box(_turned(block["bbox"], turn), size) for block in vectors)
            return rules, [box for box in boxes if box is not None]
        # The text page's own boxes of stroked lines are wider than the lines, so these are read apart.
        paths = page.get_cdrawings() if vectors or not _COLLECT_VECTORS else []
        for item, is_rectangle in _drawn(paths):
            box = clip_box(_turned(item, turn), size)
            if box is not None:
                place_vector(box, is_rectangle, rules, drawings)
        return rules, drawings

    @staticmethod
    def _images(page: Any, size: tuple[float, float], turn: tuple[float, ...] | None) -> list[Box]:
        boxes = (clip_box(_turned(image["bbox"], turn), size) for image in page.get_image_info())
        return [box for box in boxes if box is not None]

    def close(self) -> None:
        self._pdf.close()
        for copy in (self._unlayered, self._undrawn):
            if copy is not None:
                copy.close()
        pymupdf.TOOLS.store_shrink(100)
        pymupdf.TOOLS.reset_mupdf_warnings()


def _draws_letters(blocks: list[dict[str, Any]]) -> bool:
    """Whether text of a page is in a font whose letters are drawn by the file."""
    spans = (span for block in blocks for line in block.get("lines", ()) for span in line["spans"])
    return any(span["font"].startswith(_TYPE_3) for span in spans)


def _is_type_3(pdf: Any, number: int) -> bool:
    try:
        return bool(pdf.xref_get_key(number, "Subtype") == ("name", "/Type3"))
    except Exception:  # MuPDF's errors have no class in common with those of its binding
        return False


def _may_have_actual_text(page: Any) -> bool:
    """Whether ActualText may stand on a page: in its content, or out of sight in what this draws or refers to."""
    own, _ = page.parent.xref_get_key(page.xref, "Resources")
    properties, _ = page.parent.xref_get_key(page.xref, "Resources/Properties")
    is_plain = own != "null" and properties == "null" and not page.get_xobjects()
    return not is_plain or b"ActualText" in page.read_contents()


def _extract_words(text_page: Any, blocks: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """The words of a text page; looking for rare white space takes three times as long, where there is none."""
    texts = (span["text"] for block in blocks for line in block.get("lines", ()) for span in line["spans"])
    has_rare = any(not text.isascii() and not _RARE_SPACE.isdisjoint(text) for text in texts)
    words: list[tuple[Any, ...]] = text_page.extractWORDS(WHITE_SPACE if has_rare else None)
    return words


def _plain_words(page: Any, flags: int, size: tuple[float, float], turn: tuple[float, ...] | None) -> list[RawWord]:
    """The words of a page, wherever they stand, without a look at how they are painted."""
    found = page.get_textpage(clip=pymupdf.INFINITE_RECT(), flags=flags).extractWORDS(WHITE_SPACE)
    return _words(found, _Looks([], turn), size, turn)


def _words(
    found: list[tuple[Any, ...]], looks: _Looks, size: tuple[float, float], turn: tuple[float, ...] | None
) -> list[RawWord]:
    width, height = size
    words = []
    place = (-1, -1)
    look = _Look(0.0, False, True, ())
    for x0, y0, x1, y1, text, block_no, line_no, _ in found:
        middle = ((x0 + x1) / 2, (y0 + y1) / 2)
        if (block_no, line_no) != place:
            place = (block_no, line_no)
            look = looks.of(*middle) or _Look(y1 - y0, False, True, ())
        hidden = look.unpainted_at(*middle) if look.unpainted else None
        ink, apart = look.inks[0][1:] if len(look.inks) == 1 else look.ink_at(*middle)
        if turn is not None or not (x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height):
            box = _turned((x0, y0, x1, y1), turn)
            if not all(map(math.isfinite, box)):
                continue
            if is_outside(box, size):
                hidden = "outside the page"
            else:
                box = clip_box(box, size) or box
            x0, y0, x1, y1 = box
        if not (text.isascii() and text.isprintable()):
            text = clean_text(text).strip()
            if not text:
                continue
        line = block_no << 16 | line_no
        words.append(RawWord(x0, y0, x1, y1, text, look.size, look.bold, look.upright, line, hidden, None, ink, apart))
    return words


class _Look(NamedTuple):
    """How a line looks.

    Attributes:
        size: Font size, that of its longest span.
        bold: Whether all of it is.
        upright: Whether it stands so.
        unpainted: Boxes, before rotation, of its spans that leave no ink, and why.
        inks: Boxes, before rotation, of its spans; the colour of their ink; whether they are painted apart.
    """

    size: float
    bold: bool
    upright: bool
    unpainted: tuple[tuple[Box, HiddenReason], ...]
    inks: tuple[tuple[Box, Rgb | None, bool], ...] = ()

    def unpainted_at(self, x: float, y: float) -> HiddenReason | None:
        """Why the span that holds the point leaves no ink, if that is so."""
        return next((why for (x0, y0, x1, y1), why in self.unpainted if x0 <= x <= x1 and y0 <= y <= y1), None)

    def ink_at(self, x: float, y: float) -> tuple[Rgb | None, bool]:
        """The ink of the span that holds the point, and whether it is painted apart."""
        for (x0, y0, x1, y1), ink, apart in self.inks:
            if x0 <= x <= x1 and y0 <= y <= y1:
                return ink, apart
        return None, False


class _Looks:
    """The lines of the dictionary, gone through in step with the words.

    The two are in the same order; their block numbers differ, since only one of them counts vector graphics.
    """

    def __init__(self, blocks: list[dict[str, Any]], turn: tuple[float, ...] | None) -> None:
        self._lines = [line for block in blocks for line in block.get("lines", ()) if line["spans"]]
        self._next = 0
        self._turn = turn

    def of(self, x: float, y: float) -> _Look | None:
        """The look of the next line that holds the point, or None where none does."""
        for at in range(self._next, len(self._lines)):
            x0, y0, x1, y1 = self._lines[at]["bbox"]
            if x0 <= x <= x1 and y0 <= y <= y1:
                self._next = at + 1
                return self._look(self._lines[at])
        return None

    def _look(self, line: dict[str, Any]) -> _Look:
        spans = line["spans"]
        dx, dy = line["dir"]
        if self._turn is not None:
            dx = dx * self._turn[0] + dy * self._turn[2]
        bold = all(s["flags"] & _BOLD or s.get("char_flags", 0) & _BOLD_CHARACTER for s in spans if s["text"].strip())
        unpainted = tuple((s["bbox"], why) for s in spans if (why := _unpainted(s)) is not None)
        size = max(spans, key=lambda s: len(s["text"]))["size"]
        inks = tuple((s["bbox"], *_ink(s)) for s in spans)
        if len({ink[1:] for ink in inks}) == 1:
            inks = inks[:1]
        return _Look(size, bold, dx > 0.9 and line["wmode"] == 0, unpainted, inks)


def _unpainted(span: dict[str, Any]) -> HiddenReason | None:
    """Why a span leaves no ink, if it leaves none; releases before 1.25.2 do not tell."""
    flags = span.get("char_flags", 0)
    if span.get("alpha", 255) or flags & _CLIPPING:
        return None
    return "transparent" if flags & _INKED else "not painted"


def _ink(span: dict[str, Any]) -> tuple[Rgb | None, bool]:
    """The colour that letters are filled with, where that is known, and whether they are painted apart."""
    flags = span.get("char_flags", 0)
    if flags & _CLIPPING:
        return None, True
    color = span["color"]
    return ((color >> 16 & 255, color >> 8 & 255, color & 255) if flags & _FILLED else None), False


def _raster(page: Any, scale: float) -> npt.NDArray[np.uint8]:
    """The page in grey, ``scale`` pixels a point, annotations included."""
    pixmap = page.get_pixmap(matrix=pymupdf.Matrix(scale, scale), colorspace=pymupdf.csGRAY, alpha=False)
    rows = np.frombuffer(pixmap.samples_mv, dtype=np.uint8).reshape(pixmap.height, pixmap.stride)
    return rows[:, : pixmap.width].copy()


def _paint_order(page: Any, turn: tuple[float, ...] | None) -> list[Painted]:
    """Texts, images and covers in the order in which they are painted."""
    covers = {path["seqno"] for path in page.get_cdrawings() if _is_cover(path)}
    order = []
    for number, (what, box, *_) in enumerate(page.get_bboxlog()):
        if what.endswith("-text"):
            order.append(Painted("text", _turned(box, turn)))
        elif what == "fill-image":
            order.append(Painted("image", _turned(box, turn)))
        elif number in covers:
            order.append(Painted("cover", _turned(box, turn)))
    return order


def _is_cover(path: dict[str, Any]) -> bool:
    """Whether a path is a filled rectangle that nothing shows through, as far as its opacity tells."""
    is_filled = path["type"] in ("f", "fs") and path.get("fill_opacity", 1.0) == 1.0
    return is_filled and len(path["items"]) == 1 and path["items"][0][0] == "re"


def _drawn(paths: list[dict[str, Any]]) -> Iterator[tuple[Box, bool]]:
    """Each straight line, rectangle and curve of the paths: its box, and whether it is a rectangle."""
    for path in paths:
        if path["type"] in ("clip", "group"):
            continue
        for item in path["items"]:
            if item[0] == "re":
                yield item[1], True
            else:
                xs, ys = zip(*(item[1] if item[0] == "qu" else item[1:]), strict=True)
                yield (min(xs), min(ys), max(xs), max(ys)), False


def _turned(box: Box, turn: tuple[float, ...] | None) -> Box:
    """``box`` in the rotated page; PyMuPDF gives text in the frame before rotation."""
    if turn is None:
        return box
    a, b, c, d, e, f = turn
    x0, y0, x1, y1 = box
    u0, v0, u1, v1 = a * x0 + c * y0 + e, b * x0 + d * y0 + f, a * x1 + c * y1 + e, b * x1 + d * y1 + f
    return (min(u0, u1), min(v0, v1), max(u0, u1), max(v0, v1))


def create() -> PyMuPdfEngine:
    """The engine, for the registry."""
    return PyMuPdfEngine()
