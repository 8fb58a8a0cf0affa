"""Oracle: Pillow's own operations, or numpy arithmetic on the samples that were written to the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from mm_megacontext.errors import IngestError, LimitExceeded
from mm_megacontext.vision.sources.colour import to_srgb
from mm_megacontext.vision.sources.raster import PillowSource
from mm_megacontext.vision.sources.source import Pixels

ORIENTATION = 0x0112


def picture(width: int = 37, height: int = 23, channels: int = 3, seed: int = 0) -> Pixels:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def whole(path: Path) -> Pixels:
    source = PillowSource(path)
    return source.read((0, 0, *source.size))


@settings(max_examples=30)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    region=st.tuples(st.integers(0, 39), st.integers(0, 39), st.integers(1, 40), st.integers(1, 40)),
)
def test_a_region_inside_is_pillows_crop(
    tmp_path_factory: pytest.TempPathFactory, size: tuple[int, int], region: tuple[int, int, int, int]
) -> None:
    path = tmp_path_factory.mktemp("crop") / "a.png"
    image = Image.fromarray(picture(*size))
    image.save(path)
    x, y = region[0] % size[0], region[1] % size[1]
    width, height = min(region[2], size[0] - x), min(region[3], size[1] - y)
    expected = np.asarray(image.crop((x, y, x + width, y + height)))
    np.testing.assert_array_equal(PillowSource(path).read((x, y, width, height)), expected)


# What a viewer must do with the stored array for each value of the EXIF tag (TIFF 6.0, section 8).
TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
@pytest.mark.parametrize("orientation", TURNED)
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / f"turned.{suffix}"
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(picture()).save(path, exif=exif, **options)
    expected = TURNED[orientation](picture())
    assert PillowSource(path).size == (expected.shape[1], expected.shape[0])
    np.testing.assert_array_equal(whole(path), expected)


def test_unreadable_exif_means_no_orientation(tmp_path: Path) -> None:
    path = tmp_path / "bad_exif.jpg"
    Image.fromarray(picture()).save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert PillowSource(path).size == (37, 23)


def as_grey(levels: Pixels) -> Pixels:
    return np.repeat(levels[:, :, None], 3, axis=2)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize(("low", "high"), [(0, 65535), (180, 900), (40_000, 40_001)])
def test_16_bit_grey_is_shown_by_its_own_range(tmp_path: Path, suffix: str, low: int, high: int) -> None:
    deep = np.random.default_rng(1).integers(low, high + 1, (23, 37), dtype=np.uint16)
    path = tmp_path / f"deep.{suffix}"
    Image.fromarray(deep).save(path)
    bottom, top = int(deep.min()), int(deep.max())
    expected = np.rint((deep.astype(float) - bottom) / (top - bottom) * 255).astype(np.uint8)
    np.testing.assert_array_equal(whole(path), as_grey(expected))


def test_a_blank_page_of_16_bits_stays_what_it_is(tmp_path: Path) -> None:
    for value, level in ((0, 0), (65535, 255)):
        Image.fromarray(np.full((5, 4), value, dtype=np.uint16)).save(tmp_path / "blank.tiff")
        assert (whole(tmp_path / "blank.tiff") == level).all()


def test_32_bit_integers_are_shown_by_their_own_range(tmp_path: Path) -> None:
    values = np.array([[0, 255, 256], [1000, 65535, 40000]], dtype=np.int32)
    path = tmp_path / "i.tiff"
    Image.fromarray(values).save(path)
    np.testing.assert_array_equal(whole(path), as_grey(np.rint(values / 257).astype(np.uint8)))


def test_what_is_no_data_counts_for_no_range(tmp_path: Path) -> None:
    values = np.array([[-9999.0, 200.0, 300.0], [400.0, -9999.0, 300.0]], dtype=np.float32)
    path = tmp_path / "height.tif"
    Image.fromarray(values).save(path, tiffinfo={42113: "-9999"})
    expected = np.array([[0, 0, 128], [255, 0, 128]], dtype=np.uint8)
    np.testing.assert_array_equal(whole(path), as_grey(expected))


def test_larger_integers_and_floats_are_stretched(tmp_path: Path) -> None:
    wide = np.array([[-100, 0], [100, 100_000]], dtype=np.int32)
    Image.fromarray(wide).save(tmp_path / "wide.tiff")
    expected = np.rint((wide + 100) / 100_100 * 255).astype(np.uint8)
    np.testing.assert_array_equal(whole(tmp_path / "wide.tiff"), as_grey(expected))

    values = np.array([[0.25, 0.5, np.nan], [1.25, np.inf, -np.inf]], dtype=np.float32)
    Image.fromarray(values).save(tmp_path / "float.tiff")
    expected = np.array([[0, 64, 0], [255, 255, 0]], dtype=np.uint8)
    np.testing.assert_array_equal(whole(tmp_path / "float.tiff"), as_grey(expected))

    Image.fromarray(np.full((2, 2), 7.5, dtype=np.float32)).save(tmp_path / "flat.tiff")
    assert (whole(tmp_path / "flat.tiff") == 0).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK"])
def test_other_modes_go_through_pillows_conversion(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(picture()).convert(mode)
    path = tmp_path / "mode.tiff"
    image.save(path)
    np.testing.assert_array_equal(whole(path), np.asarray(image.convert("RGB")))


def test_ycbcr_goes_through_pillows_conversion() -> None:
    image = Image.fromarray(picture()).convert("YCbCr")  # not through a file: old Pillows cannot read theirs back
    np.testing.assert_array_equal(np.asarray(to_srgb(image)), np.asarray(image.convert("RGB")))


def test_cmyk_jpeg_has_the_colours_it_was_made_of(tmp_path: Path) -> None:
    ink = np.zeros((32, 64, 4), dtype=np.uint8)
    ink[:, 32:, 0] = 255  # left: paper, right: full cyan
    path = tmp_path / "ink.jpg"
    Image.frombytes("CMYK", (64, 32), ink.tobytes()).save(path, quality=95)
    pixels = whole(path).astype(int)
    assert np.abs(pixels[:, :24] - 255).max() <= 3
    assert np.abs(pixels[:, 40:] - [0, 255, 255]).max() <= 3


def test_lab_white_and_black(tmp_path: Path) -> None:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    before = Image.fromarray(picture())
    image = ImageCms.profileToProfile(before, srgb, lab, outputMode="LAB")
    assert image is not None
    path = tmp_path / "lab.tiff"
    image.save(path)
    assert np.abs(whole(path).astype(int) - np.asarray(before)).mean() < 3  # 8-bit Lab rounds


def expected_on_white(colour: Pixels, alpha: Pixels) -> Pixels:
    a = alpha[:, :, None].astype(np.float64) / 255
    return np.floor(colour * a + 255 * (1 - a) + 0.5).astype(np.uint8)


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_alpha_is_composited_on_white(tmp_path: Path, suffix: str) -> None:
    rgba = picture(channels=4)
    path = tmp_path / f"alpha.{suffix}"
    options: dict[str, Any] = {"lossless": True, "exact": True} if suffix == "webp" else {}
    Image.fromarray(rgba).save(path, **options)
    np.testing.assert_array_equal(whole(path), expected_on_white(rgba[:, :, :3], rgba[:, :, 3]))


def test_grey_alpha_palette_transparency_and_colour_keys(tmp_path: Path) -> None:
    la = picture(channels=2)
    Image.fromarray(la).save(tmp_path / "la.png")
    np.testing.assert_array_equal(whole(tmp_path / "la.png"), expected_on_white(as_grey(la[:, :, 0]), la[:, :, 1]))

    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "p.png", transparency=0)
    np.testing.assert_array_equal(whole(tmp_path / "p.png"), [[[255, 255, 255], [40, 50, 60]]])

    key = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8))
    key.save(tmp_path / "key.png", transparency=(4, 5, 6))
    np.testing.assert_array_equal(whole(tmp_path / "key.png"), [[[1, 2, 3], [255, 255, 255]]])


def test_only_the_first_frame_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "two.tiff", save_all=True, append_images=frames[1:])
    assert (whole(tmp_path / "two.tiff") == [255, 0, 0]).all()


def test_too_many_pixels_are_refused_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "big.png"
    Image.new("1", (400, 300)).save(path)
    assert PillowSource(path, max_pixels=120_000).size == (400, 300)
    with pytest.raises(LimitExceeded, match="more than the 119999 pixels allowed"):
        PillowSource(path, max_pixels=119_999)


def test_the_default_limit_stops_a_bomb(tmp_path: Path) -> None:
    header = b"GIF89a" + (65_535).to_bytes(2, "little") * 2 + b"\0\0\0"
    frame = b"," + bytes(4) + (65_535).to_bytes(2, "little") * 2 + b"\0\x02\x02D\x01\0;"
    path = tmp_path / "bomb.gif"
    path.write_bytes(header + frame)
    with pytest.raises(LimitExceeded):
        PillowSource(path)


def test_pillows_own_limit_is_left_as_it_was(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(path)
    PillowSource(path, max_pixels=16)
    with pytest.raises(LimitExceeded):
        PillowSource(path, max_pixels=15)
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff", "webp", "bmp", "gif"])
def test_a_truncated_file_is_an_ingest_error_that_names_it(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(picture(200, 200)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(IngestError, match=rf"cut\.{suffix}: .*damaged or truncated|not an image"):
        PillowSource(path)


def test_files_that_are_no_images(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "vector.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")
    for name in ("text.png", "empty.png", "vector.eps"):
        with pytest.raises(IngestError, match="not an image in a format that is read"):
            PillowSource(tmp_path / name)
    with pytest.raises(IngestError, match="no such file"):
        PillowSource(tmp_path / "absent.png")
    with pytest.raises(IngestError):
        PillowSource(tmp_path)


@settings(max_examples=60)
@given(data=st.data(), suffix=st.sampled_from(["png", "jpg", "tiff", "webp", "gif", "bmp"]))
def test_damage_anywhere_is_an_ingest_error_or_an_image(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, suffix: str
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / f"a.{suffix}"
    Image.fromarray(picture(30, 20)).save(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        source = PillowSource(path, max_pixels=1_000_000)
    except IngestError:
        return
    assert source.read((0, 0, *source.size)).shape == (source.size[1], source.size[0], 3)
