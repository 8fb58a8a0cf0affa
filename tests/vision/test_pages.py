"""Oracle: the document's own pixels, read whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mm_megacontext.document import Page, Region, union
from mm_megacontext.errors import IngestError
from mm_megacontext.vision.encoders import DctEncoder
from mm_megacontext.vision.gists.tile_gister import MaxPool, MeanPool, TileGister
from mm_megacontext.vision.pages import PageFigures, PageImages
from mm_megacontext.vision.quadtree.build import read_leaf_pixels


@pytest.fixture
def image_file(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def pdf_file(tmp_path: Path, image_file: Path) -> Path:
    """A page of 400 x 500 pt, filled with noise from (100, 50) to (300, 350) pt: 1 px of noise is 2 px of the page."""
    path = tmp_path / "page.pdf"
    with Image.open(image_file) as noise:
        page = Image.new("RGB", (400, 500), "white")
        page.paste(noise, (100, 50))
    page.save(path, resolution=72)
    return path


def figures_of(images: PageImages) -> PageFigures:
    return PageFigures(images, TileGister(DctEncoder(24)))


def test_an_image_is_its_only_page(image_file: Path) -> None:
    with PageImages(str(image_file), "image") as images:
        rows = list(
            figures_of(images).rows(Page(1, (200, 300), ()), Region("figure", (0, 0, 200, 300)), t=5, index_start=2)
        )
        assert rows[-1].bbox == (0, 0, 200, 300)
        assert rows[-1].t_span == (5, 6)
        assert [row.index for row in rows] == list(range(2, 2 + len(rows)))
        with pytest.raises(IngestError, match="there is no page 2"):
            images.page(2)


def test_a_figure_of_a_pdf_has_its_boxes_in_points_and_its_pixels_on_the_page(pdf_file: Path) -> None:
    bbox = (100.2, 50.1, 300.0, 349.9)  # readers give boxes that are no whole pixels
    with PageImages(str(pdf_file), "pdf") as images:
        rows = list(figures_of(images).rows(Page(1, (400, 500), ()), Region("figure", bbox), t=0, index_start=0))
        page = images.page(1)
        raster = page.read((0, 0, *page.size))
        assert page.size == (800, 1000)
        assert rows[-1].bbox == (100.0, 50.0, 300.0, 350.0)
        assert rows[-1].n_leaves == 25 * 38
        tiles = [row for row in rows if row.lod == 1]
        assert union([row.bbox for row in tiles]) == rows[-1].bbox
        for row in tiles:
            assert row.pixels is not None
            patches = read_leaf_pixels(page, row.pixels)
            assert len(patches) == row.n_leaves == len(row.leaf_boxes)
            for patch, box, mu in zip(patches, row.leaf_boxes, row.leaf_mu, strict=True):
                x0, y0, x1, y1 = (int(2 * v) for v in box)
                np.testing.assert_array_equal(patch[:, : y1 - y0, : x1 - x0].transpose(1, 2, 0), raster[y0:y1, x0:x1])
                np.testing.assert_allclose(mu, [0, box[0] / 8 + 0.5, box[1] / 8 + 0.5])


def test_a_figure_outside_its_page_has_no_rows(pdf_file: Path) -> None:
    with PageImages(str(pdf_file), "pdf") as images:
        region = Region("figure", (450, 10, 480, 50))
        assert list(figures_of(images).rows(Page(1, (400, 500), ()), region, t=0, index_start=0)) == []


def test_a_thumbnail_covers_the_page(pdf_file: Path) -> None:
    with PageImages(str(pdf_file), "pdf") as images:
        row = figures_of(images).thumbnail(Page(1, (400, 500), ()), t=3, index=1)
        assert row is not None
        assert row.bbox == (0, 0, 400, 500)
        assert row.pixels is not None
        assert len(read_leaf_pixels(images.page(1), row.pixels)) == row.n_leaves == 7 * 8


def test_a_page_that_is_rendered_in_many_pieces_has_no_thumbnail(
    pdf_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mm_megacontext.vision.pages.MAX_THUMBNAIL_PX", 999)
    with PageImages(str(pdf_file), "pdf") as images:
        assert figures_of(images).thumbnail(Page(1, (400, 500), ()), t=3, index=1) is None


def test_pages_are_opened_once_and_old_ones_let_go(tmp_path: Path) -> None:
    path = tmp_path / "pages.pdf"
    pages = [Image.new("RGB", (40, 40 + k)) for k in range(3)]
    pages[0].save(path, save_all=True, append_images=pages[1:], resolution=72)
    with PageImages(str(path), "pdf") as images:
        first = images.page(1)
        assert images.page(1) is first
        images.page(2)
        assert images.page(1) is first
        images.page(3)
        assert images.page(1) is first
        images.page(2)
        images.page(3)
        assert images.page(1) is not first


def test_text_has_no_pixels() -> None:
    with pytest.raises(ValueError, match=r"notes\.md is of kind 'markdown'"):
        PageImages("notes.md", "markdown")


@pytest.mark.parametrize("n", [1, 2, 4, 5, 17, 32])
def test_figures_that_stand_together_are_pooled_as_their_gister_pools(n: int, image_file: Path) -> None:
    """Means weigh by patches, and what is a union stays one: it was a mean whatever made the gists below."""
    rng = np.random.default_rng(n)
    gists = list(rng.standard_normal((n, 2, 24)).astype(np.float32))
    n_leaves = rng.integers(1, 500, n).tolist()
    with PageImages(str(image_file), "image") as images:
        mean = PageFigures(images, TileGister(DctEncoder(24), MeanPool(2))).of_gists(gists, n_leaves)
        most = PageFigures(images, TileGister(DctEncoder(24), MaxPool(2))).of_gists(gists, n_leaves)
    np.testing.assert_allclose(mean, np.average(gists, axis=0, weights=n_leaves), atol=1e-5)  # float32, 3 levels
    np.testing.assert_array_equal(most, np.max(gists, axis=0))
