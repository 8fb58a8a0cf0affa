"""What ``read`` takes a file for, and what it says of files that it cannot read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from PIL import Image

from mm_megacontext.document import Page, Region
from mm_megacontext.errors import IngestError, MissingExtra
from mm_megacontext.layout import document_reader
from mm_megacontext.layout.across_pages.pages_ahead import PagesAhead
from mm_megacontext.layout.engines import protocol as engines
from mm_megacontext.layout.engines.protocol import RawPage
from mm_megacontext.layout.page import from_pdf as pdf_page
from mm_megacontext.layout.page.from_pdf import read_page
from mm_megacontext.layout.reader import read
from mm_megacontext.limits import IngestLimits
from tests.conftest import WritePdf
from tests.layout.pdf_writer import PdfPage, pdf_bytes


def hello(n: int = 1) -> list[PdfPage]:
    pages = []
    for i in range(n):
        page = PdfPage()
        page.text(72, 100, f"Hello page {i + 1}")
        pages.append(page)
    return pages


def png(path: Path) -> Path:
    Image.new("RGB", (8, 8)).save(path, format="PNG")
    return path


def test_a_pdf(write_pdf: WritePdf) -> None:
    path = write_pdf(*hello(3))
    document = read(path)
    assert (document.kind, document.unit, document.n_pages, document.uri) == ("pdf", "pt", 3, str(path))
    assert document.content_hash == hashlib.sha256(path.read_bytes()).hexdigest()
    for _ in range(2):
        assert [(p.number, p.text) for p in document.pages()] == [(i, f"Hello page {i}") for i in (1, 2, 3)]


def test_content_decides_and_not_the_name(tmp_path: Path) -> None:
    (tmp_path / "noname").write_bytes(pdf_bytes(hello()))
    assert read(tmp_path / "noname").kind == "pdf"
    assert read(png(tmp_path / "picture.jpg")).kind == "image"
    (tmp_path / "notes.dat").write_text("plain words")
    assert read(tmp_path / "notes.dat").kind == "text"
    (tmp_path / "notes.markdown").write_text("# A title")
    assert read(tmp_path / "notes.markdown").kind == "markdown"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pdf", b"", "the file is empty"),
        ("a.pdf", b"%PDF-1.4\n", "export it anew"),
        ("a.pdf", b"\x00\x01\x02\x03binary\xff", "unsupported file"),
        ("a.pdf", b"just text", "the content is plain text: rename it to .txt"),
        ("a.png", pdf_bytes(hello()), "the extension says png but the content is a PDF: rename it to .pdf"),
        ("a.bin", bytes(range(256)) * 4, "unsupported file"),
        ("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unsupported: this is PostScript"),
        ("a.svg", b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "unsupported: this is SVG"),
        ("a.gz", b"\x1f\x8b\x08\x00rest", "unsupported: this is a gzip archive"),
        ("a.docx", b"PK\x03\x04rest", "the zip container is damaged"),
        ("a.txt", b"\x02\x03\xf6" * 40, "UTF-8 text"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(IngestError) as caught:
        read(tmp_path / name)
    assert message in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_png_named_pdf(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match=r"the extension says pdf but the content is a PNG image: rename it to \.png"):
        read(png(tmp_path / "a.pdf"))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match="no such file"):
        read(tmp_path / "missing.pdf")
    with pytest.raises(IngestError, match="is a directory"):
        read(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(IngestError, match="not a regular file"):
        read(tmp_path / "pipe")


def test_a_pdf_without_pages(write_pdf: WritePdf) -> None:
    with pytest.raises(IngestError, match=r"no pages|cannot open it as a PDF"):
        read(write_pdf())


def test_a_truncated_pdf_is_an_error_or_read_as_far_as_it_goes(write_pdf: WritePdf) -> None:
    path = write_pdf(*hello(5))
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        message = ""
        try:
            n_pages = len(list(read(path).pages()))
        except IngestError as e:
            n_pages, message = 0, str(e)
        assert n_pages >= 1 or "export it anew" in message


def test_password(write_pdf: WritePdf) -> None:
    path = write_pdf(*hello(), password="sesame")
    with pytest.raises(IngestError, match="pass password="):
        read(path)
    assert [p.text for p in read(path, password="sesame").pages()] == ["Hello page 1"]


def test_without_pymupdf_pdfium_reads(write_pdf: WritePdf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    path = write_pdf(*hello())
    (page,) = read(path).pages()
    assert (page.engine, page.text) == ("pdfium", "Hello page 1")
    with pytest.raises(MissingExtra):
        read(path, engine="pymupdf")


def test_unknown_engine_is_known_before_a_file_is_opened(write_pdf: WritePdf) -> None:
    with pytest.raises(ValueError, match="unknown layout engine 'nosuch'"):
        read(write_pdf(*hello()), engine="nosuch")


class Failing:
    """An engine that gives three empty pages, or what a test makes of them."""

    n_pages = 3

    def page(self, number: int) -> RawPage:
        if number == 2:
            raise RuntimeError("broken stream\nat byte 17")
        return RawPage(number, (100.0, 100.0), [], [], [], [])

    def close(self) -> None:
        return


def test_a_page_that_fails_is_a_problem_of_that_page() -> None:
    pages = [read_page(Failing(), "failing", number, None, 10**6) for number in (1, 2, 3)]
    assert [page.problem for page in pages] == [None, "RuntimeError: broken stream", None]
    assert [page.code for page in pages] == [None, "corrupt", None]
    assert [page.regions for page in pages] == [(), (), ()]


def test_a_page_whose_layout_breaks_down_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(page: RawPage) -> tuple[Region, ...]:
        raise ZeroDivisionError("a table without columns")

    monkeypatch.setattr(pdf_page, "find_regions", break_down)
    page = read_page(Failing(), "failing", 1, None, 10**6)
    assert (page.status, page.code) == ("failed", "layout_failed")
    assert page.problem == "ZeroDivisionError: a table without columns"


def test_text_without_words_is_no_document(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(IngestError) as caught:
        read(tmp_path / "a.txt")
    assert caught.value.code == "empty"


def test_a_page_takes_no_longer_with_two_engines_than_with_one(
    write_pdf: WritePdf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a page on which the first engine failed, the second gets what is left of its time."""
    asked: list[float] = []

    def page(self: PagesAhead, number: int) -> Page:
        asked.append(self.seconds_left)
        clock.now += 50.0
        self.seconds_left -= 50.0
        return Page(number, (0.0, 0.0), (), problem="it crashed", code="engine_crash")

    class clock:  # noqa: N801  # stands where a module stood
        now = 0.0

        @classmethod
        def monotonic(cls) -> float:
            return cls.now

    document = read(write_pdf(*hello(2)), limits=IngestLimits(page_seconds=60.0, document_seconds=155.0))
    monkeypatch.setattr(PagesAhead, "page", page)
    monkeypatch.setattr(document_reader, "time", clock)
    assert [page.code for page in document.pages()] == ["engine_crash"] * 2
    assert asked == [155.0, 10.0, 55.0, 5.0]
