"""Oracle: the arrays that were written; what opens a file must follow from its content and the limits."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image

from mm_megacontext.errors import IngestError, LimitExceeded, MissingExtra
from mm_megacontext.image_files.scale import PhysicalScale
from mm_megacontext.layout.reader import read
from mm_megacontext.limits import IngestLimits
from mm_megacontext.vision.sources import files
from mm_megacontext.vision.sources.files import open_image, open_to_look_at, read_overview
from mm_megacontext.vision.sources.raster import PillowSource
from mm_megacontext.vision.sources.source import ArraySource
from mm_megacontext.vision.sources.vips import VipsSource
from tests.images import hide_libvips
from tests.vision.sources.test_raster import ORIENTATION, picture
from tests.vision.tiff_writer import TiffDirectory, tiff_bytes

SMALL = IngestLimits(max_decoded_pixels=37 * 23 - 1)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "gif", "bmp"])
def test_what_fits_in_memory_goes_to_pillow_whatever_its_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(picture()).save(path)
    path = path.rename(tmp_path / "a.dat")
    assert isinstance(open_image(path), PillowSource)
    assert isinstance(open_image(path, IngestLimits(max_decoded_pixels=37 * 23)), PillowSource)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_what_does_not_goes_to_libvips_with_the_same_pixels(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(picture()).save(path)
    source = open_image(path, SMALL)
    assert isinstance(source, VipsSource)
    np.testing.assert_array_equal(source.read((0, 0, 37, 23)), open_image(path).read((0, 0, 37, 23)))
    (page,) = read(path, limits=SMALL).pages()
    assert (page.size, page.engine) == ((37.0, 23.0), "vips")


@pytest.mark.parametrize("suffix", ["webp", "gif", "bmp", "avif"])
def test_formats_that_only_pillow_reads_must_fit_in_memory(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(picture()).save(path)
    with pytest.raises(LimitExceeded, match="raise max_decoded_pixels, or convert it to a tiled TIFF"):
        open_image(path, SMALL)
    with pytest.raises(LimitExceeded, match="raise max_decoded_pixels, or convert it to a tiled TIFF"):
        read(path, limits=SMALL)


def test_jpeg_2000_without_loss_gives_the_samples(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.jp2")
    np.testing.assert_array_equal(open_image(tmp_path / "a.jp2").read((0, 0, 37, 23)), picture())
    assert read(tmp_path / "a.jp2").kind == "image"


def test_kinds_of_tiff_that_pillow_cannot_read_go_to_libvips(tmp_path: Path) -> None:
    image = picture(50, 40)
    planes = pyvips.Image.new_from_array(np.repeat(image[:, :, :1].astype(np.uint16) << 8, 2, axis=2))
    planes.copy(interpretation="grey16").tiffsave(str(tmp_path / "a.tif"), tile=True)  # 16-bit grey with opacity
    with pytest.raises(IngestError):
        PillowSource(tmp_path / "a.tif")
    source = open_image(tmp_path / "a.tif")
    assert isinstance(source, VipsSource)
    assert source.size == (50, 40)
    assert read(tmp_path / "a.tif").n_pages == 1


def test_without_libvips_large_images_are_an_error_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(picture()).save(path)
    hide_libvips(monkeypatch, tmp_path / "modules")
    assert open_image(path).size == (37, 23)
    with pytest.raises(MissingExtra, match="pip install"):
        open_image(path, SMALL)
    with pytest.raises(IngestError, match="pip install"):  # the next file of a directory must go on
        read(path, limits=SMALL)


def test_formats_that_this_libvips_lacks_say_what_to_do(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.jp2")
    (tmp_path / "a.ndpi").write_bytes(tiff_bytes([TiffDirectory(picture(64, 64), tags={65420: 1})]))
    for name, loader in (("a.jp2", "jp2kload"), ("a.ndpi", "openslideload")):
        if pyvips.type_find("VipsForeignLoad", loader):
            continue
        with pytest.raises(IngestError, match=f"it has no {loader}.*convert the file to a tiled TIFF"):
            open_image(tmp_path / name, SMALL)


def test_files_that_are_no_images(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(IngestError, match="not an image in a format that is read"):
        open_image(tmp_path / "a.png")
    with pytest.raises(IngestError, match="no such file"):
        open_image(tmp_path / "b.png")


@pytest.mark.parametrize("limits", [IngestLimits(), SMALL])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_the_scale_is_that_of_the_upright_image(
    tmp_path: Path, suffix: str, orientation: int, limits: IngestLimits
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(picture()).save(path, dpi=(100, 200), exif=exif)
    scale = open_image(path, limits).scale
    assert scale is not None
    across, down = (254.0, 127.0) if orientation == 1 else (127.0, 254.0)
    assert (scale.x, scale.y) == pytest.approx((across, down), rel=1e-3)  # PNG keeps whole pixels per metre


def test_a_slide_is_one_image_with_its_scale(tmp_path: Path) -> None:
    """As Aperio writes them: image, thumbnail in strips, level in tiles, label, macro."""
    image, level = picture(256, 192), picture(128, 96, seed=1)
    about = "Aperio Image Library v10.0.51\r\n256x192 [0,0 256x192] (64x64) JPEG/RGB Q=70|AppMag = 20|MPP = 0.4990"
    path = tmp_path / "a.svs"
    pages = [
        TiffDirectory(image, tile=64, tags={270: about}),
        TiffDirectory(picture(64, 48), tags={270: "Aperio thumbnail"}),
        TiffDirectory(level, tile=64, tags={270: "Aperio level"}),
        TiffDirectory(picture(60, 60), tags={254: 1, 270: "Aperio\r\nlabel 60x60"}),
        TiffDirectory(picture(100, 40), tags={254: 9, 270: "Aperio\r\nmacro 100x40"}),
    ]
    path.write_bytes(tiff_bytes(pages))
    document = read(path, limits=IngestLimits(max_decoded_pixels=1))
    assert (document.n_pages, next(document.pages()).size) == (1, (256.0, 192.0))
    source = open_image(path, IngestLimits(max_decoded_pixels=1))
    assert source.scale == open_image(path).scale == PhysicalScale(0.499, 0.499)
    np.testing.assert_array_equal(source.read((0, 0, 256, 192)), image)
    np.testing.assert_array_equal(source.read((0, 0, 64, 48), 2), ArraySource(image).read((0, 0, 64, 48), 2))
    np.testing.assert_array_equal(read_overview(source, 1), level)
    np.testing.assert_array_equal(VipsSource(path, page=4).read((0, 0, 100, 40)), picture(100, 40))


def test_an_overview_of_what_has_no_copies_is_its_level(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.png")
    source = open_image(tmp_path / "a.png")
    np.testing.assert_array_equal(read_overview(source, 2), source.read((0, 0, 10, 6), 2))


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_a_look_at_a_large_image_decodes_none_of_it_whole(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LOOKED_AT_PIXELS", 37 * 23 - 1)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(picture()).save(path)
    source = open_to_look_at(path)
    assert isinstance(source, VipsSource)
    np.testing.assert_array_equal(source.read((0, 0, 37, 23)), open_image(path).read((0, 0, 37, 23)))
    monkeypatch.setattr(files, "LOOKED_AT_PIXELS", 37 * 23)
    assert isinstance(open_to_look_at(path), PillowSource)


def test_a_look_needs_no_libvips_where_opening_needs_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LOOKED_AT_PIXELS", 1)
    Image.fromarray(picture()).save(tmp_path / "a.webp")
    assert isinstance(open_to_look_at(tmp_path / "a.webp"), PillowSource), "libvips is not given this format"
    Image.fromarray(picture()).save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "pyvips", None)
    assert isinstance(open_to_look_at(tmp_path / "a.png"), PillowSource)
    with pytest.raises(IngestError, match="no such file"):
        open_to_look_at(tmp_path / "b.png")
