"""The picture of a zoom, pixel by pixel. Oracle: the pixels of the source itself, and boxes computed by hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

from mm_megacontext.document import Box
from mm_megacontext.pictures.evidence_page import EvidenceBox
from mm_megacontext.pictures.lettering import BACKGROUND_COLOR, EVIDENCE_COLOR
from mm_megacontext.pictures.zoom_layout import BAR_PX, MARGIN_PX, choose_close_up, lay_out, overview_level
from mm_megacontext.pictures.zoom_marks import LINE_PX, PATH_COLORS, RIM_PX, in_full, path_color
from mm_megacontext.pictures.zoom_path import ZoomStep
from mm_megacontext.pictures.zoom_picture import draw_zoom
from mm_megacontext.vision.sources.source import Pixels, Rect, level_size
from tests.images import TexturedSource

SIZE = (6000, 3900)
LEVEL, SCALE = 2, 4
EVIDENCE = (4000.0, 976.0, 4064.0, 1008.0)
STEPS = (
    ZoomStep((0.0, 0.0, 6000.0, 3900.0), 6, 0),
    ZoomStep((0.0, 0.0, 4096.0, 3900.0), 5, 1),
    ZoomStep((2048.0, 0.0, 4096.0, 2048.0), 4, 2),
    ZoomStep((3072.0, 0.0, 4096.0, 1536.0), 3, 3),
    ZoomStep((3968.0, 896.0, 4096.0, 1024.0), 1, 4),
)


class CountingSource(TexturedSource):
    """Counts the pixels that come out of it, by level; levels are cheap here, as in a pyramid."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__(width, height)
        self.n_read: dict[int, int] = {}

    def read(self, region: Rect, level: int = 0) -> Pixels:
        self.n_read[level] = self.n_read.get(level, 0) + region[2] * region[3]
        if level == 0:
            return super().read(region)
        x, y, width, height = region
        return np.ascontiguousarray(self._inside((x, y, width, height)))


def draw(evidence: tuple[Box, ...] = (EVIDENCE,), steps: tuple[ZoomStep, ...] = STEPS) -> npt.NDArray[np.uint8]:
    return np.asarray(draw_zoom(CountingSource(*SIZE), steps, [EvidenceBox(box) for box in evidence], "Where? - There"))


def at_overview(picture: npt.NDArray[np.uint8], x: int, y: int) -> tuple[int, ...]:
    """The pixel of a place given in pixels of the overview."""
    return tuple(picture[BAR_PX + y, MARGIN_PX + x].tolist())


def test_the_overview_and_the_close_up_are_all_that_is_read() -> None:
    source = CountingSource(100_000, 90_000)
    box = (70_000.0, 80_000.0, 70_016.0, 80_016.0)
    draw_zoom(source, [], [EvidenceBox(box)], "")
    level, close_up = overview_level(source.size), choose_close_up(box, source.size)
    columns, rows = level_size(source.size, level)
    assert source.n_read == {level: columns * rows, 0: close_up.area[2] * close_up.area[3]}
    assert sum(source.n_read.values()) < 3_000_000


def test_the_close_up_is_the_pixels_of_the_source() -> None:
    source, picture = CountingSource(*SIZE), draw(steps=())
    close_up = choose_close_up(EVIDENCE, SIZE)
    layout = lay_out(level_size(SIZE, LEVEL), close_up.size, 2)
    assert layout.close_up is not None
    left, top, right, bottom = layout.close_up
    drawn, times = picture[top : bottom + 1, left : right + 1], close_up.magnification
    expected = source.read(close_up.area).repeat(times, axis=0).repeat(times, axis=1)
    x0, y0 = (round((edge - at) * times) for edge, at in zip(EVIDENCE[:2], close_up.bbox[:2], strict=True))
    x1, y1 = (round((edge - at) * times) for edge, at in zip(EVIDENCE[2:], close_up.bbox[:2], strict=True))
    np.testing.assert_array_equal(drawn[y0:y1, x0:x1], expected[y0:y1, x0:x1], err_msg="the frame hides nothing of it")
    reach = LINE_PX + RIM_PX
    is_frame = np.zeros(drawn.shape[:2], dtype=bool)
    is_frame[y0 - reach : y1 + reach, x0 - reach : x1 + reach] = True
    rim = np.zeros_like(is_frame)
    rim[:RIM_PX], rim[-RIM_PX:], rim[:, :RIM_PX], rim[:, -RIM_PX:] = (True,) * 4
    inside = ~(is_frame | rim)
    np.testing.assert_array_equal(drawn[inside], expected[inside])
    assert tuple(drawn[y0 - reach, x0]) == tuple(drawn[y1 + reach - 1, x0]) == EVIDENCE_COLOR
    assert tuple(drawn[y0, x0 - reach]) == tuple(drawn[y0, x1 + reach - 1]) == EVIDENCE_COLOR


def test_without_steps_the_overview_is_the_level() -> None:
    picture = np.asarray(draw_zoom(CountingSource(*SIZE), [], [], "Where?"))
    columns, rows = level_size(SIZE, LEVEL)
    level = CountingSource(*SIZE).read((0, 0, columns, rows), LEVEL)
    np.testing.assert_array_equal(picture[BAR_PX : BAR_PX + rows, MARGIN_PX : MARGIN_PX + columns], level)
    assert not (picture == EVIDENCE_COLOR).all(axis=2).any()


def test_the_boxes_are_where_the_steps_are() -> None:
    picture = draw()
    third, fourth = (path_color(i, len(STEPS)) for i in (2, 3))
    assert at_overview(picture, 2048 // SCALE, 300) == third
    assert at_overview(picture, 2048 // SCALE - 1, 300) not in (third, fourth)
    assert at_overview(picture, 600, 2048 // SCALE - 1) == third
    assert at_overview(picture, 600, 2048 // SCALE) not in (third, fourth)
    assert at_overview(picture, 3072 // SCALE, 300) == fourth
    assert at_overview(picture, 800, 1536 // SCALE - 1) == fourth
    assert at_overview(picture, 0, 900) in (path_color(0, 5), path_color(1, 5))
    assert at_overview(picture, 6000 // SCALE - 1, 900) == path_color(0, 5)


def test_what_lies_outside_is_veiled_more_with_every_step() -> None:
    source, picture = CountingSource(*SIZE), draw()
    level = source.read((0, 0, *level_size(SIZE, LEVEL)), LEVEL).astype(float)
    spread = [
        np.ptp(picture[BAR_PX + y : BAR_PX + y + 40, MARGIN_PX + x : MARGIN_PX + x + 40].astype(float))
        / np.ptp(level[y : y + 40, x : x + 40])
        for x, y in ((1200, 800), (200, 800), (600, 440), (850, 50))
    ]
    assert spread == sorted(spread)
    assert spread[0] == pytest.approx(0.5, abs=0.02)


def test_the_place_of_the_close_up_is_framed_and_joined_and_seen() -> None:
    picture = draw()
    bbox = choose_close_up(EVIDENCE, SIZE).bbox
    x0, y0, x1, y1 = (round(edge / SCALE) for edge in bbox)
    reach = LINE_PX + RIM_PX
    middle = (x0 + x1) // 2, (y0 + y1) // 2
    for x, y in ((x0 - reach, middle[1]), (x1 + reach - 1, middle[1]), (middle[0], y0 - reach), (middle[0], y1 + 5)):
        assert at_overview(picture, x, y) == EVIDENCE_COLOR
    seen = picture[BAR_PX + y0 : BAR_PX + y1, MARGIN_PX + x0 : MARGIN_PX + x1]
    assert not (seen == EVIDENCE_COLOR).all(axis=2).any(), "nothing lies over the place itself"
    crossed = np.flatnonzero((picture[:, MARGIN_PX + 1500 + 30] == EVIDENCE_COLOR).all(axis=1))
    assert np.ptp(crossed) > 100, "two lines cross the paper between overview and close-up"


def test_a_close_up_is_numbered_with_the_last_step() -> None:
    close_up = choose_close_up(EVIDENCE, SIZE)
    left, top, right, bottom = lay_out(level_size(SIZE, LEVEL), close_up.size, 7).close_up or (0, 0, 0, 0)
    drawn = draw()[top : bottom + 1, left : right + 1]
    assert (drawn == PATH_COLORS[-1]).all(axis=2).sum() > 300


@pytest.mark.parametrize("size", [(1600, 900), (300, 200), (40, 30)])
def test_an_image_that_is_shown_at_full_size_has_no_close_up(size: tuple[int, int]) -> None:
    source = TexturedSource(*size)
    box = (16.0, 16.0, 32.0, 24.0)
    picture = draw_zoom(
        source, [ZoomStep((0.0, 0.0, float(size[0]), float(size[1])), 2, 0)], [EvidenceBox(box)], "Where?"
    )
    assert picture.size == lay_out(size, None, 2).size
    inside = np.asarray(picture)[BAR_PX + 16 : BAR_PX + 24, MARGIN_PX + 16 : MARGIN_PX + 32]
    np.testing.assert_array_equal(inside, source.read((16, 16, 16, 8)))
    assert picture.getpixel((MARGIN_PX + 16 - LINE_PX - RIM_PX, BAR_PX + 20)) == EVIDENCE_COLOR


def test_evidence_that_is_most_of_the_image_has_no_close_up() -> None:
    source = CountingSource(*SIZE)
    draw_zoom(source, STEPS, [EvidenceBox((10.0, 10.0, 5900.0, 3800.0))], "")
    assert set(source.n_read) == {LEVEL}


def test_weaker_evidence_is_framed_as_well() -> None:
    picture = draw((EVIDENCE, (400.0, 3000.0, 464.0, 3064.0)))
    assert at_overview(picture, 400 // SCALE - LINE_PX - RIM_PX, 3032 // SCALE) == EVIDENCE_COLOR


def test_words_are_written_beside_their_place() -> None:
    source = TexturedSource(900, 700)
    plain, labelled = (
        np.asarray(draw_zoom(source, [], [EvidenceBox((400.0, 300.0, 460.0, 320.0), text)], ""))
        for text in ("", "Rent")
    )
    changed = np.argwhere((plain != labelled).any(axis=2)) - (BAR_PX, MARGIN_PX)
    assert len(changed) > 500
    inside = (changed >= (300, 400)).all(axis=1) & (changed < (320, 460)).all(axis=1)
    assert not inside.any()


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (100_000, 1), (2000, 1999)])
def test_images_of_any_shape_can_be_drawn(size: tuple[int, int]) -> None:
    box = (0.0, 0.0, float(size[0]), float(size[1]))
    corner = (size[0] - 1.0, size[1] - 1.0, float(size[0]), float(size[1]))
    picture = draw_zoom(TexturedSource(*size), [ZoomStep(box, 3, 0)], [EvidenceBox(corner, "x" * 99)], "Ünïcode? " * 99)
    assert picture.mode == "RGB"
    assert picture.getpixel((0, 0)) == BACKGROUND_COLOR


def test_coordinates_are_written_in_full() -> None:
    assert in_full(1_234_567.0, 0.5, 16.0, 7.125) == "1234567 0.5 16 7.12"


def test_steps_can_be_told_apart_in_black_and_white() -> None:
    """Lightness rises from step to step, so the order is seen without any colour vision."""
    swatches = Image.new("RGB", (12, 1))
    pen = ImageDraw.Draw(swatches)
    for i in range(12):
        pen.point((i, 0), fill=path_color(i, 12))
    grey = np.asarray(swatches.convert("L"))[0].astype(int)
    assert (np.diff(grey) > 5).all()
