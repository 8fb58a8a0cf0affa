"""PDF engines behind one protocol: what a page shows, before any layout is made of it.

An engine opens a PDF and gives ``RawPage`` values in the frame of ``document.py`` (origin top-left, points, rotation
and crop box applied). Everything geometric after that (lines, columns, tables) is the same for all engines.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, get_args, runtime_checkable

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import (
    Box,
    FormField,
    HiddenReason,
    LayoutMethod,
    Link,
    Note,
    RegionKind,
    Rgb,
    Script,
    clean_text,
)
from mm_megacontext.errors import MissingExtra, UnknownName
from mm_megacontext.registry import Registry

NEURAL = "pymupdf+neural"
"""PyMuPDF, and what its model says of a page; asked for as ``layout="neural"``."""

BUILT_IN = {
    "pymupdf": "mm_megacontext.layout.engines.pymupdf:create",
    NEURAL: "mm_megacontext.layout.engines.pymupdf_neural:create",
    "pdfium": "mm_megacontext.layout.engines.pdfium:create",
}

NO_PYMUPDF = "the PyMuPDF engine needs PyMuPDF: pip install 'mm-megacontext[pymupdf]', or use engine='pdfium'"
NO_MODEL = (
    "the neural layout needs the model of PyMuPDF 2, and the PyMuPDF that is installed has none: "
    "pip install 'pymupdf>=2.0', or use the geometric layout"
)


class RawWord(NamedTuple):
    """A word as an engine gives it.

    ``line`` numbers the engine's own text line; turned text is not ``upright``; ``hidden`` is why nobody sees it, as
    far as the engine knows: ``visibility`` finds out the rest. ``confidence`` is that of OCR, 0 to 1. ``ink`` is the
    colour that its letters are filled with, 0 to 255, where that is one and known; ``apart`` are words that a renderer
    paints by other means than as text: cut out of something, or drawn letter by letter. ``turn`` are the quarter turns
    clockwise by which its line is turned, 0 for one that stands upright or askew.
    ``script`` is of what stands above or below the line that it is on.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    text: str
    size: float
    bold: bool
    upright: bool
    line: int
    hidden: HiddenReason | None = None
    confidence: float | None = None
    ink: Rgb | None = None
    apart: bool = False
    turn: int = 0
    script: Script = ""

    @property
    def box(self) -> Box:
        return self[:4]


class Painted(NamedTuple):
    """One painting operation and its box; a cover is a filled rectangle that nothing shows through."""

    kind: Literal["text", "image", "cover"]
    box: Box


CLOSE = 4
"""Pixels a point where letters are looked at one by one: less does not tell one digit from another below it."""


class Glyph(NamedTuple):
    """A letter, or several that are painted as one, as it would look if it alone were painted, and in full.

    ``left`` and ``top`` are the pixel of the page, ``CLOSE`` a point, where ``coverage`` (height, width) begins: how
    much of each pixel it covers, 0 to 255.
    """

    text: str
    left: int
    top: int
    coverage: npt.NDArray[np.uint8]


class Patch(NamedTuple):
    """A part of a page in colour (height, width, 3), ``CLOSE`` pixels a point, and the pixel where it begins."""

    left: int
    top: int
    pixels: npt.NDArray[np.uint8]


def occurrences(texts: list[str], wanted: str) -> list[tuple[int, int]]:
    """Where a text is found in others that follow one another: the first and the last of them that have part in it.

    >>> occurrences(["a", "", "b", "c", "ab"], "ab")
    [(0, 2), (4, 4)]
    """
    whole = "".join(texts)
    owners = [n for n, text in enumerate(texts) for _ in text]
    found, at = [], whole.find(wanted)
    while at >= 0:
        found.append((owners[at], owners[at + len(wanted) - 1]))
        at = whole.find(wanted, at + 1)
    return found


class PageLetters(Protocol):
    """The letters of a page painted alone, whatever cuts, covers or hides them there, and the page around them."""

    def coverage(self) -> npt.NDArray[np.uint8]:
        """How much of each pixel, one a point, the letters cover, all together: (height, width), 0 to 255."""
        ...

    def glyphs(self, box: Box, text: str) -> list[Glyph] | None:
        """The letters of a word, in the order of its text; None where they cannot be told."""
        ...

    def patch(self, box: Box, without_text: bool) -> Patch:
        """The page in and around a box, as ``RawPage.colours`` has it."""
        ...


class ModelRegion(NamedTuple):
    """A region as a model sees it, without words; ``level`` is that of a heading, None where its size decides."""

    kind: RegionKind
    box: Box
    level: int | None = None


class Marks(NamedTuple):
    """What lies on a page and is no part of its content."""

    fields: tuple[FormField, ...] = ()
    notes: tuple[Note, ...] = ()
    links: tuple[Link, ...] = ()


NO_MARKS = Marks()


@dataclass(frozen=True, slots=True)
class RawPage:
    """What stands on one page.

    Attributes:
        number: From 1.
        size: Width and height in points, after rotation and cropping.
        rules: Thin boxes (at most ``MAX_RULE_PT`` thick) and the edges of rectangles: evidence for tables.
        images: Boxes of raster images.
        drawings: Boxes of all other vector graphics.
        raster: Renders the page, annotations included, at so many pixels a point: (height, width) grey; called while
            the page is open. None where the engine cannot.
        colours: Renders the page in colour, annotations included, at one pixel a point: (height, width, 3); if it is
            told so, as if there were no text. Called while the page is open. None where the engine cannot.
        letters: The letters of the page painted alone; called while the page is open. None where the engine cannot.
        paint_order: What is painted, in order. None where the engine does not know.
        marks: Form fields, notes and links that can be seen.
        marks_error: Why these could not be read, or None.
        model_regions: What a model says that the page is made of, in reading order; called while the page is open. None
            where no model was asked for.
    """

    number: int
    size: tuple[float, float]
    words: list[RawWord]
    rules: list[Box]
    images: list[Box]
    drawings: list[Box]
    raster: Callable[[float], npt.NDArray[np.uint8]] | None = None
    colours: Callable[[bool], npt.NDArray[np.uint8]] | None = None
    letters: PageLetters | None = None
    paint_order: Callable[[], list[Painted]] | None = None
    marks: Marks = NO_MARKS
    marks_error: Exception | None = None
    model_regions: Callable[[], list[ModelRegion]] | None = None


MAX_RULE_PT = 2.5
"""A box thinner than this is a ruling line."""


@runtime_checkable
class OpenPdf(Protocol):
    """A PDF held open by an engine."""

    @property
    def n_pages(self) -> int: ...

    def page(self, number: int) -> RawPage:
        """Page ``number``, from 1. May raise whatever the library raises: it becomes the problem of that page."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class PdfEngine(Protocol):
    """A way to read PDF files."""

    @property
    def name(self) -> str: ...

    def open(self, path: Path, password: str | None) -> OpenPdf:
        """Open a PDF. Raises IngestError where it cannot be opened, needs a password, or the password is wrong."""
        ...


ENGINES = Registry[Callable[[], PdfEngine]](
    "layout engine",
    group="mm_megacontext.layout_engines",
    built_in=BUILT_IN,
)
"""Called without arguments in the process that reads the file, see ``workers.serve``: a new one for each file, which
can write no file, sees of the environment what begins with ``MMCTX_``, and is ended when a page takes too long or too
much memory."""


def load_engine(name: str) -> PdfEngine:
    """The engine registered as ``name``. Raises UnknownName where none is, MissingExtra where it is not installed."""
    engine = ENGINES.get(name)()
    if not isinstance(engine, PdfEngine):
        raise TypeError(f"layout engine {name!r} has no name and open(): it is {type(engine).__name__}")
    return engine


def candidates(name: str, layout: LayoutMethod = "geometric") -> list[str]:
    """The engines to try in turn: the named one, or for ``auto`` PyMuPDF where installed and then PDFium.

    For the neural layout it is PyMuPDF with its model; the others are for pages that this cannot read. None of them is
    loaded: that is for the process that reads.

    Raises:
        ValueError: There is no engine ``name`` (UnknownName) or no ``layout``, or the engine does not have it.
        MissingExtra: It is PyMuPDF, which is not installed, or has no model.
    """
    if layout not in get_args(LayoutMethod):
        raise ValueError(f"unknown layout {layout!r}: use one of {', '.join(get_args(LayoutMethod))}")
    has_pymupdf = find_spec("pymupdf") is not None
    if layout == "neural":
        others = _beside_neural(name)
        if not has_pymupdf:
            raise MissingExtra(NO_PYMUPDF)
        if not _has_model():
            raise MissingExtra(NO_MODEL)
        return [NEURAL, *others]
    if name == "auto":
        return ["pymupdf", "pdfium"] if has_pymupdf else ["pdfium"]
    if name == "pymupdf" and not has_pymupdf:
        raise MissingExtra(NO_PYMUPDF)
    if name == NEURAL or name not in ENGINES:
        known = ["auto", *(known for known in ENGINES.names() if known != NEURAL)]
        raise UnknownName(f"unknown layout engine {name!r}: use one of {', '.join(known)}")
    return [name]


def layout_of(engine: str) -> LayoutMethod:
    """The layout of pages that an engine of that name has read."""
    return "neural" if engine == NEURAL else "geometric"


def without_model(engine: str) -> str:
    """The engine of a page that the model had no part in."""
    return "pymupdf" if engine == NEURAL else engine


def _beside_neural(name: str) -> list[str]:
    """Who reads the pages that the model's engine cannot. Raises ValueError where ``name`` has no model."""
    if name in ("auto", "pymupdf"):
        return ["pymupdf", "pdfium"] if name == "auto" else ["pymupdf"]
    raise ValueError(f"the neural layout is PyMuPDF's and engine {name!r} has none: use engine 'pymupdf' or 'auto'")


def _has_model() -> bool:
    """Whether the PyMuPDF that is installed has its model; told without importing it."""
    spec = find_spec("pymupdf")
    places = [] if spec is None else spec.submodule_search_locations or []
    return any((Path(place) / "layout" / "__init__.py").is_file() for place in places)


def clip_box(box: Box, size: tuple[float, float]) -> Box | None:
    """``box`` cut to the page, or None where nothing finite of it lies on the page."""
    x0, y0, x1, y1 = box
    if not math.isfinite(x0 + y0 + x1 + y1):
        return None
    x0, x1 = max(0.0, min(x0, x1)), min(size[0], max(x0, x1))
    y0, y1 = max(0.0, min(y0, y1)), min(size[1], max(y0, y1))
    return (x0, y0, x1, y1) if x0 <= x1 and y0 <= y1 else None


def is_outside(box: Box, size: tuple[float, float]) -> bool:
    """Whether nothing of ``box`` lies on the page."""
    return box[2] <= 0 or box[3] <= 0 or box[0] >= size[0] or box[1] >= size[1]


def quarter_turns(degrees: float) -> int:
    """The quarter turns clockwise that a line of text falls by; 0 where it lies between them.

    >>> [quarter_turns(degrees) for degrees in (0, 91, -90, 180, 45)]
    [0, 1, 3, 2, 0]
    """
    quarters = round(degrees / 90)
    return quarters % 4 if abs(degrees - 90 * quarters) <= MAX_ASKEW else 0


MAX_ASKEW = 25.0
"""Degrees off that text still is upright, or on its side or head."""


def place_vector(box: Box, is_rectangle: bool, rules: list[Box], drawings: list[Box]) -> None:
    """Sort one vector graphic's box into ``rules`` (thin boxes, edges of rectangles) or ``drawings``."""
    x0, y0, x1, y1 = box
    if x1 - x0 <= MAX_RULE_PT or y1 - y0 <= MAX_RULE_PT:
        rules.append(box)
        return
    drawings.append(box)
    if is_rectangle:
        rules += [(x0, y0, x1, y0), (x0, y1, x1, y1), (x0, y0, x0, y1), (x1, y0, x1, y1)]


def drawn_text(text: str) -> str:
    r"""Cleaned text of a word of a PDF, in which a soft hyphen at the end of a line is drawn like any other.

    >>> drawn_text("infor\u00ad"), drawn_text("in\u00adfor"), drawn_text("\u00ad")
    ('infor-', 'infor', '')
    """
    is_divided = text[-1:] == "\u00ad" and text[-2:-1].isalnum()
    return clean_text(text).strip() + "-" * is_divided
