from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from mm_megacontext.errors import MissingExtra
from mm_megacontext.layout.engines.protocol import PdfEngine, load_engine
from tests.layout.pdf_writer import PdfPage, pdf_bytes

WritePdf = Callable[..., Path]

# Read when huggingface_hub is imported, by whichever test comes first: a name that is no directory is not looked for.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# The machine may be busy: how long an example takes says nothing about what it shows.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")


@pytest.fixture
def write_pdf(tmp_path: Path) -> WritePdf:
    """Writes pages to a file and gives its path."""

    def write(*pages: PdfPage, name: str = "made.pdf", password: str | None = None) -> Path:
        path = tmp_path / name
        path.write_bytes(pdf_bytes(list(pages), password=password))
        return path

    return write


@pytest.fixture(params=["pymupdf", "pdfium"])
def engine(request: pytest.FixtureRequest) -> PdfEngine:
    """Each engine in turn; PyMuPDF is an extra."""
    try:
        return load_engine(request.param)
    except MissingExtra as e:
        pytest.skip(str(e))
