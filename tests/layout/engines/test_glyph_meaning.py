"""What fonts say of their glyphs is held against what these are. Oracle: the codes that the pages were written with."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.layout.engines.protocol import PdfEngine
from mm_megacontext.layout.engines.to_unicode import Code, read_map, write_map
from mm_megacontext.layout.reader import read
from tests.layout.attack_files import assemble, stream

NAMED = "/Helvetica/Encoding/WinAnsiEncoding"
DIFFERENCES = "/Helvetica/Encoding<</BaseEncoding/WinAnsiEncoding/Differences[97/one/two 1/ffi]>>"


def text_of(path: Path, engine: PdfEngine, written: str, meant: dict[str, str], font: str = NAMED) -> str:
    """What is read of a page where text is written in a font that says this of its codes."""
    entries = b"\n".join(
        b"<%02x> <%s>" % (ord(c), text.encode("utf-16-be").hex().encode()) for c, text in meant.items()
    )
    objects = {
        1: b"<</Type/Catalog/Pages 2 0 R>>",
        2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 %s>>>>>>",
        4: stream(f"BT /F1 12 Tf 72 700 Td ({written}) Tj ET".encode("latin-1")),
        6: stream(b"%d beginbfchar\n%s\nendbfchar" % (len(meant), entries)),
    }
    # The font stands in the page itself, where no list of objects has it.
    objects[3] %= f"<</Type/Font/Subtype/Type1/BaseFont{font}/ToUnicode 6 0 R>>".encode()
    path.write_bytes(assemble(objects))
    (page,) = read(path, engine=engine.name, ocr="off").pages()
    assert page.status == "ok", page.problem
    return page.text


@pytest.mark.parametrize(
    ("written", "meant", "font", "shown"),
    [
        ("485,000", dict(zip("0123456789", "9876543210", strict=True)), NAMED, "485,000"),
        ("due now", {" ": "Secret777"}, NAMED, "due now"),
        ("one .", {".": "Total: 9"}, NAMED, "one ."),
        ("x", {"x": "Secret words"}, NAMED, "x"),
        ("ab", {"a": "8", "b": "9"}, DIFFERENCES, "12"),
        ("due", {"d": " "}, NAMED, "due"),
    ],
)
def test_names_count_against_what_a_font_says(
    written: str, meant: dict[str, str], font: str, shown: str, tmp_path: Path, engine: PdfEngine
) -> None:
    assert text_of(tmp_path / "a.pdf", engine, written, meant, font) == shown


@pytest.mark.parametrize(
    ("written", "meant", "font", "shown"),
    [
        ("o\x01ce", {"\x01": "ffi"}, DIFFERENCES, "office"),
        ("Abc", {"A": "a", "b": "b", "c": "c"}, NAMED, "abc"),  # small capitals are told so
        ("a-b", {"-": "\u2010"}, NAMED, "a\u2010b"),
    ],
)
def test_what_a_font_may_say_counts(
    written: str, meant: dict[str, str], font: str, shown: str, tmp_path: Path, engine: PdfEngine
) -> None:
    assert text_of(tmp_path / "a.pdf", engine, written, meant, font) == shown


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)


@given(st.dictionaries(st.builds(Code, st.integers(0, 255), st.just(1)), TEXTS, max_size=250))
def test_maps_are_read_as_they_are_written(texts: dict[Code, str]) -> None:
    assert read_map(write_map(texts)) == texts


def test_ranges_of_maps() -> None:
    data = b"2 beginbfrange <01> <03> <0041> <05> <06> [<0066 0069> <2022>] endbfrange junk <09>"
    texts = {1: "A", 2: "B", 3: "C", 5: "fi", 6: "\u2022"}
    assert read_map(data) == {Code(value, 1): text for value, text in texts.items()}


@given(st.binary(max_size=200))
def test_any_bytes_are_some_map(data: bytes) -> None:
    read_map(b"beginbfrange " + data + b" endbfrange beginbfchar " + data)
