"""The PyMuPDF engine: fast, tolerant of broken files; PyMuPDF is AGPL or commercial, hence an extra."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mm_megacontext.errors import IngestError, MissingExtra
from mm_megacontext.layout.document import Box
from mm_megacontext.layout.engines import OpenPdf, RawPage, RawWord, clean_text, clip_box, place_vector


@contextmanager
def _neural_layout_left_out() -> Iterator[None]:
    """PyMuPDF 2 starts an ONNX runtime at import for its neural layout, which is not used here: a second and 50 MB."""
    name = "pymupdf.layout"
    if "pymupdf" in sys.modules or name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # an import of it fails, as PyMuPDF allows for
    try:
        yield
    finally:
        del sys.modules[name]


try:
    with _neural_layout_left_out():
        pymupdf: Any = importlib.import_module("pymupdf")
except ImportError as e:
    raise MissingExtra(
        "the PyMuPDF engine needs PyMuPDF: pip install 'mm-megacontext[pymupdf]', or use engine='pdfium'"
    ) from e

_VECTOR_BLOCK = 3
_BOLD = 16  # span flag
_BOLD_CHARACTER = 8  # bold by its weight, not by its font's name
_MAX_VECTORS = 4_000  # pages of more are maps or plots: their rules are no evidence for tables
_PAGES_PER_SHRINK = 64  # MuPDF's cache would grow to 256 MiB; emptying it more often re-reads fonts

# Ligatures come expanded (flag left out). Images are read apart: the dictionary would copy or re-encode each of them.
# Vectors are collected only to know whether there are any; releases before 1.26 cannot, and are always asked for them.
_COLLECT_VECTORS = getattr(pymupdf, "TEXT_COLLECT_VECTORS", 0)
_FLAGS = pymupdf.TEXTFLAGS_WORDS & ~pymupdf.TEXT_PRESERVE_LIGATURES | pymupdf.TEXT_MEDIABOX_CLIP | _COLLECT_VECTORS

# MuPDF writes its complaints about broken files to stderr unless told not to.
pymupdf.TOOLS.mupdf_display_errors(False)
pymupdf.TOOLS.mupdf_display_warnings(False)


class PyMuPdfEngine:
    """Opens PDF files with PyMuPDF."""

    name = "pymupdf"

    def open(self, path: Path, password: str | None) -> OpenPdf:
        """Open a PDF. Raises IngestError."""
        try:
            pdf = pymupdf.open(path, filetype="pdf")
            n_pages = int(pdf.page_count)
        except Exception as e:
            what = (str(e).splitlines() or [type(e).__name__])[0]
            raise IngestError(f"PyMuPDF cannot open it as a PDF ({what}): export it anew", source=str(path)) from e
        if pdf.needs_pass and not pdf.authenticate(password or ""):
            pdf.close()
            what = "is wrong: pass the right one" if password else "is needed: pass password=..."
            raise IngestError(f"the PDF is encrypted and its password {what}", source=str(path))
        return _PyMuPdfFile(pdf, n_pages or int(pdf.page_count))


class _PyMuPdfFile:
    def __init__(self, pdf: Any, n_pages: int) -> None:
        self._pdf = pdf
        self.n_pages = n_pages

    def page(self, number: int) -> RawPage:
        if number % _PAGES_PER_SHRINK == 0:
            pymupdf.TOOLS.store_shrink(100)
            pymupdf.TOOLS.reset_mupdf_warnings()
        page = self._pdf.load_page(number - 1)
        size = (float(page.rect.width), float(page.rect.height))
        turn = tuple(page.rotation_matrix) if page.rotation else None
        text_page = page.get_textpage(flags=_FLAGS)
        blocks = text_page.extractDICT()["blocks"]
        words = _words(text_page.extractWORDS(), _Looks(blocks, turn), size, turn)
        rules, drawings = self._vectors(page, blocks, size, turn)
        images = self._images(page, size, turn) if not words or page.get_images() else []
        return RawPage(number, size, words, rules, images, drawings)

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
        pymupdf.TOOLS.store_shrink(100)
        pymupdf.TOOLS.reset_mupdf_warnings()


def _words(
    found: list[tuple[Any, ...]], looks: _Looks, size: tuple[float, float], turn: tuple[float, ...] | None
) -> list[RawWord]:
    width, height = size
    words = []
    place = (-1, -1)
    font_size, bold, upright = 0.0, False, True
    for x0, y0, x1, y1, text, block_no, line_no, _ in found:
        if (block_no, line_no) != place:
            place = (block_no, line_no)
            font_size, bold, upright = looks.of((x0 + x1) / 2, (y0 + y1) / 2) or (y1 - y0, False, True)
        if turn is not None or not (x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height):
            box = clip_box(_turned((x0, y0, x1, y1), turn), size)
            if box is None:
                continue
            x0, y0, x1, y1 = box
        if not (text.isascii() and text.isprintable()):
            text = clean_text(text).strip()
            if not text:
                continue
        words.append(RawWord(x0, y0, x1, y1, text, font_size, bold, upright, block_no << 16 | line_no))
    return words


_Look = tuple[float, bool, bool]
"""Font size of a line (that of its longest span), whether all of it is bold, whether it stands upright."""


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
        return max(spans, key=lambda s: len(s["text"]))["size"], bold, dx > 0.9 and line["wmode"] == 0


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
