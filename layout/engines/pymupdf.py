"""The PyMuPDF engine: fast, tolerant of broken files; PyMuPDF is AGPL or commercial, hence an extra."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import Box, HiddenReason, clean_text
from mm_megacontext.errors import IngestError, MissingExtra
from mm_megacontext.layout.engines.passwords import spellings, wrong_password
from mm_megacontext.layout.engines.protocol import (
    NO_MARKS,
    NO_PYMUPDF,
    ModelRegion,
    OpenPdf,
    Painted,
    RawPage,
    RawWord,
    Rgb,
    Turn,
    clip_box,
    is_outside,
    place_vector,
    turn_of,
)
from mm_megacontext.layout.engines.pymupdf_layers import settle_memberships
from mm_megacontext.layout.engines.pymupdf_marks import read_marks
from mm_megacontext.layout.engines.pymupdf_tree import reveal_pages
from mm_megacontext.layout.engines.scripts import Part, scripted, with_scripts
from mm_megacontext.layout.engines.unshown import not_shown


@contextmanager
def _neural_layout_left_out() -> Iterator[None]:
    """PyMuPDF 2 starts an ONNX runtime at import for its neural layout, which is not used here: a second and 50 MB."""
    names = {"pymupdf.layout", "pymupdf4llm"}
    if "pymupdf" in sys.modules or not names.isdisjoint(sys.modules):
        yield
        return
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]  # importing them fails, as PyMuPDF allows for
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


try:
    with _neural_layout_left_out():
        pymupdf: Any = importlib.import_module("pymupdf")
except ImportError as e:
    raise MissingExtra(NO_PYMUPDF) from e

WHITE_SPACE = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
"""What parts words; MuPDF by itself knows only the space and the no-break space."""
_RARE_SPACE = frozenset(WHITE_SPACE) - frozenset(map(chr, range(33))) - {"\u00a0"}
mupdf: Any = pymupdf.mupdf

_VECTOR_BLOCK = 3
_BOLD = 16  # span flag
_BOLD_CHARACTER = 8  # bold by its weight, not by its font's name
_FILLED, _INKED, _CLIPPING = 16, 16 | 32, 64  # filled or stroked; only cutting out what is painted next
_TYPE_3 = "Unnamed-T3"  # MuPDF paints the letters of such fonts one by one, as drawings
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

# MuPDF writes its complaints about broken files to stderr unless told not to.
pymupdf.TOOLS.mupdf_display_errors(False)
pymupdf.TOOLS.mupdf_display_warnings(False)


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
    except IngestError:
        raise
    except Exception as e:
        what = (str(e).splitlines() or [type(e).__name__])[0]
        raise IngestError(f"PyMuPDF cannot open it as a PDF ({what}): export it anew", source=str(path)) from e
    return PyMuPdfFile(pdf, n_pages, model, partial(_open_again, path, password))


def _is_unlocked(pdf: Any, password: str | None) -> bool:
    return not pdf.needs_pass or any(map(pdf.authenticate, spellings(password or "")))


def _open_again(path: Path, password: str | None) -> Any:
    """A file that could be opened with this password before."""
    pdf = pymupdf.open(path, filetype="pdf")
    _is_unlocked(pdf, password)
    reveal_pages(pdf)
    return pdf


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
            colours=partial(_colours, page),
            has_unlisted=page.first_annot is not None or _may_have_patterns(page),
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
        if self._unlayered is not None:
            self._unlayered.close()
        pymupdf.TOOLS.store_shrink(100)
        pymupdf.TOOLS.reset_mupdf_warnings()


def _may_have_actual_text(page: Any) -> bool:
    """Whether ActualText may stand on a page: in its content, or out of sight in what this draws or refers to."""
    own, _ = page.parent.xref_get_key(page.xref, "Resources")
    properties, _ = page.parent.xref_get_key(page.xref, "Resources/Properties")
    is_plain = own != "null" and properties == "null" and not page.get_xobjects()
    return not is_plain or b"ActualText" in page.read_contents()


def _may_have_patterns(page: Any) -> bool:
    """Whether patterns may be painted on a page: no list of vector graphics has them."""
    if not page.parent.is_pdf:
        return True
    places = [page.xref, *(found[0] for found in page.get_xobjects())]
    if page.parent.xref_get_key(page.xref, "Resources")[0] == "null":
        return True  # they are of a node above
    return any(page.parent.xref_get_key(place, "Resources/Pattern")[0] != "null" for place in places)


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
    look = _PLAIN
    for x0, y0, x1, y1, text, block_no, line_no, _ in found:
        middle = ((x0 + x1) / 2, (y0 + y1) / 2)
        if (block_no, line_no) != place:
            place = (block_no, line_no)
            look = looks.of(*middle) or _PLAIN._replace(size=y1 - y0)
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
        word = RawWord(
            x0, y0, x1, y1, text, look.size, look.bold, look.upright, line, hidden, None, ink, apart, look.turn
        )
        if look.raised:
            words += with_scripts(word, look.raised)
        else:
            words.append(word)
    return words


class _Look(NamedTuple):
    """How a line looks.

    Attributes:
        size: Font size, that of its longest span.
        bold: Whether all of it is.
        upright: Whether it stands so.
        unpainted: Boxes, before rotation, of its spans that leave no ink, and why.
        inks: Boxes, before rotation, of its spans; the colour of their ink; whether they are painted apart.
        turn: What makes it upright.
        raised: What stands above or below it, as the page shows it.
    """

    size: float
    bold: bool
    upright: bool
    unpainted: tuple[tuple[Box, HiddenReason], ...]
    inks: tuple[tuple[Box, Rgb | None, bool], ...] = ()
    turn: Turn = 0
    raised: tuple[Part, ...] = ()

    def unpainted_at(self, x: float, y: float) -> HiddenReason | None:
        """Why the span that holds the point leaves no ink, if that is so."""
        return next((why for (x0, y0, x1, y1), why in self.unpainted if x0 <= x <= x1 and y0 <= y <= y1), None)

    def ink_at(self, x: float, y: float) -> tuple[Rgb | None, bool]:
        """The ink of the span that holds the point, and whether it is painted apart."""
        for (x0, y0, x1, y1), ink, apart in self.inks:
            if x0 <= x <= x1 and y0 <= y <= y1:
                return ink, apart
        return None, False


_PLAIN = _Look(0.0, False, True, ())


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
        raised = scripted([self._part(span, line["dir"]) for span in spans]) if len(spans) > 1 else ()
        dx, dy = line["dir"]
        if self._turn is not None:
            a, b, c, d, _, _ = self._turn
            dx, dy = dx * a + dy * c, dx * b + dy * d
        bold = all(s["flags"] & _BOLD or s.get("char_flags", 0) & _BOLD_CHARACTER for s in spans if s["text"].strip())
        unpainted = tuple((s["bbox"], why) for s in spans if (why := _unpainted(s)) is not None)
        size = max(spans, key=lambda s: len(s["text"]))["size"]
        inks = tuple((s["bbox"], *_ink(s)) for s in spans)
        if len({ink[1:] for ink in inks}) == 1:
            inks = inks[:1]
        is_plain = line["wmode"] == 0
        turn = turn_of(dx, dy) if is_plain else 0
        return _Look(size, bold, dx > 0.9 and is_plain, unpainted, inks, turn, raised)

    def _part(self, span: dict[str, Any], direction: tuple[float, float]) -> Part:
        (dx, dy), (x, y) = direction, span["origin"]
        box = span["bbox"]
        ends = [box[0] * dx + box[1] * dy, box[2] * dx + box[3] * dy]
        return Part(_turned(box, self._turn), span["text"], span["size"], dx * y - dy * x, min(ends), max(ends))


def _unpainted(span: dict[str, Any]) -> HiddenReason | None:
    """Why a span leaves no ink, if it leaves none; releases before 1.25.2 do not tell."""
    flags = span.get("char_flags", 0)
    if span.get("alpha", 255) or flags & _CLIPPING:
        return None
    return "transparent" if flags & _INKED else "not painted"


def _ink(span: dict[str, Any]) -> tuple[Rgb | None, bool]:
    """The colour that letters are filled with, where that is known, and whether they are painted apart."""
    flags = span.get("char_flags", 0)
    if flags & _CLIPPING or span["font"].startswith(_TYPE_3):
        return None, True
    color = span["color"]
    return ((color >> 16 & 255, color >> 8 & 255, color & 255) if flags & _FILLED else None), False


def _colours(page: Any, without_text: bool) -> npt.NDArray[np.uint8]:
    """The page in colour, annotations included, or as if it had no text."""
    pixmap = pymupdf.Pixmap(pymupdf.csRGB, page.rect.irect, False)
    pixmap.clear_with(255)
    device = mupdf.fz_new_draw_device(mupdf.FzMatrix(), pixmap.this)
    painted = page.this if isinstance(page.this, mupdf.FzPage) else mupdf.FzPage(page.this)
    if without_text:  # what a device has no function for, it does not paint
        device.m_internal.fill_text = device.m_internal.stroke_text = None
    mupdf.fz_run_page(painted, device, mupdf.FzMatrix(), mupdf.FzCookie())
    mupdf.fz_close_device(device)
    rows = np.frombuffer(pixmap.samples_mv, dtype=np.uint8).reshape(pixmap.height, pixmap.stride)
    return rows[:, : 3 * pixmap.width].reshape(pixmap.height, pixmap.width, 3).copy()


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
