"""Hostile HTML, books and office files: the specified code, no connection, no other file, and a parent that stays flat.

Oracle: what the scripts wrote, and what a web server and other files of this machine were asked for.
"""

from __future__ import annotations

import base64
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("pymupdf")

from mm_megacontext.document import Page
from mm_megacontext.errors import ERROR_CODES, IngestError
from mm_megacontext.layout.reader import read
from mm_megacontext.limits import IngestLimits
from mm_megacontext.vision.sources.pdf import PdfPageSource, PdfRenderer
from mm_megacontext.workers import process as worker_process
from tests.layout import book_files as books
from tests.layout.flow.html.test_html import png
from tests.layout.test_attacks import listener as listener
from tests.workers.test_isolation import FLAT_MIB, rss_peak_mib

LIMITS = IngestLimits(page_seconds=60.0, page_cpu_seconds=1.0, worker_bytes=700 << 20)
STOPPED = {"limit_time", "limit_memory", "engine_crash"}
N_MUTATIONS = 30


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "_GRACE_SECONDS", 0.5)


def pages_of(path: Path, data: bytes | str) -> list[Page]:
    """What is read of a file. Whatever that does, this process does not grow."""
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    Path("/proc/self/clear_refs").write_text("5")  # the peak of memory starts anew
    before = rss_peak_mib()
    try:
        return list(read(path, limits=LIMITS, ocr="off").pages())
    finally:
        assert rss_peak_mib() < before + FLAT_MIB


def outcome(path: Path, data: bytes | str) -> set[str | None]:
    """The codes of the pages, or of the file; anything but an IngestError fails the test."""
    try:
        pages = pages_of(path, data)
    except IngestError as error:
        return {error.code if "\n" not in str(error) else "more than a line"}
    assert pages, "no pages are no success"
    return {page.code for page in pages}


def calling(url: str, secret: Path) -> str:
    """Markup that asks for a file of the machine and for an address in every way that there is."""
    parts = []
    for address in (url, secret.as_uri(), str(secret), os.path.relpath(secret, "/"), f"../../../..{secret}"):
        parts.append(
            f'<link rel="stylesheet" href="{address}"/><style>@import "{address}"; @font-face{{font-family:x;'
            f'src:url({address})}} p{{background:url({address});font-family:x}}</style><img src="{address}"/>'
            f'<iframe src="{address}"></iframe><object data="{address}"></object><embed src="{address}"/>'
            f'<script src="{address}"></script><video src="{address}"></video><audio src="{address}"></audio>'
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 99 99"><rect width="9" height="9"/>'
            f'<use href="{address}"/></svg><svg xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 99 99">'
            f'<image xlink:href="{address}" width="99" height="99"/></svg>'
            f'<meta http-equiv="refresh" content="0;url={address}"/><base href="{address}"/>'
        )
    return f"<p>Words of the page.</p>{''.join(parts)}<p>The end.</p>"


def assert_nothing_was_fetched(path: Path, kind: str, asked: list[str], pages: list[Page]) -> None:
    text = " ".join(page.text for page in pages)
    assert "Words of the page." in text
    assert "The end." in text
    assert "sesame" not in text
    for page in pages:
        source = PdfPageSource(path, page.number, PdfRenderer(path, limits=LIMITS, kind=kind))  # type: ignore[arg-type]
        seen = source.read((0, 0, 1224, 1584)).reshape(-1, 3)
        assert not (seen == (200, 0, 0)).all(axis=1).any(), "the secret picture is red"
    assert asked == []


@pytest.mark.parametrize("kind", ["html", "epub"])
def test_nothing_outside_the_file_is_asked_for(kind: str, tmp_path: Path, listener: tuple[str, list[str]]) -> None:
    url, asked = listener
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(300, 300))
    (tmp_path / "secret.css").write_text("p::after{content:'sesame'}")
    body = calling(url, secret) + calling(url, tmp_path / "secret.css")
    data = body if kind == "html" else books.epub({"a.xhtml": books.xhtml(body)})
    path = tmp_path / f"a.{kind}"
    assert_nothing_was_fetched(path, kind, asked, pages_of(path, data))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["secret.png", "secret.css", path.name])


def test_entities_name_no_files_and_do_not_grow(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("sesame")
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    head = f'<?xml version="1.0"?><!DOCTYPE html [<!ENTITY x SYSTEM "{secret.as_uri()}"><!ENTITY l0 "ha">{laughs}]>'
    page = f'{head}<html xmlns="http://www.w3.org/1999/xhtml"><body><p>Words &x; &l9; end.</p></body></html>'
    for name, data in (("a.xhtml", page), ("a.epub", books.epub({"a.xhtml": page}))):
        (read_page,) = pages_of(tmp_path / name, data)
        assert "sesame" not in read_page.text
        assert len(read_page.text) < 100
        assert read_page.text.startswith("Words")
    members = books.epub_members({"a.xhtml": books.xhtml("<p>x</p>")})
    members["META-INF/container.xml"] = head.replace("html [", "container [") + "<container>&l9;&x;</container>"
    assert outcome(tmp_path / "b.epub", books.archive(members)) == {"corrupt"}


def test_names_in_archives_lead_nowhere_else(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    secret = tmp_path / "secret.xhtml"
    secret.write_text(books.xhtml("<p>sesame</p>"))
    chapters = {"a.xhtml": books.xhtml(f'<p>first</p><img src="../../../../..{tmp_path}/x.png"/>')}
    more = {f"../../../../../..{marker}": b"x", str(marker): b"x", "..\\..\\marker": b"x"}
    data = books.epub(chapters, more)
    (page,) = pages_of(tmp_path / "a.epub", data)
    assert (page.status, page.text) == ("ok", "first")
    stolen = books.epub_members({f"../../../../../..{secret}": "x", "b.xhtml": books.xhtml("<p>second</p>")})
    pages = pages_of(tmp_path / "b.epub", books.archive({k: v for k, v in stolen.items() if "secret" not in k}))
    assert [p.text for p in pages] == ["second"]
    assert not marker.exists()


PICTURE_BOMB = base64.b64encode(
    png(1, 1).replace(b"\x00\x00\x00\x01\x00\x00\x00\x01", b"\x00\x01\x00\x00" * 2, 1)
).decode()

HTML_ATTACKS: dict[str, tuple[Callable[[], str], set[str | None]]] = {
    "deep nesting": (lambda: "<div>" * 100_000 + "x", {None, "zero_pages", "corrupt"}),
    "deep tables": (lambda: "<table><tr><td>" * 3_000 + "x", {None, "zero_pages", "corrupt", *STOPPED}),
    "a table of a billion cells": (
        lambda: "<p>x<table>" + "<tr><td rowspan=65534 colspan=1000>x<td>y" * 1000 + "</table>",
        {"limit_size"},
    ),
    "a million paragraphs": (lambda: "<p>x" * 1_000_000, STOPPED | {None}),
    "a word of a million letters": (lambda: f"<p>{'x' * 1_000_000}", {None, *STOPPED}),
    "a paragraph of two hundred million letters": (lambda: f"<p>{'x ' * 100_000_000}", {"limit_memory"}),
    "a picture of four billion pixels": (
        lambda: f'<p>x<img src="data:image/png;base64,{PICTURE_BOMB}">',
        {"limit_pixels", "corrupt"},
    ),
    "a picture of noise": (lambda: '<p>x<img src="data:image/jpeg;base64,/9j/4AAQ">', {"corrupt"}),
    "a drawing of a billion parts": (
        lambda: (
            "<p>x</p><svg viewBox='0 0 99 99'><g id=a0><rect width='9' height='9'/></g>"
            + "".join(f"<g id=a{n}>" + f"<use href='#a{n - 1}'/>" * 10 + "</g>" for n in range(1, 12))
            + "</svg>"
        ),
        {None, *STOPPED},
    ),
    "control characters": (lambda: "<p>\x1b[2J\x07&#27;&#0;&#x9b;\u202e\u200bx</p>", {None}),
    "sizes without sense": (
        lambda: (
            "<p style='font-size:1e308px'>a</p><p style='font-size:-5px'>b</p><img width=99999 height=1>"
            "<ol start=999999999><li value=-1>c</ol><td rowspan=-1 colspan=1e9>d"
        ),
        {None},
    ),
}


@pytest.mark.parametrize("attack", HTML_ATTACKS)
def test_html_attacks(attack: str, tmp_path: Path) -> None:
    make, codes = HTML_ATTACKS[attack]
    assert outcome(tmp_path / "a.html", make()) <= codes


def test_no_control_characters_come_through(tmp_path: Path) -> None:
    (page,) = pages_of(tmp_path / "a.html", "<p>a\x1b[2J\x07&#27;&#x9b;b</p>")
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in page.text)


def test_archives_that_unpack_to_too_much(tmp_path: Path) -> None:
    chapters = {"a.xhtml": books.xhtml("<p>first</p>"), "b.xhtml": books.xhtml(f"<p>{'x ' * 1_000_000}</p>")}
    data = books.epub(chapters)
    assert outcome(tmp_path / "a.epub", books.declaring(data, "OPS/a.xhtml", 0xF0000000)) == {"limit_size"}
    lying = books.declaring(data, "OPS/b.xhtml", 100)
    pages = pages_of(tmp_path / "b.epub", lying)
    assert (pages[0].text, pages[0].code) == ("first", "corrupt")


def test_truncated_and_mutated_books(tmp_path: Path) -> None:
    good = books.epub({f"{n}.xhtml": books.xhtml(f"<h1>{n}</h1><p>value {7 * n}</p>") for n in range(3)})
    n_read = 0
    for eighth in range(1, 8):
        assert outcome(tmp_path / "a.epub", good[: len(good) * eighth // 8]) <= set(ERROR_CODES)
    for seed in range(N_MUTATIONS):
        rng = random.Random(seed)
        data = bytearray(good)
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(4, len(data))] = rng.randrange(256)
        codes = outcome(tmp_path / "a.epub", bytes(data))
        assert codes <= {None, *ERROR_CODES}
        n_read += None in codes
    assert n_read > 0, "some damage is harmless, or the test does not test much"


_TRIES_TO_OPEN = """
import os, socket
from mm_megacontext.layout import open_document as document_file
document_file._close_the_door()
for attempt in (lambda: os.open("/etc/passwd", os.O_RDONLY), socket.socket, os.pipe):
    try:
        attempt()
    except OSError:
        print("refused")
"""


def test_the_process_that_reads_can_open_nothing_more() -> None:
    """In a process of its own, which is spent by it."""
    done = subprocess.run([sys.executable, "-c", _TRIES_TO_OPEN], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["refused"] * 3
