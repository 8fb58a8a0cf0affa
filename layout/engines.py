"""PDF engines behind one protocol: what a page shows, before any layout is made of it.

An engine opens a PDF and gives ``RawPage`` values in the frame of ``document.py`` (origin top-left, points, rotation
and crop box applied). Everything geometric after that (lines, columns, tables) is the same for all engines.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from mm_megacontext.errors import MissingExtra
from mm_megacontext.layout.document import Box, FormField, HiddenReason, Link, Note

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINT_GROUP = "mm_megacontext.layout_engines"
"""Other distributions register an engine here: a name for a function without arguments that returns a PdfEngine.

It is called in the process that reads the file, see ``pdf_worker``: a new one for each file, which can write no file,
sees of the environment what begins with ``MMCTX_``, and is ended when a page takes too long or too much memory.
"""

BUILT_IN = {
    "pymupdf": "mm_megacontext.layout.pymupdf_engine:create",
    "pdfium": "mm_megacontext.layout.pdfium_engine:create",
}

NO_PYMUPDF = "the PyMuPDF engine needs PyMuPDF: pip install 'mm-megacontext[pymupdf]', or use engine='pdfium'"

_LIGATURES = {
    0xFB00: "ff",
    0xFB01: "fi",
    0xFB02: "fl",
    0xFB03: "ffi",
    0xFB04: "ffl",
    0xFB05: "st",
    0xFB06: "st",
}
# Control characters, soft hyphens, zero-width marks and lone surrogates carry no text and break databases and JSON.
_DROPPED: dict[int, None] = dict.fromkeys(
    [*range(32), *range(0x7F, 0xA0), 0xAD, 0x200B, 0x2060, 0xFEFF, 0xFFFE, 0xFFFF, *range(0xD800, 0xE000)]
)
_CLEAN: dict[int, str | None] = {**_LIGATURES, **_DROPPED}


class RawWord(NamedTuple):
    """A word as an engine gives it.

    ``line`` numbers the engine's own text line; turned text is not ``upright``; ``hidden`` is why nobody sees it, as
    far as the engine knows: ``visibility`` finds out the rest. ``confidence`` is that of OCR, 0 to 1.
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

    @property
    def box(self) -> Box:
        return self[:4]


class Painted(NamedTuple):
    """One painting operation and its box."""

    kind: Literal["text", "image"]
    box: Box


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
        paint_order: What is painted, in order. None where the engine does not know.
        marks: Form fields, notes and links that can be seen.
        marks_error: Why these could not be read, or None.
    """

    number: int
    size: tuple[float, float]
    words: list[RawWord]
    rules: list[Box]
    images: list[Box]
    drawings: list[Box]
    raster: Callable[[float], npt.NDArray[np.uint8]] | None = None
    paint_order: Callable[[], list[Painted]] | None = None
    marks: Marks = NO_MARKS
    marks_error: Exception | None = None


MAX_RULE_PT = 2.5
"""A box thinner than this is a ruling line."""


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


def load_engine(name: str) -> PdfEngine:
    """The engine registered as ``name``. Raises ValueError where none is, MissingExtra where it is not installed."""
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        engine = getattr(importlib.import_module(module), attribute)()
    elif (plugin := _plugins().get(name)) is not None:
        engine = plugin.load()()
    else:
        raise _unknown(name)
    if not isinstance(engine, PdfEngine):
        raise TypeError(f"layout engine {name!r} has no name and open(): it is {type(engine).__name__}")
    return engine


def candidates(name: str) -> list[str]:
    """The engines to try in turn: the named one, or for ``auto`` PyMuPDF where installed and then PDFium.

    None of them is loaded: that is for the process that reads.

    Raises:
        ValueError: There is no engine ``name``.
        MissingExtra: It is PyMuPDF, which is not installed.
    """
    has_pymupdf = find_spec("pymupdf") is not None
    if name == "auto":
        return ["pymupdf", "pdfium"] if has_pymupdf else ["pdfium"]
    if name == "pymupdf" and not has_pymupdf:
        raise MissingExtra(NO_PYMUPDF)
    if name not in BUILT_IN and name not in _plugins():
        raise _unknown(name)
    return [name]


def _plugins() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points  # takes longer than the rest of this module, and is seldom needed

    return {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}


def _unknown(name: str) -> ValueError:
    known = ", ".join(["auto", *BUILT_IN, *_plugins()])
    return ValueError(f"unknown layout engine {name!r}: use one of {known}")


def clean_text(text: str) -> str:
    r"""``text`` with ligatures expanded and without characters that carry no text.

    >>> clean_text("of\x00\ufb01ce\u00ad")
    'office'
    """
    return text if text.isascii() and text.isprintable() else text.translate(_CLEAN)


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


def place_vector(box: Box, is_rectangle: bool, rules: list[Box], drawings: list[Box]) -> None:
    """Sort one vector graphic's box into ``rules`` (thin boxes, edges of rectangles) or ``drawings``."""
    x0, y0, x1, y1 = box
    if x1 - x0 <= MAX_RULE_PT or y1 - y0 <= MAX_RULE_PT:
        rules.append(box)
        return
    drawings.append(box)
    if is_rectangle:
        rules += [(x0, y0, x1, y0), (x0, y1, x1, y1), (x0, y0, x0, y1), (x1, y0, x1, y1)]
