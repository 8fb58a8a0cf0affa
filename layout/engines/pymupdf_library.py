"""PyMuPDF itself, imported without what is not used here; raises MissingExtra where it is not installed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mm_megacontext.errors import MissingExtra
from mm_megacontext.layout.engines.protocol import NO_PYMUPDF


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

mupdf: Any = pymupdf.mupdf

# MuPDF writes its complaints about broken files to stderr unless told not to.
pymupdf.TOOLS.mupdf_display_errors(False)
pymupdf.TOOLS.mupdf_display_warnings(False)
