"""CSV and TSV. Oracle: the csv module of Python, and the records that were written."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.document import Region, Word
from mm_megacontext.layout.reader import read


def regions(path: Path, text: str) -> list[Region]:
    path.write_bytes(text.encode())
    return [region for page in read(path).pages() for region in page.regions]


def rows(region: Region) -> list[list[str]]:
    assert region.table is not None
    found: dict[int, list[str]] = {}
    for cell in region.table.cells:
        found.setdefault(cell.row, []).append(cell.text)
    return list(found.values())


@pytest.mark.parametrize("name", [",csv", ";csv", "\ttsv", "|csv", "\tcsv"])
def test_cells_are_those_of_the_file(name: str, tmp_path: Path) -> None:
    delimiter, suffix = name[0], name[1:]
    records = [["Order", "City", "Amount"], ["ORD-1", "Ghent", "1,250.50"], ["ORD-2", "", "7"]]
    path = tmp_path / f"a.{suffix}"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, delimiter=delimiter).writerows(records)
    (region,) = regions(path, path.read_text(encoding="utf-8"))
    assert rows(region) == records
    assert region.table is not None
    assert {cell.role for cell in region.table.cells if cell.row == 0} == {"column_header"}


def test_quoted_cells_and_where_their_words_stand(tmp_path: Path) -> None:
    text = 'Name,Note\r\nA,"a ""big"" box,\r\n12"" wide"\r\nB,"x"\r\n'
    (region,) = regions(tmp_path / "a.csv", text)
    assert rows(region) == [["Name", "Note"], ["A", 'a "big" box, 12" wide'], ["B", "x"]]
    assert region.table is not None
    words: list[Word] = [w for cell in region.table.cells for line in cell.lines for w in line.words]
    assert all(word.span is not None and text[slice(*word.span)] == word.text for word in words)


def test_titles_stand_above_tables_and_blank_records_between(tmp_path: Path) -> None:
    found = regions(tmp_path / "a.csv", "Deliveries 2026\n\nOrder;City\nO-1;Ghent\n\nItem;Price\nOak;7\n")
    assert [region.kind for region in found] == ["text", "table", "table"]
    assert found[0].text == "Deliveries 2026"
    assert rows(found[2]) == [["Item", "Price"], ["Oak", "7"]]


def test_wide_tables_make_wide_pages_and_tear_no_word(tmp_path: Path) -> None:
    records = [[f"column_number_{i}" for i in range(40)], [f"value-{i:08d}" for i in range(40)]]
    text = "\n".join(",".join(record) for record in records)
    (region,) = regions(tmp_path / "a.csv", text)
    (page,) = read(tmp_path / "a.csv").pages()
    assert rows(region) == records
    assert page.size[0] >= region.bbox[2]


def test_long_tables_go_on(tmp_path: Path) -> None:
    text = "id,name\n" + "".join(f"{i},row{i}\n" for i in range(1200))
    found = regions(tmp_path / "a.csv", text)
    assert sum(len(rows(region)) for region in found) == 1201
    assert len({region.table.id for region in found if region.table is not None}) == 1


def test_text_without_cells_stays_text(tmp_path: Path) -> None:
    (region,) = regions(tmp_path / "a.csv", "Only words here\nand here\n")
    assert (region.kind, region.text) == ("text", "Only words here\nand here")


def test_a_mark_that_is_never_closed_is_one_of_the_text(tmp_path: Path) -> None:
    found = regions(tmp_path / "a.csv", 'a,b\n1,"2\n' + "3,4\n" * 300)
    assert "3" in found[-1].text


@given(st.lists(st.lists(st.text(alphabet='ab1",; \n', max_size=6), min_size=2, max_size=4), min_size=1, max_size=6))
def test_no_word_is_lost(tmp_path_factory: pytest.TempPathFactory, records: list[list[str]]) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(records)
    found = regions(path, path.read_text(encoding="utf-8") or " ")
    letters = [c for region in found for c in region.text if c.isalnum()]
    assert sorted(letters) == sorted(c for record in records for cell in record for c in cell if c.isalnum())
