"""EPUB, XPS, FictionBook: pages, order, pictures, styles. Oracle: what the scripts of ``book_files`` wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pymupdf")

import pymupdf

from mm_megacontext.document import Document, Page
from mm_megacontext.errors import IngestError
from mm_megacontext.layout.reader import read
from mm_megacontext.vision.sources.pdf import PdfPageSource, PdfRenderer
from tests.layout import book_files as books
from tests.layout.flow.html.test_html import png
from tests.layout.pdf_writer import PdfPage, pdf_bytes


def written(directory: Path, name: str, data: bytes | str) -> Path:
    path = directory / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def opened(directory: Path, name: str, data: bytes | str) -> tuple[Document, list[Page]]:
    document = read(written(directory, name, data))
    return document, list(document.pages())


def test_a_book_is_read_chapter_by_chapter(tmp_path: Path) -> None:
    chapters = {
        "z.xhtml": books.xhtml('<h1>One</h1><p>Dark &amp; stormy&nbsp;night<a id="x"/>.</p><img src="../img/i.png"/>'),
        "sub/a%20b.xhtml": books.xhtml(
            '<h2>Two</h2><p class="gone">SECRET</p><table><tr><td>a</td><td>b</td></tr></table>',
            '<link rel="stylesheet" href="../s.css"/>',
        ),
    }
    members = books.epub_members(chapters, {"img/i.png": png(200, 100), "OPS/s.css": ".gone{display:none}"})
    members["OPS/sub/a b.xhtml"] = members.pop("OPS/sub/a%20b.xhtml")
    document, pages = opened(tmp_path, "book.epub", books.archive(members))
    assert (document.kind, document.unit, document.n_pages) == ("epub", "pt", 2)
    assert [(page.status, page.engine, page.size) for page in pages] == [("ok", "pymupdf", (612.0, 792.0))] * 2
    assert [(r.kind, r.level, r.text, r.hidden) for page in pages for r in page.regions] == [
        ("heading", 1, "One", None),
        ("text", None, "Dark & stormy night.", None),
        ("figure", None, "", None),
        ("heading", 2, "Two", None),
        ("text", None, "SECRET", "not displayed"),
        ("table", None, "a b", None),
    ]


def test_a_chapter_that_is_missing_is_a_problem_of_its_page(tmp_path: Path) -> None:
    members = books.epub_members({"a.xhtml": books.xhtml("<p>first</p>"), "b.xhtml": books.xhtml("<p>gone</p>")})
    del members["OPS/b.xhtml"]
    (page,) = opened(tmp_path, "book.epub", books.archive(members))[1]
    assert (page.status, page.code, page.text) == ("degraded", "corrupt", "first")


def test_a_cover_in_svg_is_its_picture(tmp_path: Path) -> None:
    cover = books.xhtml(
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        '<image xlink:href="i.png" width="9" height="9"/></svg>'
    )
    document, (page,) = opened(tmp_path, "b.epub", books.epub({"c.xhtml": cover}, {"OPS/i.png": png(400, 400)}))
    (figure,) = page.regions
    assert figure.kind == "figure"
    source = PdfPageSource(document.uri, 1, PdfRenderer(document.uri, kind="epub"))
    x, y = (int(2 * (a + b) / 2) for a, b in ((figure.bbox[0], figure.bbox[2]), (figure.bbox[1], figure.bbox[3])))
    assert source.read((x, y, 1, 1)).tolist() == [[[200, 0, 0]]]


def test_protected_books_say_so(tmp_path: Path) -> None:
    lock = (
        '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><EncryptedData><CipherData>'
        '<CipherReference URI="OPS/a.xhtml"/></CipherData></EncryptedData></encryption>'
    )
    data = books.epub({"a.xhtml": "noise"}, {"META-INF/encryption.xml": lock})
    with pytest.raises(IngestError, match="encrypted") as caught:
        opened(tmp_path, "b.epub", data)
    assert caught.value.code == "unsupported"


def test_xps(tmp_path: Path) -> None:
    font = bytes(pymupdf.Font("helv").buffer)
    document, pages = opened(tmp_path, "a.oxps", books.xps(font, ["Page one holds 7", "Page two"]))
    assert (document.kind, document.n_pages) == ("xps", 2)
    assert [page.text for page in pages] == ["Page one holds 7", "Page two"]
    assert pages[0].size == (612.0, 792.0)
    box = pages[0].regions[0].bbox
    assert box[0] == pytest.approx(72, abs=1)
    assert box[1] < 90 < box[3]
    source = PdfPageSource(document.uri, 1, PdfRenderer(document.uri, kind="xps"))
    assert source.read((int(2 * box[0]), int(2 * box[1]), 60, 30)).min() < 100


def test_fiction_book(tmp_path: Path) -> None:
    body = "<section><title><p>Chapter</p></title><p>It was night.</p></section>"
    document, pages = opened(tmp_path, "a.fb2", books.fiction_book(body))
    assert document.kind == "fb2"
    assert " ".join(pages[-1].text.split()) == "Chapter It was night."


def test_mobi(tmp_path: Path) -> None:
    data = books.mobi(b"<html><body><h1>Chapter</h1><p>It was night.</p></body></html>")
    document, pages = opened(tmp_path, "a.mobi", data)
    assert (document.kind, document.n_pages) == ("mobi", 1)
    assert " ".join(pages[0].text.split()) == "Chapter It was night."


@pytest.mark.parametrize(
    ("name", "data", "code", "message"),
    [
        ("a.epub", books.archive({"a.txt": "x"}), "unsupported", "a zip archive, and no EPUB"),
        ("a.docx", books.archive({"a.txt": "x"}), "unsupported", "a zip archive, and no EPUB"),
        ("a.zip", b"PK\x03\x04rest", "corrupt", "zip container is damaged"),
        (
            "a.odt",
            books.archive({"mimetype": "application/vnd.oasis.opendocument.text"}),
            "unsupported",
            "OpenDocument",
        ),
        ("a.docx", books.epub({"a.xhtml": books.xhtml("<p>x</p>")}), "misnamed", "rename it to .epub"),
        ("a.html", pdf_bytes([PdfPage()]), "misnamed", "rename it to .pdf"),
        ("a.pdf", "<!doctype html><p>x", "misnamed", "the content is"),
        ("a.html", png(20, 20), "misnamed", "rename it to .png"),
        ("a.html", "no tags at all", "misnamed", "rename it to .txt"),
        ("a.html", "<html><body></body></html>", "zero_pages", "nothing in it"),
        ("a.epub", books.archive({"mimetype": "application/epub+zip"}), "corrupt", "where its contents are"),
    ],
)
def test_files_that_are_not_what_they_say(
    tmp_path: Path, name: str, data: bytes | str, code: str, message: str
) -> None:
    with pytest.raises(IngestError) as caught:
        opened(tmp_path, name, data)
    assert caught.value.code == code
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_html_is_told_by_its_content_or_its_name(tmp_path: Path) -> None:
    page = "<!doctype html><p>words"
    assert opened(tmp_path, "page", page)[0].kind == "html"
    assert opened(tmp_path, "page.htm", "<p>words")[0].kind == "html"
    assert opened(tmp_path, "notes.md", page)[0].kind == "markdown"
    assert opened(tmp_path, "notes.txt", page)[0].kind == "text"


def test_without_pymupdf_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mm_megacontext.layout.document_reader.can_set_pages", lambda: False)
    with pytest.raises(IngestError, match=r"pip install 'mm-megacontext\[pymupdf\]'") as caught:
        opened(tmp_path, "a.html", "<p>x")
    assert caught.value.code == "missing_extra"
