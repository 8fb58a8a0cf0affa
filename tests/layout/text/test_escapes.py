"""Signs of the text that Markdown would take for marks. Oracle: what is written is read again."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mm_megacontext.document import Cell, Line, Page, Region, Table, Word
from mm_megacontext.layout.export import page_to_markdown
from mm_megacontext.layout.reader import read
from mm_megacontext.layout.text.escapes import escaped_paragraph

_BOX = (0.0, 0.0, 9.0, 9.0)


def _line(text: str) -> Line:
    return Line(tuple(Word(word, _BOX) for word in text.split()))


def _read_again(path: Path, *regions: Region) -> list[Region]:
    path.write_text(page_to_markdown(Page(1, (99.0, 99.0), regions)), "utf-8")
    return [region for page in read(path).pages() for region in page.regions]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("# 5 of it", "\\# 5 of it"),
        ("1. May", "1\\. May"),
        ("- 40 degrees", "\\- 40 degrees"),
        ("> 5 mm", "\\> 5 mm"),
        ("-5 mm", "-5 mm"),
        ("---", "\\---"),
        ("p < 0.05* and 2 * 3", "p < 0.05\\* and 2 * 3"),
        ("snake_case and _this_", "snake_case and \\_this\\_"),
        ("a <b> tag &amp; sign", "a \\<b> tag \\&amp; sign"),
        ("see [1](x) and [2]", "see \\[1](x) and [2]"),
        ("C:\\dir and \\* too", "C:\\dir and \\\\\\* too"),
        ("run `ls` now", "run \\`ls\\` now"),
    ],
)
def test_paragraphs(text: str, written: str) -> None:
    assert escaped_paragraph(text) == written


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text("a1.#-+>*_`~|\\<&;[](:)", min_size=1, max_size=7), min_size=1, max_size=4))
def test_what_is_written_is_read_again(tmp_path: Path, parts: list[str]) -> None:
    text = " ".join(parts)
    title, paragraph = Region("heading", _BOX, (_line(text),), level=2), Region("text", _BOX, (_line(text),))
    found = _read_again(tmp_path / "a.md", title, paragraph)
    assert [(region.kind, region.text) for region in found] == [("heading", text), ("text", text)]


def test_cells_with_pipes_and_backslashes(tmp_path: Path) -> None:
    texts = ["a|b", "a\\", "\\|", "*", "0.05**", "x_1"]
    cells = tuple(Cell(i // 2, i % 2, _BOX, (_line(text),), "body") for i, text in enumerate(texts))
    (found,) = _read_again(tmp_path / "a.md", Region("table", _BOX, table=Table(cells, 3, 2)))
    assert found.table is not None
    assert [cell.text for cell in found.table.cells] == texts


def test_code_with_a_fence_in_it(tmp_path: Path) -> None:
    lines = (_line("```"), _line("\\*a\\*"))
    (found,) = _read_again(tmp_path / "a.md", Region("code", _BOX, lines))
    assert (found.kind, found.text) == ("code", "```\n\\*a\\*")
