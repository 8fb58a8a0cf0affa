"""Each code of docs/errors.md has a case here, or in the test that is named; the rest of it is in tests/layout."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mm_megacontext.document import Page
from mm_megacontext.errors import ERROR_CODES, ErrorCode, IngestError
from mm_megacontext.layout.page import ocr
from mm_megacontext.layout.reader import read
from mm_megacontext.limits import IngestLimits
from mm_megacontext.memory import MegaContext
from tests.images import hide_libvips
from tests.layout.attack_files import good, no_pages
from tests.layout.pdf_writer import PdfPage, pdf_bytes

ROOT = Path(__file__).parents[1]

ELSEWHERE = {
    "limit_time": "tests/workers/test_isolation.py",
    "limit_memory": "tests/workers/test_isolation.py",
    "engine_crash": "tests/workers/test_isolation.py",
    "bad_answer": "tests/workers/test_isolation.py",
    "visibility_unknown": "tests/workers/test_isolation.py",
    "visibility_unsure": "tests/layout/flow/html/test_html.py",
    "marks_unread": "tests/layout/engines/test_marks.py",
    "layout_failed": "tests/layout/test_reader.py",
    "layout_model_failed": "tests/layout/engines/test_neural.py",
    "text_layer_disagrees": "tests/layout/page/test_disagreement.py",
    "text_illegible": "tests/layout/page/test_legibility.py",
    "channels_left_out": "tests/layout/page/test_from_image.py",
    "source_changed": "tests/test_tile_pixels.py",
}


def png(path: Path) -> None:
    Image.new("RGB", (80, 60)).save(path, "PNG")


Write = Callable[[Path], object]
FILES: dict[ErrorCode, tuple[str, Write, IngestLimits, str | None]] = {
    "not_found": ("a.pdf", lambda path: None, IngestLimits(), None),
    "empty": ("a.pdf", lambda path: path.write_bytes(b""), IngestLimits(), None),
    "unsupported": ("a.ps", lambda path: path.write_bytes(b"%!PS-Adobe-3.0\n"), IngestLimits(), None),
    "misnamed": ("a.pdf", png, IngestLimits(), None),
    "corrupt": ("a.pdf", lambda path: path.write_bytes(b"%PDF-1.4\n" + b"x" * 99), IngestLimits(), None),
    "zero_pages": ("a.pdf", lambda path: path.write_bytes(no_pages()), IngestLimits(), None),
    "password_required": (
        "a.pdf",
        lambda path: path.write_bytes(pdf_bytes([PdfPage()], password="sesame")),
        IngestLimits(),
        None,
    ),
    "password_wrong": (
        "a.pdf",
        lambda path: path.write_bytes(pdf_bytes([PdfPage()], password="sesame")),
        IngestLimits(),
        "open",
    ),
    "limit_pixels": ("a.png", png, IngestLimits(max_pixels=4799), None),
    "limit_pages": ("a.pdf", lambda path: path.write_bytes(good()), IngestLimits(max_pages=4), None),
    "limit_size": ("a.pdf", lambda path: path.write_bytes(good()), IngestLimits(max_file_bytes=1000), None),
}


@pytest.mark.parametrize("code", FILES)
def test_of_files(code: ErrorCode, tmp_path: Path) -> None:
    name, write, limits, password = FILES[code]
    write(tmp_path / name)
    with pytest.raises(IngestError) as caught:
        read(tmp_path / name, limits=limits, password=password)
    assert caught.value.code == code


def test_missing_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    png(tmp_path / "a.png")
    hide_libvips(monkeypatch, tmp_path / "modules")
    with pytest.raises(IngestError) as caught:
        read(tmp_path / "a.png", limits=IngestLimits(max_decoded_pixels=100))
    assert caught.value.code == "missing_extra"


def test_nothing_readable(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf_bytes([PdfPage()]))
    with MegaContext.open(tmp_path / "memory") as memory:
        (failed,) = memory.ingest(tmp_path / "a.pdf").failed
    assert failed.code == "nothing_readable"


def scan(path: Path) -> Page:
    page = PdfPage()
    page.image(50, 50, 500, 700)
    path.write_bytes(pdf_bytes([page]))
    return next(read(path).pages())


def test_ocr_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    page = scan(tmp_path / "a.pdf")
    assert (page.status, page.code) == ("degraded", "ocr_unavailable")


def test_ocr_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "tesseract"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(program))
    monkeypatch.setattr(ocr, "_installed", lambda executable: frozenset({"eng"}))
    page = scan(tmp_path / "a.pdf")
    assert (page.status, page.code) == ("degraded", "ocr_failed")


def test_every_code_is_documented_and_tested() -> None:
    told = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "errors.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert told == list(ERROR_CODES)
    here = Path(__file__).read_text(encoding="utf-8")
    for code in ERROR_CODES:
        where = (ROOT / ELSEWHERE[code]).read_text(encoding="utf-8") if code in ELSEWHERE else here
        assert f'"{code}"' in where


def test_a_file_of_which_every_page_fails_has_the_code_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(good())
    with MegaContext.open(tmp_path / "memory", limits=IngestLimits(max_decoded_pixels=1000)) as memory:
        (failed,) = memory.ingest(tmp_path / "a.pdf").failed
    assert failed.code == "limit_pixels"
