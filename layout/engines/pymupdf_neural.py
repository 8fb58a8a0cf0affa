"""The PyMuPDF engine with the model that PyMuPDF 2 brings: what a page is made of, by its words, lines and picture.

The model is a graph network over the pieces of a page and a small convolutional one over its picture, some 20 MB of
ONNX; both run on the processor. Words, tables and all else are those of the plain engine.

Source: PyMuPDF, "PyMuPDF Layout" (pymupdf.readthedocs.io); part of PyMuPDF since 2.0 and under its licence (AGPL or
commercial), before that a package of its own that was for non-commercial use only.
"""

from __future__ import annotations

import importlib
import math
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from mm_megacontext.document import RegionKind
from mm_megacontext.errors import MissingExtra
from mm_megacontext.layout.engines.protocol import NEURAL, NO_MODEL, ModelRegion, OpenPdf
from mm_megacontext.layout.engines.pymupdf import Model, open_pdf
from mm_megacontext.layout.engines.pymupdf_library import pymupdf

THREADS = "MMCTX_LAYOUT_THREADS"
"""Environment variable: threads of the model in each process that reads a PDF; 1 where it is not set."""

_KINDS: dict[str, tuple[RegionKind, int | None]] = {
    "text": ("text", None),
    "title": ("heading", 1),
    "section-header": ("heading", None),
    "list-item": ("list", None),
    "table": ("table", None),
    "picture": ("figure", None),
    "caption": ("caption", None),
    "formula": ("formula", None),
    "footnote": ("text", None),
    "page-header": ("header", None),
    "page-footer": ("footer", None),
}
_SMOOTH = 8  # bits of anti-aliasing, as PyMuPDF begins with
_MODEL_BYTES = 224 << 20
"""Address space that the model takes, loaded and at work on a page: with less, what loads it may crash or never end."""


class NeuralEngine:
    """Opens PDF files with PyMuPDF, and has its model look at the pages."""

    name = NEURAL

    def open(self, path: Path, password: str | None) -> OpenPdf:
        """Open a PDF. Raises IngestError, or MissingExtra where there is no model."""
        return open_pdf(path, password, _model())


@cache
def _model() -> Model:
    """The model, loaded once in a process.

    Raises:
        MissingExtra: It is not installed, or what it runs on is not.
        MemoryError: The process may not have as much memory as it takes.
    """
    if _room() < _MODEL_BYTES:
        raise MemoryError("the layout model does not fit into the memory that the process may have")
    try:
        with _limited_threads(_n_threads()):
            importlib.import_module("pymupdf.layout").activate()
    except ImportError as e:
        raise MissingExtra(f"{NO_MODEL} ({e})") from e
    return look_at


def _room() -> float:
    """Bytes of address space that this process may still take."""
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY:
        return math.inf
    pages = int(Path("/proc/self/statm").read_bytes().split()[0])
    return most - pages * resource.getpagesize()


def _n_threads() -> int:
    wanted = os.environ.get(THREADS, "1")
    if not wanted.isdecimal() or int(wanted) < 1:
        raise ValueError(f"{THREADS} must be a whole number of at least 1, is {wanted!r}")
    return int(wanted)


@contextmanager
def _limited_threads(n: int) -> Iterator[None]:
    """ONNX Runtime takes the number of threads from options that PyMuPDF makes, and else as many as there are cores."""
    runtime: Any = importlib.import_module("onnxruntime")
    plain = runtime.SessionOptions

    def limited() -> Any:
        options = plain()
        options.intra_op_num_threads = n
        options.inter_op_num_threads = 1
        return options

    runtime.SessionOptions = limited
    try:
        yield
    finally:
        runtime.SessionOptions = plain


def look_at(page: Any) -> list[ModelRegion]:
    """What a page of PyMuPDF is made of, in reading order; boxes in the frame of ``document.py``."""
    with _upright(page) as upright:
        try:
            upright.get_layout()
        finally:
            pymupdf.TOOLS.set_aa_level(_SMOOTH)  # the model switches it off, for all that is rendered afterwards
        found = upright.layout_information or []
    return [_region(*entry) for entry in found]


def _region(x0: float, y0: float, x1: float, y1: float, name: str) -> ModelRegion:
    kind, level = _KINDS.get(name, ("text", None))
    return ModelRegion(kind, (float(x0), float(y0), float(x1), float(y1)), level)


@contextmanager
def _upright(page: Any) -> Iterator[Any]:
    """The page, or of a rotated one a copy that shows the same: the model takes text as it was before rotation."""
    if not page.rotation:
        yield page
        return
    with pymupdf.open() as copy:
        copy.insert_pdf(page.parent, from_page=page.number, to_page=page.number)
        upright = copy[0]
        upright.remove_rotation()
        yield upright


def create() -> NeuralEngine:
    """The engine, for the registry. The model is loaded when a file is opened: not in the process that is forked."""
    return NeuralEngine()
