"""Oracle: the array that libvips' ``dzsave`` was given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mm_megacontext.errors import IngestError, LimitExceeded
from mm_megacontext.ingest import find_files
from mm_megacontext.layout.reader import read
from mm_megacontext.limits import IngestLimits
from mm_megacontext.vision.sources.deep_zoom import DeepZoomSource
from mm_megacontext.vision.sources.files import open_image
from mm_megacontext.vision.sources.source import Pixels, level_size
from tests.vision.sources.test_raster import picture
from tests.vision.sources.test_source import reference_level, reference_read

COPY_TOLERANCE = 12
"""Levels, on average: libvips drops odd rows and columns at every step down, which shifts small copies."""


def deep_zoom(folder: Path, image: Pixels, tile_size: int = 32, overlap: int = 1) -> Path:
    array = pyvips.Image.new_from_array(image).copy(interpretation="srgb")
    array.dzsave(str(folder / "a"), tile_size=tile_size, overlap=overlap, suffix=".png")
    return folder / "a.dzi"


@settings(max_examples=30)
@given(data=st.data())
def test_any_region_of_any_level_is_that_of_the_array(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    image = picture(data.draw(st.integers(1, 120)), data.draw(st.integers(1, 120)))
    tile_size, overlap = data.draw(st.integers(16, 70)), data.draw(st.integers(0, 3))
    source = DeepZoomSource(deep_zoom(tmp_path_factory.mktemp("dz"), image, tile_size, overlap))
    assert source.size == (image.shape[1], image.shape[0])
    level = data.draw(st.integers(0, source.n_levels - 1))
    corner, side = st.integers(-90, 119), st.integers(1, 60)
    region = (data.draw(corner), data.draw(corner), data.draw(side), data.draw(side))
    np.testing.assert_array_equal(source.read(region, level), reference_read(reference_level(image, level), region))


def test_a_descriptor_is_an_image_and_its_tiles_are_none(tmp_path: Path) -> None:
    image = picture(200, 100)
    path = deep_zoom(tmp_path, image)
    document = read(path)
    (page,) = document.pages()
    assert (document.kind, page.size, page.engine) == ("image", (200.0, 100.0), "deep zoom")
    np.testing.assert_array_equal(open_image(path).read((0, 0, 200, 100)), image)
    assert find_files(tmp_path) == [path]


def test_tiles_that_are_not_there_or_not_right_are_errors(tmp_path: Path) -> None:
    path = deep_zoom(tmp_path, picture(200, 100))
    folder = next(p for p in (tmp_path / "a_files").iterdir() if (p / "3_1.png").exists() and (p / "6_3.png").exists())
    Image.new("RGB", (9, 9)).save(folder / "3_1.png")
    with pytest.raises(IngestError, match=r"3_1\.png: the tile has 9 x 9 pixels and should have 34 x 34"):
        DeepZoomSource(path).read((0, 0, 200, 100))
    (folder / "3_1.png").unlink()
    with pytest.raises(IngestError, match=r"3_1\.png: no such file"):
        DeepZoomSource(path).read((0, 0, 200, 100))
    (folder / "6_3.png").unlink()
    with pytest.raises(IngestError, match="keep the folder of tiles beside the descriptor"):
        read(path)


HEAD = '<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="{}" Overlap="{}" TileSize="{}">'
SIZE = '<Size Width="{}" Height="{}"/></Image>'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD.format("png", 1, 0) + SIZE.format(9, 9), "tiles of 0"),
        (HEAD.format("png", -1, 9) + SIZE.format(9, 9), "overlap of -1"),
        (HEAD.format("png", 1, 9) + SIZE.format(0, 9), r"size \(0, 9\)"),
        (HEAD.format("../../x", 1, 9) + SIZE.format(9, 9), "tiles of format"),
        (HEAD.format("png", 1, 9) + "</Image>", "it has no Size"),
        (HEAD.format("png", "x", 9) + SIZE.format(9, 9), "descriptor is damaged"),
        (HEAD.format("png", 1, 9), "descriptor is damaged"),
        ('<!DOCTYPE x [<!ENTITY a "b">]>' + HEAD.format("png", 1, 9) + SIZE.format(9, 9), "no plain descriptor"),
        (HEAD.format("png", 1, 9) + SIZE.format(9, 9) + " " * 70_000, "no plain descriptor"),
    ],
)
def test_damaged_descriptors_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "a.dzi"
    path.write_text(text)
    with pytest.raises(IngestError, match=said) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_limits(tmp_path: Path) -> None:
    path = deep_zoom(tmp_path, picture(200, 100))
    with pytest.raises(LimitExceeded, match="raise max_pixels"):
        DeepZoomSource(path, limits=IngestLimits(max_pixels=19_999))
    with pytest.raises(LimitExceeded, match="raise max_decoded_pixels"):
        DeepZoomSource(path, limits=IngestLimits(max_decoded_pixels=1_000))
    assert DeepZoomSource(path, limits=IngestLimits(max_decoded_pixels=34 * 34)).size == (200, 100)


def test_an_overview_comes_from_the_smaller_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smooth = np.asarray(Image.effect_mandelbrot((900, 701), (-2, -1.5, 1, 1.5), 60).convert("RGB"))
    source = DeepZoomSource(deep_zoom(tmp_path, smooth))
    exact = {level: source.read((0, 0, *level_size(source.size, level)), level) for level in range(source.n_levels)}
    monkeypatch.setattr(DeepZoomSource, "read", lambda *_: pytest.fail("the full resolution was read"))
    for level in range(1, source.n_levels):
        found = source.read_overview(level)
        assert found.shape == exact[level].shape
        assert np.abs(found.astype(int) - exact[level]).mean() < COPY_TOLERANCE


def test_an_overview_without_its_copy_is_the_level(tmp_path: Path) -> None:
    image = picture(200, 100)
    source = DeepZoomSource(deep_zoom(tmp_path, image))
    next((tmp_path / "a_files" / "6").iterdir()).unlink()
    np.testing.assert_array_equal(source.read_overview(2), reference_level(image, 2))
