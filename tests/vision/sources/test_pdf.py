"""Oracle: marks drawn at known points, in PDFs written here byte by byte; PyMuPDF where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pypdfium2
import pytest

from mm_megacontext.document import Box
from mm_megacontext.errors import IngestError, LimitExceeded
from mm_megacontext.layout.engines.pdfium_raster import RasterFile
from mm_megacontext.limits import IngestLimits
from mm_megacontext.vision.sources import pdf
from mm_megacontext.vision.sources.pdf import PdfPageSource, PdfRenderer
from mm_megacontext.vision.sources.source import Pixels

SIZE = (595.92, 841.88)
"""Not a whole number of pixels at 144 dpi, as A4 is not either."""
ANTIALIASING = 3
"""Levels of grey: PDFium clips a stroke to the bitmap before it computes how much of each pixel it covers."""
BLACK, RED = (0, 0, 0), (255, 0, 0)


def write_pdf(
    path: Path, content: str, page_keys: str = "", size: tuple[float, float] = SIZE, n_pages: int = 1
) -> Path:
    """A minimal PDF; ``content`` draws in points from the bottom-left corner of the media box."""
    kids = " ".join(f"{4 + k} 0 R" for k in range(n_pages))
    page = f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {size[0]} {size[1]}]/Contents 3 0 R/Resources<<>>{page_keys}>>"
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {n_pages}>>",
        f"<</Length {len(content)}>>stream\n{content}\nendstream",
        *[page] * n_pages,
    ]
    out, offsets = "%PDF-1.7\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj{body}endobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    xref = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    trailer = f"trailer<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{len(out)}\n%%EOF\n"
    path.write_text(out + xref + trailer, encoding="latin-1")
    return path


def square(x: float, y_top: float, side: float, colour: tuple[int, int, int], height: float = SIZE[1]) -> str:
    """A filled square whose top-left corner is (x, y_top) from the top-left of the media box."""
    r, g, b = (value / 255 for value in colour)
    return f"{r} {g} {b} rg {x} {height - y_top - side} {side} {side} re f\n"


def box_of(pixels: Pixels, colour: tuple[int, int, int]) -> Box:
    """The box of a colour, in points."""
    y, x = np.nonzero((pixels == colour).all(axis=2))
    return (float(x.min()) / 2, float(y.min()) / 2, float(x.max() + 1) / 2, float(y.max() + 1) / 2)


def whole(source: PdfPageSource) -> Pixels:
    return source.read((0, 0, *source.size))


MARKS = square(100, 200, 8, BLACK) + square(480, 800, 8, RED)


def test_points_are_half_pixels_from_the_top_left(tmp_path: Path) -> None:
    source = PdfPageSource(write_pdf(tmp_path / "a.pdf", MARKS), 1)
    pixels = whole(source)
    assert source.size == (1192, 1684)
    assert box_of(pixels, BLACK) == (100, 200, 108, 208)
    assert box_of(pixels, RED) == (480, 800, 488, 808)
    assert set(pixels.tobytes()) == {0, 255}  # nothing is blurred


CROP = (30.5, 40.5, 530.5, 820.5)
"""Left, top, right, bottom of the crop box, from the top-left of the media box."""

# Where a point of the upright, cropped page goes when the page is turned clockwise.
TURNED: dict[int, Callable[[float, float, float, float], tuple[float, float]]] = {
    0: lambda x, y, width, height: (x, y),
    90: lambda x, y, width, height: (height - y, x),
    180: lambda x, y, width, height: (width - x, height - y),
    270: lambda x, y, width, height: (y, width - x),
}


@pytest.mark.parametrize("rotation", TURNED)
def test_crop_box_and_rotation_are_applied(tmp_path: Path, rotation: int) -> None:
    crop = f"/CropBox[{CROP[0]} {SIZE[1] - CROP[3]} {CROP[2]} {SIZE[1] - CROP[1]}]/Rotate {rotation}"
    source = PdfPageSource(write_pdf(tmp_path / "a.pdf", MARKS, crop), 1)
    width, height = CROP[2] - CROP[0], CROP[3] - CROP[1]
    expected_size = (width, height) if rotation % 180 == 0 else (height, width)
    assert source.size == tuple(2 * side for side in expected_size)
    for colour, x, y in ((BLACK, 100, 200), (RED, 480, 800)):
        corners = [TURNED[rotation](x + d - CROP[0], y + d - CROP[1], width, height) for d in (0, 8)]
        (ax, ay), (bx, by) = corners
        expected = (min(ax, bx), min(ay, by), max(ax, bx), max(ay, by))
        np.testing.assert_allclose(box_of(whole(source), colour), expected, atol=0.5)  # one pixel


def test_every_read_sees_the_same_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "".join(
        f"{k} 0 m {3 * k} 842 l S\n{k * 5} {k * 7} m 10 500 300 {k} 595 {k * 3} c S\n" for k in range(0, 200, 7)
    )
    path = write_pdf(tmp_path / "a.pdf", lines)
    monkeypatch.setattr(pdf, "CELL_PX", 300)
    monkeypatch.setattr(pdf, "_CACHED_CELLS", 2)
    first, second = PdfPageSource(path, 1), PdfPageSource(path, 1)
    page = whole(first)
    assert page.min() == 0
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = int(rng.integers(0, 1192)), int(rng.integers(0, 1684))
        width, height = int(rng.integers(1, 1193 - x)), int(rng.integers(1, 1685 - y))
        np.testing.assert_array_equal(second.read((x, y, width, height)), page[y : y + height, x : x + width])


def test_cells_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cutting the page into cells gives what rendering it at once gives."""
    path = write_pdf(tmp_path / "a.pdf", MARKS + "0 0 m 595 842 l S 3 w 595 0 m 0 700 l S\n")
    at_once = whole(PdfPageSource(path, 1))
    monkeypatch.setattr(pdf, "CELL_PX", 256)
    in_cells = whole(PdfPageSource(path, 1))
    assert np.abs(in_cells.astype(int) - at_once).max() <= ANTIALIASING


def test_levels_are_box_filters_of_the_rendering(tmp_path: Path) -> None:
    source = PdfPageSource(write_pdf(tmp_path / "a.pdf", MARKS), 1)
    expected = whole(source)[:1680, :1184].reshape(420, 4, 296, 4, 3).mean(axis=(1, 3))
    np.testing.assert_array_equal(source.read((0, 0, 296, 420), 2), np.floor(expected + 0.5))


def test_annotations_and_form_fields_are_shown(tmp_path: Path) -> None:
    pymupdf = pytest.importorskip("pymupdf")
    document = pymupdf.open()
    page = document.new_page(width=200, height=200)
    widget = pymupdf.Widget()
    widget.field_name, widget.field_type, widget.rect = "f", pymupdf.PDF_WIDGET_TYPE_TEXT, pymupdf.Rect(20, 20, 60, 60)
    widget.fill_color = (0, 0, 1)
    page.add_widget(widget)
    square_annotation = page.add_rect_annot(pymupdf.Rect(100, 100, 140, 140))
    square_annotation.set_colors(stroke=(1, 0, 0), fill=(1, 0, 0))
    square_annotation.update()
    document.save(tmp_path / "a.pdf")
    pixels = whole(PdfPageSource(tmp_path / "a.pdf", 1))
    assert pixels[80, 80].tolist() == [0, 0, 255]
    assert pixels[240, 240].tolist() == [255, 0, 0]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_text_is_where_pymupdf_says_it_is(tmp_path: Path, rotation: int) -> None:
    pymupdf = pytest.importorskip("pymupdf")
    document = pymupdf.open()
    page = document.new_page(width=SIZE[0], height=SIZE[1])
    page.insert_text((400, 700), "HHHHHHHH", fontsize=30)
    page.set_cropbox(pymupdf.Rect(20, 30, 590, 800))
    page.set_rotation(rotation)
    document.save(tmp_path / "a.pdf")
    with pymupdf.open(tmp_path / "a.pdf") as reopened:
        words = reopened[0].get_text("words")
        expected = pymupdf.Rect(words[0][:4]) * reopened[0].rotation_matrix
    pixels = whole(PdfPageSource(tmp_path / "a.pdf", 1))
    y, x = np.nonzero(pixels.min(axis=2) < 128)
    ink = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1]) / 2
    assert (ink[:2] >= np.array(expected)[:2] - 0.5).all()
    assert (ink[2:] <= np.array(expected)[2:] + 0.5).all()
    along = int(rotation % 180 != 0)  # the word's length has little white around it, its height has more
    assert ink[2 + along] - ink[along] > 0.9 * (expected[2 + along] - expected[along])


def test_pages_are_counted_from_1(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "a.pdf", MARKS, n_pages=3)
    engine = PdfRenderer(path)
    assert len(engine) == 3
    np.testing.assert_array_equal(whole(PdfPageSource(path, 1, engine)), whole(PdfPageSource(path, 3, engine)))
    for number in (0, 4, -1):
        with pytest.raises(IngestError, match=rf"a\.pdf, page {number}: no such page; the file has 3"):
            PdfPageSource(path, number, engine)


def test_a_huge_page_is_refused(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "a.pdf", "", size=(14_000, 14_000))
    with pytest.raises(LimitExceeded, match="14000 x 14000 pt"):
        PdfPageSource(path, 1)
    wide = PdfRenderer(path, limits=IngestLimits(max_decoded_pixels=10**9))
    assert PdfPageSource(path, 1, wide).size == (28_000, 28_000)


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "text.pdf").write_text("no pdf at all")
    (tmp_path / "empty.pdf").write_bytes(b"")
    for name in ("text.pdf", "empty.pdf"):
        with pytest.raises(IngestError, match=rf"{name}: cannot be opened as a PDF"):
            PdfRenderer(tmp_path / name)
    for path in (tmp_path, tmp_path / "absent.pdf"):
        with pytest.raises(IngestError, match="no such file"):
            PdfRenderer(path)


def test_password(tmp_path: Path) -> None:
    pymupdf = pytest.importorskip("pymupdf")
    document = pymupdf.open()
    document.new_page(width=100, height=50)
    document.save(tmp_path / "a.pdf", encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw="open", owner_pw="own")
    assert PdfPageSource(tmp_path / "a.pdf", 1, PdfRenderer(tmp_path / "a.pdf", "open")).size == (200, 100)
    for password, code in ((None, "password_required"), ("wrong", "password_wrong")):
        with pytest.raises(IngestError) as caught:
            PdfRenderer(tmp_path / "a.pdf", password)
        assert caught.value.code == code


def test_a_failure_of_pdfium_names_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> npt.NDArray[np.uint8]:
        raise pypdfium2.PdfiumError("no memory for the bitmap")

    raster = RasterFile(str(write_pdf(tmp_path / "a.pdf", MARKS)), None)
    monkeypatch.setattr(pypdfium2.PdfBitmap, "new_native", fail)
    with pytest.raises(IngestError, match=r"a\.pdf, page 1: the page cannot be rendered \(no memory"):
        raster.render(1, (0, 0, 8, 8), 2.0)
    raster.close()
