"""Text and Markdown on the virtual page; the oracle is the text itself, through the words' spans."""

from __future__ import annotations

import codecs
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mm_megacontext.document import Document, Region, Word
from mm_megacontext.errors import LimitExceeded
from mm_megacontext.invisible_text import told_apart
from mm_megacontext.layout.reader import read
from mm_megacontext.layout.text.escapes import unescaped
from mm_megacontext.layout.text.plain_text import CELL, COLUMNS, MARGIN, ROWS
from mm_megacontext.limits import IngestLimits


def write(path: Path, text: str, encoding: str = "utf-8") -> Document:
    path.write_bytes(text.encode(encoding))
    return read(path)


def words_of(regions: list[Region]) -> list[Word]:
    lines = [line for region in regions for line in region.lines]
    lines += [line for r in regions if r.table is not None for cell in r.table.cells for line in cell.lines]
    return [word for line in lines for word in line.words]


def regions_of(document: Document) -> list[Region]:
    return [region for page in document.pages() for region in page.regions]


def test_words_stand_on_the_grid(tmp_path: Path) -> None:
    document = write(tmp_path / "a.txt", "one two\n\n  three\tfour\n")
    assert (document.kind, document.unit, document.n_pages) == ("text", "pt", 1)
    one, two, three, four = words_of(regions_of(document))
    assert one.bbox == (MARGIN, MARGIN, MARGIN + 3 * CELL[0], MARGIN + CELL[1])
    assert two.bbox[0] == MARGIN + 4 * CELL[0]
    assert three.bbox[:2] == (MARGIN + 2 * CELL[0], MARGIN + 2 * CELL[1])
    assert four.bbox[0] == MARGIN + 8 * CELL[0], "the tab stop"
    assert [w.span for w in (one, two, three, four)] == [(0, 3), (4, 7), (11, 16), (17, 21)]


def test_paragraphs_are_regions_and_pages_fill_up(tmp_path: Path) -> None:
    document = write(tmp_path / "a.txt", "first\nsecond\n\nthird\n" + "line\n" * ROWS)
    pages = list(document.pages())
    assert document.n_pages == len(pages) == 2
    assert [r.text.split()[0] for r in pages[0].regions] == ["first", "third"]
    assert write(tmp_path / "b.txt", "one\n\ftwo\n").n_pages == 2


def test_wide_characters_take_two_cells(tmp_path: Path) -> None:
    (word,) = words_of(regions_of(write(tmp_path / "a.txt", "\u6f22\u5b57")))
    assert word.bbox[2] - word.bbox[0] == 4 * CELL[0]


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-16-le", b""),
    ],
)
def test_encodings(tmp_path: Path, encoding: str, mark: bytes) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(mark + "Gr\u00fc\u00dfe aus Wien".encode(encoding))
    words = words_of(regions_of(read(path)))
    assert [(w.text, w.span) for w in words] == [("Gr\u00fc\u00dfe", (0, 5)), ("aus", (6, 9)), ("Wien", (10, 14))]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]) | st.sampled_from("\n\t |#-`*\f"), min_size=1
    ).filter(lambda text: told_apart(text) == (text, ())),  # what nobody sees is another test's: it has no span
    st.sampled_from([".txt", ".md"]),
)
def test_words_are_the_text_at_their_spans(tmp_path: Path, text: str, suffix: str) -> None:
    document = write(tmp_path / f"a{suffix}", "x" + text)
    pages = list(document.pages())
    assert len(pages) == document.n_pages
    words = words_of(regions_of(document))
    for word in words:
        assert word.span is not None
        source = ("x" + text).removeprefix("\ufeff")[slice(*word.span)]
        assert word.text in (source, unescaped(source) if suffix == ".md" else source)
        x0, y0, x1, y1 = word.bbox
        assert MARGIN <= x0 < x1 <= MARGIN + COLUMNS * CELL[0]
        assert MARGIN <= y0 < y1 <= MARGIN + ROWS * CELL[1]
    spans = sorted(word.span for word in words if word.span)
    assert all(a[1] <= b[0] for a, b in pairwise(spans)), "no character is read twice"
    if suffix == ".txt":
        covered = "".join(("x" + text)[slice(*span)] for span in spans)
        assert covered == "".join(("x" + text).split()), "no character is lost"


def test_markdown(tmp_path: Path) -> None:
    text = (
        "# Title #\n\nA paragraph\nof two lines.\n\nSub\n---\n- one\n- two\n\n```python\nx = 1\n\n# no heading\n```\n"
        "| City | Population |\n|---|--:|\n| Oslo | 709 037 |\n| a \\| b |\n\nEnd\n"
    )
    document = write(tmp_path / "a.md", text)
    assert document.kind == "markdown"
    regions = regions_of(document)
    assert [(r.kind, r.level) for r in regions] == [
        ("heading", 1), ("text", None), ("heading", 2), ("list", None), ("code", None), ("table", None), ("text", None),
    ]  # fmt: skip
    assert [regions[0].text, regions[2].text] == ["Title", "Sub"]
    assert regions[4].text == "x = 1\n# no heading"
    table = regions[5].table
    assert table is not None
    assert [(c.row, c.column, c.role, c.text) for c in table.cells] == [
        (0, 0, "column_header", "City"),
        (0, 1, "column_header", "Population"),
        (1, 0, "row_header", "Oslo"),
        (1, 1, "body", "709 037"),
        (2, 0, "row_header", "a | b"),
        (2, 1, "body", ""),
    ]
    assert all(word.span and unescaped(text[slice(*word.span)]) == word.text for word in words_of(regions))


def test_a_table_too_wide_or_too_long_stays_on_its_pages(tmp_path: Path) -> None:
    row = "| " + " | ".join(["several words that wrap"] * 8) + " |\n"
    document = write(tmp_path / "a.md", row + "|" + "---|" * 8 + "\n" + row * 40)
    pages = list(document.pages())
    assert len(pages) > 1
    for page in pages:
        (region,) = page.regions
        assert region.table is not None
        assert region.bbox[2] <= MARGIN + COLUMNS * CELL[0]
        assert region.bbox[3] <= MARGIN + ROWS * CELL[1]
    tables = [r.table for p in pages for r in p.regions if r.table]
    assert sum(table.n_rows for table in tables) == 41
    assert {table.id for table in tables} == {"1.1"}
    assert [table.first_row for table in tables] == [sum(t.n_rows for t in tables[:i]) for i in range(len(tables))]


def test_a_line_longer_than_the_read_buffer_loses_no_word(tmp_path: Path) -> None:
    words = [f"w{i}" for i in range(30_000)]
    assert [w.text for w in words_of(regions_of(write(tmp_path / "a.txt", " ".join(words))))] == words


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Größe: 12 cm, Preis 30 €"),
        ("cp1250", "Zażółć gęślą jaźń, umowa najmu lokalu numer 12"),
        ("cp1251", "Договор аренды № 12, сумма 30 рублей в месяц"),
        ("cp1253", "Μισθωτήριο συμβόλαιο αριθμός 12, ενοίκιο 300"),
        ("shift_jis", "契約番号：LA-2025 東京都のオフィスの賃貸借契約書です。"),
        ("gb18030", "租赁合同编号 2025，每月租金为三千元人民币。"),
        ("euc_kr", "임대차 계약서 번호 12, 월세 삼십만원"),
    ],
)
def test_other_encodings_are_found_and_said(tmp_path: Path, encoding: str, text: str) -> None:
    document = write(tmp_path / "a.txt", f"{text}\n" * 3, encoding)
    (page,) = document.pages()
    assert page.text.splitlines() == [text] * 3
    assert page.engine == f"text, {encoding}"


def test_a_text_takes_no_longer_than_documents_may(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("line\n" * 500)
    with pytest.raises(LimitExceeded, match="document_seconds") as caught:
        read(tmp_path / "a.txt", limits=IngestLimits(document_seconds=1e-9))
    assert caught.value.code == "limit_time"
