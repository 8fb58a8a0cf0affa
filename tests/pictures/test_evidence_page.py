"""The evidence page, checked pixel by pixel on a generated page."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mm_megacontext.pictures.evidence_page import (
    LOD_COLORS,
    MIN_WIDTH,
    OUTLINE_COLORS,
    UNCOVERED_COLOR,
    EvidenceBox,
    Footprint,
    caption,
    draw_evidence_page,
    page_box,
)
from mm_megacontext.pictures.lettering import EVIDENCE_COLOR

PAGE_SIZE = (612.0, 792.0)
IMAGE_SIZE = (1224, 1584)
WHITE = (255, 255, 255)
ROWS = [Footprint((50.0, 50.0 + 100 * lod, 350.0, 130.0 + 100 * lod), lod) for lod in range(6)]


def draw(
    entries: list[Footprint] | None = None, evidence: list[EvidenceBox] | None = None, title: str = "Who? - Nobody"
) -> Image.Image:
    page = Image.new("RGB", IMAGE_SIZE, WHITE)
    return draw_evidence_page(page, PAGE_SIZE, ROWS if entries is None else entries, evidence or [], title)


def at(drawing: Image.Image, x: float, y: float) -> tuple[int, int, int]:
    """The pixel of a place given in points."""
    x0, y0, x1, y1 = page_box(IMAGE_SIZE)
    pixel = drawing.getpixel((x0 + round(x / PAGE_SIZE[0] * (x1 - x0)), y0 + round(y / PAGE_SIZE[1] * (y1 - y0))))
    assert isinstance(pixel, tuple)
    return pixel[0], pixel[1], pixel[2]


def test_lod_0_is_clear_and_coarser_is_darker() -> None:
    drawing = draw()
    centres = [at(drawing, 200, 90 + 100 * lod) for lod in range(6)]
    assert centres[:5] == list(LOD_COLORS)
    assert centres[0] == WHITE
    assert centres[5] == centres[4]  # as coarse as it gets
    assert all(sum(finer) > sum(coarser) for finer, coarser in pairwise(centres[:5]))
    assert at(drawing, 500, 90) == UNCOVERED_COLOR
    assert UNCOVERED_COLOR != WHITE


def test_every_footprint_has_a_thin_outline() -> None:
    drawing = draw()
    for entry in ROWS[:5]:
        x0, y0, x1, _ = entry.bbox
        assert at(drawing, x0, y0) == OUTLINE_COLORS[entry.lod]
        assert at(drawing, (x0 + x1) / 2, y0) == OUTLINE_COLORS[entry.lod]
        assert at(drawing, (x0 + x1) / 2, y0 + 1) == LOD_COLORS[entry.lod]


@pytest.mark.parametrize("flip", [False, True])
def test_where_footprints_overlap_the_sharpest_counts(flip: bool) -> None:
    entries = [Footprint((0.0, 0.0, *PAGE_SIZE), 3), Footprint((100.0, 100.0, 200.0, 200.0), 0)]
    drawing = draw(entries[::-1] if flip else entries)
    assert at(drawing, 150, 150) == WHITE
    assert at(drawing, 300, 300) == LOD_COLORS[3]


def test_the_page_keeps_its_detail_at_lod_0_and_loses_it_where_coarse() -> None:
    page = Image.new("RGB", IMAGE_SIZE, WHITE)
    pen = ImageDraw.Draw(page)
    for x in range(0, IMAGE_SIZE[0], 4):
        pen.line((x, 0, x, IMAGE_SIZE[1]), fill=0)
    drawing = draw_evidence_page(page, PAGE_SIZE, ROWS, [], "")
    x0, y0, _, _ = page_box(IMAGE_SIZE)
    rows = [np.asarray(drawing.convert("L"))[y0 + 180 + 200 * lod, x0 + 200 : x0 + 600] for lod in range(5)]
    contrast = [float(np.ptp(row.astype(int))) for row in rows]
    np.testing.assert_array_equal(rows[0], np.asarray(page.convert("L"))[180, 200:600])
    assert contrast[1] > 2 * contrast[2] > 4 * contrast[3]


def test_evidence_is_framed_where_it_is() -> None:
    box = (100.0, 70.0, 180.0, 90.0)
    plain, drawing = draw(), draw(evidence=[EvidenceBox(box)])
    for x, y in [(99.5, 69.5), (140, 69.5), (99.5, 80), (180, 80), (140, 90), (180, 90)]:
        assert at(drawing, x, y) == EVIDENCE_COLOR
    for x, y in [(100.5, 70.5), (140, 80), (179, 89)]:
        assert at(drawing, x, y) == at(plain, x, y) == WHITE  # the words themselves stay readable
    assert at(drawing, 140, 60) == WHITE


def test_a_label_is_written_beside_its_box_and_hides_no_evidence() -> None:
    below = EvidenceBox((100.0, 100.0, 180.0, 120.0), "2")
    above = EvidenceBox((100.0, 80.0, 180.0, 96.0), "1")
    plain, drawing = draw(evidence=[EvidenceBox(below.bbox), EvidenceBox(above.bbox)]), draw(evidence=[below, above])
    x0, y0, x1, y1 = page_box(IMAGE_SIZE)
    changed = np.argwhere((np.asarray(plain) != np.asarray(drawing)).any(axis=2)) - (y0, x0)
    assert len(changed) > 200
    for item in (below, above):
        left, top, right, bottom = (2 * value for value in item.bbox)
        inside = (changed >= (top, left)).all(axis=1) & (changed < (bottom, right)).all(axis=1)
        assert not inside.any()
    assert (changed >= 0).all()
    assert (changed < (y1 - y0, x1 - x0)).all()


def test_boxes_beyond_the_page_are_cut_or_left_out() -> None:
    off = [Footprint((700.0, 10.0, 800.0, 20.0), 2), Footprint((-50.0, -50.0, -10.0, -10.0), 2)]
    blank = draw([])
    area = (0, 0, *page_box(IMAGE_SIZE)[2:])
    assert draw(off, [EvidenceBox((0.0, 800.0, 5.0, 900.0), "off")]).crop(area).tobytes() == blank.crop(area).tobytes()
    cut = draw([Footprint((-100.0, -100.0, 1000.0, 1000.0), 2)])
    assert at(cut, 300, 300) == LOD_COLORS[2]
    assert cut.size == blank.size
    draw([], [EvidenceBox((600.0, 780.0, 612.0, 792.0), "a label in the corner")])


def ink(drawing: Image.Image, rows: slice) -> int:
    return int((np.asarray(drawing)[rows] < 128).all(axis=2).sum())


def test_the_caption_stays_on_one_line() -> None:
    y0 = page_box(IMAGE_SIZE)[1]
    empty, short, long = draw(title=""), draw(title="Who?"), draw(title="Who, when,\nwhere and why? " * 40)
    assert ink(empty, slice(0, y0 - 1)) == 0 < ink(short, slice(0, y0 - 1)) < ink(long, slice(0, y0 - 1))
    margins = np.asarray(long)[: y0 - 1, -page_box(IMAGE_SIZE)[0] // 2 :]
    assert (margins == 255).all()
    assert caption("Who?", "Nobody", cost=431, budget=512) == "Who? · Nobody · budget used: 431 of 512"


def test_the_legend_shows_the_lods_of_the_page() -> None:
    bottom = page_box(IMAGE_SIZE)[3] + 1

    def colors(drawing: Image.Image) -> set[tuple[int, ...]]:
        return {tuple(pixel) for pixel in np.asarray(drawing)[bottom:].reshape(-1, 3).tolist()}

    two = colors(draw([ROWS[0], ROWS[2]], [EvidenceBox(ROWS[0].bbox)]))
    assert {LOD_COLORS[2], OUTLINE_COLORS[0], EVIDENCE_COLOR} <= two
    assert LOD_COLORS[3] not in two
    assert EVIDENCE_COLOR not in colors(draw([ROWS[3]]))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK"])
@pytest.mark.parametrize("size", [(1, 1), (32, 200), (3000, 40)])
def test_pages_of_any_size_and_mode_can_be_drawn(mode: str, size: tuple[int, int]) -> None:
    page = Image.new(mode, size)
    drawing = draw_evidence_page(
        page, size, [Footprint((0, 0, size[0] / 2, size[1]), 1)], [EvidenceBox((0, 0, 1, 1), "x" * 99)], "Ünïcode?"
    )
    x0, y0, x1, y1 = page_box(size)
    assert drawing.mode == "RGB"
    assert (x1 - x0, y1 - y0) == size
    assert drawing.width >= max(MIN_WIDTH, size[0])
    assert drawing.height > y1


def test_a_page_without_a_size_is_refused() -> None:
    with pytest.raises(ValueError, match="positive size"):
        draw_evidence_page(Image.new("RGB", (10, 10)), (0.0, 10.0), [], [], "")
