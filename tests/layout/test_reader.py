"""What ``read`` takes a file for, and what it says of files that it cannot read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from PIL import Image

from mm_megacontext.errors import IngestError, MissingExtra
from mm_megacontext.layout import engines, pdf_page, reader
from mm_megacontext.layout.document import Region
from mm_megacontext.layout.engines import OpenPdf, RawPage
from mm_megacontext.layout.reader import read
from mm_megacontext.layout.regions import find_regions
from tests.layout.conftest import WritePdf
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
        ("a.docx", b"PK\x03\x04rest", "unsupported: this is a zip container"),
        ("a.txt", "Gr\u00fc\u00dfe".encode("latin-1") * 40, "UTF-8 text"),
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


def test_auto_falls_back_to_pdfium(write_pdf: WritePdf, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> object:
        if name == "pymupdf":
            raise MissingExtra("not installed")
        return real(name)

    real = engines.load_engine
    path = write_pdf(*hello())
    monkeypatch.setattr(engines, "load_engine", load)
    (page,) = read(path).pages()
    assert (page.engine, page.text) == ("pdfium", "Hello page 1")
    with pytest.raises(MissingExtra):
        read(path, engine="pymupdf")


def test_a_file_that_the_first_engine_refuses_goes_to_the_next(
    write_pdf: WritePdf, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        name = "refusing"

        def open(self, path: Path, password: str | None) -> OpenPdf:
            raise IngestError("not for me", source=str(path))

    monkeypatch.setattr(reader, "candidates", lambda name: [Refusing(), engines.load_engine("pdfium")])
    assert [page.engine for page in read(write_pdf(*hello())).pages()] == ["pdfium"]


def test_a_page_that_fails_is_a_problem_of_that_page_and_the_file_is_closed(
    write_pdf: WritePdf, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []

    class Failing:
        name = "failing"
        n_pages = 3

        def open(self, path: Path, password: str | None) -> OpenPdf:
            return self

        def page(self, number: int) -> RawPage:
            if number == 2:
                raise RuntimeError("broken stream\nat byte 17")
            return RawPage(number, (100.0, 100.0), [], [], [], [])

        def close(self) -> None:
            closed.append(True)

    monkeypatch.setattr(reader, "candidates", lambda name: [Failing()])
    pages = list(read(write_pdf(*hello())).pages())
    assert [page.problem for page in pages] == [None, "RuntimeError: broken stream", None]
    assert [page.regions for page in pages] == [(), (), ()]
    assert len(closed) == 2, "once after counting the pages, once after reading them"


def test_a_page_whose_layout_breaks_down_does_not_stop_the_others(
    write_pdf: WritePdf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_on_second(page: RawPage) -> tuple[Region, ...]:
        if page.number == 2:
            raise ZeroDivisionError("a table without columns")
        return find_regions(page)

    monkeypatch.setattr(pdf_page, "find_regions", break_on_second)
    pages = list(read(write_pdf(*hello(3))).pages())
    assert [page.status for page in pages] == ["ok", "failed", "ok"]
    assert pages[1].problem == "ZeroDivisionError: a table without columns"
