"""Oracles: the arrays that were written to the file, an independent box filter, libvips' own crop, and Pillow.

Files without loss must give the written samples; ``PillowSource`` and ``VipsSource`` must give the same pixels,
of JPEG too: both decode it with the algorithms of libjpeg-turbo.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mm_megacontext.errors import IngestError, LimitExceeded, MissingExtra
from mm_megacontext.image_files import vips_file
from mm_megacontext.limits import IngestLimits
from mm_megacontext.vision.sources.raster import PillowSource
from mm_megacontext.vision.sources.source import ArraySource, ImageSource, Pixels, count_levels, level_size
from mm_megacontext.vision.sources.vips import VipsSource
from tests.vision.sources.test_raster import ORIENTATION, TURNED, as_grey, expected_on_white, picture
from tests.vision.sources.test_source import reference_level, reference_read
from tests.vision.tiff_writer import TiffDirectory, tiff_bytes

UNPREMULTIPLY_TOLERANCE = 1
"""Levels: Pillow rounds the quotient by opacity down, libvips to the nearest."""
SHRINK_TOLERANCE = 12
"""Levels, on average: libvips drops odd rows and columns at every step of a pyramid, which shifts small ones."""

FLAT_TOLERANCE = 3
"""Levels, on average: the mean is taken before the samples are converted to sRGB, and a JPEG's in its own transform."""

SIDES = st.one_of(st.integers(1, 8), st.integers(1, 150))


def whole(source: ImageSource) -> Pixels:
    return source.read((0, 0, *source.size))


def save(path: Path, array: npt.NDArray[Any], **options: Any) -> Path:
    image = pyvips.Image.new_from_array(array)
    if array.dtype == np.uint16:
        image = image.copy(interpretation="rgb16" if image.bands >= 3 else "grey16")
    image.write_to_file(str(path), **options)
    return path


def tiled(path: Path, array: npt.NDArray[Any], **options: Any) -> Path:
    return save(path, array, **{"tile": True, "tile_width": 32, "tile_height": 16, **options})


WRITERS: dict[str, Callable[[Path, Pixels], Path]] = {
    "tiles": lambda p, a: tiled(p / "a.tif", a),
    "tiles, deflate, big": lambda p, a: tiled(p / "a.tif", a, compression="deflate", bigtiff=True),
    "pyramid": lambda p, a: tiled(p / "a.tif", a, pyramid=True, compression="lzw", predictor="horizontal"),
    "pyramid in subdirectories": lambda p, a: tiled(p / "a.tif", a, pyramid=True, subifd=True),
    "strips": lambda p, a: save(p / "a.tif", a),
    "png": lambda p, a: save(p / "a.png", a),
}


@pytest.mark.parametrize("writer", WRITERS)
@settings(max_examples=25)
@given(data=st.data())
def test_any_region_of_any_level_is_that_of_the_written_array(
    tmp_path_factory: pytest.TempPathFactory, writer: str, data: st.DataObject
) -> None:
    width, height = data.draw(SIDES), data.draw(SIDES)
    image = picture(width, height, seed=data.draw(st.integers(0, 99)))
    source = VipsSource(WRITERS[writer](tmp_path_factory.mktemp("vips"), image))
    assert (source.size, source.n_levels) == ((width, height), count_levels((width, height)))
    level = data.draw(st.integers(0, source.n_levels - 1))
    corner, side = st.integers(-90, 149), st.integers(1, 50)
    region = (data.draw(corner), data.draw(corner), data.draw(side), data.draw(side))
    expected = reference_read(reference_level(image, level), region)
    np.testing.assert_array_equal(source.read(region, level), expected)


@pytest.mark.parametrize("size", [(1, 1), (1, 100_000), (100_000, 1), (99_999, 3)])
@pytest.mark.parametrize("writer", ["tiles", "strips"])
def test_extreme_shapes(tmp_path: Path, writer: str, size: tuple[int, int]) -> None:
    image = picture(*size, seed=5)
    source = VipsSource(WRITERS[writer](tmp_path, image))
    expected = ArraySource(image)
    assert source.size == size
    for level in {0, 1, 7, source.n_levels - 1} & set(range(source.n_levels)):
        for region in ((0, 0, 1, 1), (-3, -3, 150, 150), (max(size) // 2 >> level, 0, 70, 70)):
            np.testing.assert_array_equal(source.read(region, level), expected.read(region, level))


@settings(max_examples=20)
@given(x=st.integers(0, 299), y=st.integers(0, 199), width=st.integers(1, 300), height=st.integers(1, 200))
def test_a_region_inside_is_the_crop_of_libvips(
    tmp_path_factory: pytest.TempPathFactory, x: int, y: int, width: int, height: int
) -> None:
    path = tiled(tmp_path_factory.mktemp("crop") / "a.tif", picture(300, 200), compression="jpeg", Q=80)
    width, height = min(width, 300 - x), min(height, 200 - y)
    expected = pyvips.Image.new_from_file(str(path)).crop(x, y, width, height).numpy()
    np.testing.assert_array_equal(VipsSource(path).read((x, y, width, height)), expected)


@pytest.mark.parametrize("suffix", ["tif", "png", "jpg"])
@pytest.mark.parametrize("orientation", TURNED)
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / f"turned.{suffix}"
    Image.fromarray(picture()).save(path, exif=exif)
    source, pillow = VipsSource(path), PillowSource(path)
    assert source.size == pillow.size
    np.testing.assert_array_equal(whole(source), whole(pillow))
    if suffix != "jpg":
        np.testing.assert_array_equal(whole(source), TURNED[orientation](picture()))
    region = (5, 3, 9, 11)
    np.testing.assert_array_equal(source.read(region), ArraySource(whole(source)).read(region))


@pytest.mark.parametrize("orientation", TURNED)
def test_a_tiled_tiff_is_turned(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "turned.tif"
    path.write_bytes(tiff_bytes([TiffDirectory(picture(50, 70), tile=16, tags={274: orientation})]))
    source = VipsSource(path)
    np.testing.assert_array_equal(whole(source), TURNED[orientation](picture(50, 70)))
    np.testing.assert_array_equal(whole(source), whole(PillowSource(path)))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_every_mode_is_what_pillow_makes_of_it(tmp_path: Path, mode: str, suffix: str) -> None:
    if (mode, suffix) == ("CMYK", "png"):
        pytest.skip("PNG has no CMYK")
    image = Image.fromarray(picture(channels=4)).convert(mode)
    path = tmp_path / f"mode.{suffix}"
    image.save(path)
    np.testing.assert_array_equal(whole(VipsSource(path)), whole(PillowSource(path)))


@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_transparent_palettes_and_colour_keys(tmp_path: Path, suffix: str) -> None:
    palette = Image.fromarray(picture()).convert("P")
    key = Image.fromarray(picture())
    options: list[tuple[Image.Image, dict[str, Any]]] = [
        (palette, {"transparency": 3}),
        (key, {"transparency": (4, 5, 6)}),
    ]
    for number, (image, option) in enumerate(options if suffix == "png" else [(palette, {}), (key, {})]):
        path = tmp_path / f"{number}.{suffix}"
        image.save(path, **option)
        np.testing.assert_array_equal(whole(VipsSource(path)), whole(PillowSource(path)))


@pytest.mark.parametrize("bands", [1, 3, 4])
@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_16_bits_of_a_colour_drop_the_low_byte_and_grey_has_its_range(tmp_path: Path, bands: int, suffix: str) -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (23, 37, bands), dtype=np.uint16)
    path = save(tmp_path / f"deep.{suffix}", deep)
    high = (deep >> 8).astype(np.uint8)
    if bands == 4:
        expected = expected_on_white(high[:, :, :3], high[:, :, 3])
    else:
        grey = np.rint((deep.astype(float) - deep.min()) / (int(deep.max()) - int(deep.min())) * 255)
        expected = high if bands == 3 else as_grey(grey[:, :, 0].astype(np.uint8))
    np.testing.assert_array_equal(whole(VipsSource(path)), expected)
    np.testing.assert_array_equal(whole(VipsSource(path)), whole(PillowSource(path)))


@pytest.mark.parametrize("extra", [0, 1, 2])
@pytest.mark.parametrize("bands", [2, 4])
def test_the_extra_band_of_a_tiff_is_what_its_tag_says(tmp_path: Path, bands: int, extra: int) -> None:
    """Unspecified is no opacity; premultiplied opacity is undone as Pillow undoes it."""
    pixels = picture(channels=bands)
    pixels[:, :, :-1] = np.minimum(pixels[:, :, :-1], pixels[:, :, -1:])  # what premultiplied colours are at most
    path = tmp_path / "extra.tif"
    path.write_bytes(tiff_bytes([TiffDirectory(pixels, tags={338: extra})]))
    tolerance = UNPREMULTIPLY_TOLERANCE if extra == 1 else 0
    np.testing.assert_allclose(
        whole(VipsSource(path)).astype(int), whole(PillowSource(path)).astype(int), atol=tolerance
    )
    if extra == 0:
        colours = pixels[:, :, :-1]
        np.testing.assert_array_equal(whole(VipsSource(path)), np.broadcast_to(colours, (*colours.shape[:2], 3)))


def test_32_bits_are_stretched_over_the_whole_image_or_are_16_bit_ones(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    arrays: dict[str, npt.NDArray[Any]] = {
        "float": rng.normal(size=(40, 60)).astype(np.float32),
        "odd": np.where(rng.random((40, 60)) < 0.1, np.nan, rng.normal(size=(40, 60))).astype(np.float32),
        "flat": np.full((40, 60), 7.5, dtype=np.float32),
        "small": rng.integers(0, 65536, (40, 60)).astype(np.int32),
        "wide": rng.integers(-100, 10**6, (40, 60)).astype(np.int32),
    }
    for name, array in arrays.items():
        path = tiled(tmp_path / f"{name}.tif", array)
        part = (11, 7, 20, 30)
        np.testing.assert_array_equal(VipsSource(path).read(part), PillowSource(path).read(part), err_msg=name)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_is_what_pillow_decodes(tmp_path: Path, mode: str) -> None:
    smooth = Image.effect_mandelbrot((120, 80), (-2, -1.5, 1, 1.5), 60).convert("RGB").convert(mode)
    smooth.save(tmp_path / "a.jpg", quality=90)
    np.testing.assert_array_equal(whole(VipsSource(tmp_path / "a.jpg")), whole(PillowSource(tmp_path / "a.jpg")))


@pytest.mark.parametrize("subsample", ["on", "off"])
def test_jpeg_tiles_are_what_pillow_decodes(tmp_path: Path, subsample: str) -> None:
    path = tiled(tmp_path / "a.tif", picture(300, 200), compression="jpeg", Q=95 if subsample == "off" else 75)
    np.testing.assert_array_equal(whole(VipsSource(path)), whole(PillowSource(path)))


def test_colour_spaces_without_a_conversion_are_refused(tmp_path: Path) -> None:
    lab = pyvips.Image.new_from_array(picture()).copy(interpretation="srgb").colourspace("lab")
    lab.tiffsave(str(tmp_path / "lab.tif"), tile=True)
    with pytest.raises(IngestError, match=r"3 bands of float32 as lab .*convert it to 8-bit sRGB"):
        VipsSource(tmp_path / "lab.tif")


READ_RANDOMLY = """
import random, re, sys
from mm_megacontext.limits import IngestLimits
from mm_megacontext.vision.sources.files import open_image
source = open_image(sys.argv[1], IngestLimits(max_expansion=10**9))
rng, (width, height) = random.Random(0), source.size
for _ in range(40):
    source.read((rng.randrange(width - 2048), rng.randrange(height - 2048), 2048, 2048))
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1024)
"""
MEMORY_MIB = 600
"""A process that has read 40 x 2048 x 2048 pixels; measured: 330 to 510, most of it blocks that malloc keeps."""


@pytest.mark.parametrize("size", [(30_000, 30_000), (100_000, 100_000), (300_000, 20_000)])
def test_memory_does_not_grow_with_the_image(tmp_path: Path, size: tuple[int, int]) -> None:
    """Oracle: the kernel's high-water mark (VmHWM). By itself, libvips takes 3 GiB for the last of these."""
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_bytes([TiffDirectory(picture(512, 512), tile=512, declared=size)], big=True))
    argv = [sys.executable, "-c", READ_RANDOMLY, str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
    assert float(done.stdout) < MEMORY_MIB


def test_threads_read_the_same(tmp_path: Path) -> None:
    image = picture(1000, 800)
    source = VipsSource(tiled(tmp_path / "a.tif", image, compression="deflate"))
    regions = [(x, y, 128, 128) for y in range(0, 672, 97) for x in range(0, 872, 101)]
    with ThreadPoolExecutor(4) as pool:
        for region, pixels in zip(regions, pool.map(source.read, regions), strict=True):
            x, y, width, height = region
            np.testing.assert_array_equal(pixels, image[y : y + height, x : x + width])


def test_a_file_that_changed_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for seed in (1, 2):
        tiled(path, picture(seed=seed))
        np.testing.assert_array_equal(whole(VipsSource(path)), picture(seed=seed))


def test_a_file_that_changes_while_it_is_open_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vips_file, "_CACHE_BYTES", 1)  # open it anew after every read
    path = tiled(tmp_path / "a.tif", picture(300, 200))
    source = VipsSource(path)
    np.testing.assert_array_equal(whole(source), picture(300, 200))
    np.testing.assert_array_equal(whole(source), picture(300, 200))
    tiled(path, picture(100, 100))
    for said in ("do not match", "has changed while it was read", "has changed while it was read"):
        with pytest.raises(IngestError, match=said):
            source.read((0, 0, 9, 9))


def test_pages_that_are_not_there(tmp_path: Path) -> None:
    path = tiled(tmp_path / "a.tif", picture())
    for page in (-1, 1):
        with pytest.raises(IngestError, match=f"there is no page {page}; the file has 1"):
            VipsSource(path, page=page)


def test_an_overview_comes_from_a_reduced_copy_and_has_the_size_of_its_level(tmp_path: Path) -> None:
    """A flat image whose one reduced copy is of another colour: one sees where the overview came from."""
    red, blue = (
        np.full((size, size, 3), colour, dtype=np.uint8) for size, colour in ((200, (255, 0, 0)), (50, (0, 0, 255)))
    )
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_bytes([TiffDirectory(red, tile=16), TiffDirectory(blue, tile=16, tags={254: 1})]))
    source = VipsSource(path)
    assert source.read_overview(1).shape == (100, 100, 3)
    assert (source.read_overview(1) == [255, 0, 0]).all(), "the copy is too small for this level"
    for level, side in ((2, 50), (3, 25), (7, 2)):
        assert source.read_overview(level).shape == (side, side, 3)
        assert (source.read_overview(level) == [0, 0, 255]).all()
        assert (source.read((0, 0, side, side), level) == [255, 0, 0]).all(), "read never uses it"


@pytest.mark.parametrize("options", [{}, {"subifd": True}])
def test_an_overview_of_a_pyramid_resembles_the_level(tmp_path: Path, options: dict[str, Any]) -> None:
    smooth = np.asarray(Image.effect_mandelbrot((900, 700), (-2, -1.5, 1, 1.5), 60).convert("RGB"))
    source = VipsSource(tiled(tmp_path / "a.tif", smooth, pyramid=True, **options))
    for level in range(1, source.n_levels):
        exact = ArraySource(smooth).read((0, 0, *source.read_overview(level).shape[1::-1]), level)
        assert np.abs(source.read_overview(level).astype(int) - exact).mean() < SHRINK_TOLERANCE


@pytest.mark.parametrize("writer", ["strips", "png"])
@pytest.mark.parametrize("size", [(61, 47), (300, 200), (1, 77)])
def test_an_overview_of_a_flat_file_is_its_level(tmp_path: Path, writer: str, size: tuple[int, int]) -> None:
    """Libvips takes the mean of a mean at most edges; inside it is the exact one."""
    image = picture(*size, seed=3)
    source = VipsSource(WRITERS[writer](tmp_path, image))
    for level in range(source.n_levels):
        expected = ArraySource(image).read((0, 0, *level_size(size, level)), level)
        found = source.read_overview(level)
        assert found.shape == expected.shape
        whole_columns, whole_rows = size[0] >> level, size[1] >> level
        np.testing.assert_allclose(
            found[:whole_rows, :whole_columns].astype(int), expected[:whole_rows, :whole_columns], atol=1
        )


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("suffix", ["tif", "png", "jpg"])
def test_an_overview_of_a_flat_file_has_the_colours_of_its_level(tmp_path: Path, mode: str, suffix: str) -> None:
    if (mode, suffix) == ("CMYK", "png") or (suffix == "jpg" and mode not in ("L", "RGB", "CMYK")):
        pytest.skip(f"{suffix} has no {mode}")
    smooth = Image.effect_mandelbrot((160, 96), (-2, -1.5, 1, 1.5), 60)
    image = smooth.convert("I").point(lambda v: v * 257).convert("I;16") if mode == "I;16" else smooth.convert(mode)
    image.save(tmp_path / f"a.{suffix}")
    source = VipsSource(tmp_path / f"a.{suffix}")
    exact = source.read((0, 0, *level_size(source.size, 2)), 2)
    assert np.abs(source.read_overview(2).astype(int) - exact).mean() < FLAT_TOLERANCE


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_an_overview_of_a_flat_file_is_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    smooth = Image.effect_mandelbrot((451, 350), (-2, -1.5, 1, 1.5), 60).convert("RGB")
    smooth.save(tmp_path / f"a.{suffix}", exif=exif)
    source = VipsSource(tmp_path / f"a.{suffix}")
    for level in (1, 3, 5):
        exact = source.read((0, 0, *level_size(source.size, level)), level).astype(int)
        found = source.read_overview(level)
        assert found.shape == exact.shape
        assert np.abs(found - exact).mean() < SHRINK_TOLERANCE


def test_an_overview_of_a_flat_file_reads_nothing_at_random(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = VipsSource(save(tmp_path / "a.png", picture(200, 100)))
    monkeypatch.setattr(vips_file.VipsFile, "read", lambda *_: pytest.fail("it would be decoded to disk"))
    assert source.read_overview(2).shape == (25, 50, 3)


def test_a_truncated_flat_file_has_no_overview(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", picture(300, 300))
    source = VipsSource(path)
    path.write_bytes(path.read_bytes()[:90_000])
    with pytest.raises(IngestError, match="truncated or damaged"):
        source.read_overview(2)


def test_without_libvips_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiled(tmp_path / "a.tif", picture())
    monkeypatch.setitem(sys.modules, "pyvips", None)
    with pytest.raises(MissingExtra, match=r"pip install 'mm-megacontext\[vips\]'"):
        VipsSource(path)


def test_limits_are_kept(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", picture(100, 100))
    with pytest.raises(LimitExceeded, match="raise max_pixels"):
        VipsSource(path, limits=IngestLimits(max_pixels=9_999))
    with pytest.raises(LimitExceeded, match="raise max_scratch_bytes"):
        VipsSource(path, limits=IngestLimits(max_scratch_bytes=29_999))
    tiles = tiled(tmp_path / "a.tif", picture(100, 100))
    assert VipsSource(tiles, limits=IngestLimits(max_scratch_bytes=1)).size == (100, 100), "tiles need no scratch"


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("hello")
    with pytest.raises(IngestError, match="not an image"):
        VipsSource(tmp_path / "a.tif")
    with pytest.raises(IngestError, match="no such file"):
        VipsSource(tmp_path / "b.tif")
