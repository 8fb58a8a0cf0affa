"""``mmctx layout`` through the real entry point, on files with known content."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from mm_megacontext.cli.layout import exit_code
from mm_megacontext.cli.main import main
from mm_megacontext.document import Line, Page, Region, Word
from mm_megacontext.pictures.regions_picture import KIND_COLORS
from tests.layout.pdf_writer import PdfPage, pdf_bytes


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """Two pages: a heading, a paragraph and a ruled table; then one line."""
    first = PdfPage()
    first.text(72, 90, "Annual report", size=20, font="Helvetica-Bold")
    for i in range(5):
        first.text(72, 130 + 12 * i, "The committee met in spring and again in autumn to hear all of it.")
    first.grid([72, 200, 330], [220, 240, 260])
    for row, cells in enumerate((("Item", "Amount"), ("Rent", "1,180"))):
        for column, text in enumerate(cells):
            first.text(78 + 128 * column, 234 + 20 * row, text)
    second = PdfPage()
    second.text(72, 100, "That is all.")
    path = tmp_path / "report.pdf"
    path.write_bytes(pdf_bytes([first, second]))
    return path


def test_json_has_every_region_in_reading_order_with_its_cells(
    report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["layout", str(report), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["source"], result["kind"], result["unit"], result["n_pages"]) == (str(report), "pdf", "pt", 2)
    assert result["summary"] == {"ok": 2, "degraded": 0, "failed": 0}
    first, second = result["pages"]
    assert (first["number"], first["size"], first["status"], first["problem"]) == (1, [612.0, 792.0], "ok", None)
    assert [(r["kind"], r["order"]) for r in first["regions"]] == [("heading", 1), ("text", 2), ("table", 3)]
    heading, _, table = first["regions"]
    assert (heading["text"], heading["level"]) == ("Annual report", 1)
    cells = {(cell["row"], cell["column"]): cell for cell in table["cells"]}
    assert {at: cell["text"] for at, cell in cells.items()} == {
        (0, 0): "Item",
        (0, 1): "Amount",
        (1, 0): "Rent",
        (1, 1): "1,180",
    }
    assert cells[1, 1]["bbox"] == pytest.approx([200, 240, 330, 260], abs=1)
    assert [r["text"] for r in second["regions"]] == ["That is all."]


def test_markdown(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["layout", str(report), "--markdown"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("# Annual report\n\nThe committee met")
    assert "\n\n| Item | Amount |\n| --- | --- |\n| Rent | 1,180 |\n\nThat is all.\n" in out


def test_one_page_for_people(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["layout", str(report), "--page", "2"]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.startswith("page 2: 612 x 792 pt, ")
    assert line.split()[:2] == ["1", "text"]
    assert line.endswith("That is all.")


def test_the_picture_outlines_regions_where_they_are(report: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out.png"
    assert main(["layout", str(report), "--page", "1", "--show", str(out), "--json"]) == 0
    picture = Image.open(out).convert("RGB")
    assert picture.size == (1224, 1584)
    assert picture.getpixel((2 * 72, 2 * 250)) == KIND_COLORS["table"]
    assert picture.getpixel((1100, 1500)) == (255, 255, 255)


def test_an_image_and_a_text_can_be_shown(tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), "white").save(tmp_path / "a.png")
    (tmp_path / "a.md").write_text("# Title\n\nWords.\n", encoding="utf-8")
    for name in ("a.png", "a.md"):
        out = tmp_path / f"{name}.out.png"
        assert main(["layout", str(tmp_path / name), "--show", str(out)]) == 0
        assert len(set(Image.open(out).convert("RGB").get_flattened_data())) > 2


def test_bad_input_is_one_line(report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.pdf").write_bytes(b"")
    for argv, said in (
        (["layout", str(report), "--page", "3"], "there is no page 3, it has 2"),
        (["layout", str(tmp_path / "nowhere.pdf")], "no such file"),
        (["layout", str(tmp_path / "empty.pdf"), "--show", str(tmp_path / "out.png")], "the file is empty"),
    ):
        assert main(argv) == (65 if "empty.pdf" in argv[1] else 2)
        out, err = capsys.readouterr()
        assert out == ""
        assert said in err
        assert len(err.splitlines()) == 1
    assert not (tmp_path / "out.png").exists()


def test_the_exit_code_tells_partial_from_nothing() -> None:
    line = Line((Word("word", (0, 0, 9, 9)),))
    region = Region("text", line.bbox, (line,))
    whole = Page(1, (99, 99), (region,))
    part = Page(2, (99, 99), (region,), problem="a font is missing")
    lost = Page(3, (0, 0), (), problem="cannot be read")
    assert exit_code([whole, whole]) == 0
    assert exit_code([whole, lost]) == 3
    assert exit_code([part]) == 3
    assert exit_code([lost, lost]) == 65
