"""Images as one-page documents; Pillow writes what is read."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from mm_megacontext.errors import IngestError, LimitExceeded
from mm_megacontext.layout.reader import read
from mm_megacontext.limits import IngestLimits
from mm_megacontext.vision.pages import PageImages
from mm_megacontext.vision.sources.files import open_image
from tests.vision.tiff_writer import TiffDirectory, tiff_bytes

ORIENTATION = 0x0112


def noise(size: tuple[int, int]) -> Image.Image:
    return Image.effect_noise(size, 50).convert("RGB")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "gif", "bmp"])
def test_an_image_is_one_page_of_one_figure(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    noise((37, 21)).save(path)
    document = read(path)
    assert (document.kind, document.unit, document.n_pages) == ("image", "px", 1)
    (page,) = document.pages()
    assert page.size == (37.0, 21.0)
    assert [(r.kind, r.bbox) for r in page.regions] == [("figure", (0.0, 0.0, 37.0, 21.0))]
    assert list(document.pages()) == [page], "may be read again"


@pytest.mark.parametrize(("orientation", "size"), [(1, (37, 21)), (3, (37, 21)), (6, (21, 37)), (8, (21, 37))])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, size: tuple[int, int]) -> None:
    image = noise((37, 21))
    exif = image.getexif()
    exif[ORIENTATION] = orientation
    image.save(tmp_path / "a.jpg", exif=exif)
    (page,) = read(tmp_path / "a.jpg").pages()
    assert page.size == size


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "gif"])
def test_a_truncated_image_is_an_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    noise((200, 150)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(IngestError, match=r"truncated or damaged|unsupported file") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_too_many_pixels(tmp_path: Path) -> None:
    noise((100, 100)).save(tmp_path / "a.png")
    with pytest.raises(LimitExceeded, match="100 x 100 pixels are more than the limit of 9999"):
        read(tmp_path / "a.png", limits=IngestLimits(max_pixels=9999))


def test_an_image_beyond_pillows_warning_is_read_without_one(tmp_path: Path) -> None:
    Image.new("1", (10_000, 10_000)).save(tmp_path / "large.png")
    assert read(tmp_path / "large.png").n_pages == 1


def numbered_tiff(path: Path, n_pages: int, **options: Any) -> list[Image.Image]:
    """A TIFF of pages of different sizes and greys."""
    pages = [Image.new("L", (40 + 10 * i, 30 + i), 20 * (i + 1)) for i in range(n_pages)]
    pages[0].save(path, save_all=True, append_images=pages[1:], **options)
    return pages


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "packbits", "tiff_adobe_deflate"])
def test_every_page_of_a_tiff_is_a_page(tmp_path: Path, compression: str | None) -> None:
    path = tmp_path / "fax.tif"
    pages = numbered_tiff(path, 4, compression=compression)
    document = read(path)
    assert document.n_pages == 4
    assert [(page.number, page.size, page.status) for page in document.pages()] == [
        (i + 1, (40.0 + 10 * i, 30.0 + i), "ok") for i in range(4)
    ]
    with PageImages(str(path), "image") as images:
        for number in (3, 1, 4, 2):
            source = images.page(number)
            assert source.size == pages[number - 1].size
            assert (source.read((0, 0, *source.size)) == 20 * number).all()


def test_a_damaged_page_of_a_tiff_is_its_own_problem(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    rng = np.random.default_rng(0)
    pages = [Image.fromarray(rng.integers(0, 255, (60, 80), dtype=np.uint8)) for _ in range(3)]
    pages[0].save(path, save_all=True, append_images=pages[1:], compression="tiff_deflate")
    data = bytearray(path.read_bytes())
    with Image.open(path) as image:
        image.seek(1)
        offset = image.tag_v2[273][0]  # type: ignore[attr-defined]  # it is a TIFF
    data[offset + 20 : offset + 2000] = bytes(1980)
    path.write_bytes(data)
    assert [page.status for page in read(path).pages()] == ["ok", "failed", "ok"]


@pytest.mark.parametrize(
    ("description", "told"),
    [
        (
            '<OME><Pixels SizeC="2" SizeZ="1" SizeT="1"><Channel Name="DAPI"/><Channel Name="FITC"/></Pixels></OME>',
            "2 channels (DAPI, FITC)",
        ),
        ("ImageJ=1.53\nimages=2\nslices=2\n", "2 focal planes"),
        ("ImageJ=1.53\nimages=2\n", "2 planes"),
    ],
)
def test_channels_and_planes_of_a_stack_are_told(tmp_path: Path, description: str, told: str) -> None:
    path = tmp_path / "stack.tif"
    pages = [TiffDirectory(np.full((30, 40, 1), 50 * i, dtype=np.uint8), tags={270: description}) for i in (1, 2)]
    path.write_bytes(tiff_bytes(pages))
    (page,) = read(path).pages()
    assert (page.status, page.code) == ("degraded", "channels_left_out")
    assert told in (page.problem or "")


def test_bands_beyond_colours_are_told(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    bands = np.arange(30 * 40 * 6, dtype=np.uint16).reshape(30, 40, 6)
    path.write_bytes(tiff_bytes([TiffDirectory(bands[:, :, :4].astype(np.uint8), tags={338: 0})]))
    (page,) = read(path).pages()
    assert page.code == "channels_left_out"
    assert "the first 3 of 4 bands are shown" in (page.problem or "")
    path.write_bytes(tiff_bytes([TiffDirectory(bands, tags={262: 1, 338: (0, 0, 0, 0, 0)})]))
    (page,) = read(path).pages()
    assert "the first of 6 bands is shown" in (page.problem or "")
    first = bands[:, :, 0].astype(float)
    expected = np.rint((first - first.min()) / (first.max() - first.min()) * 255)
    assert (open_image(path).read((0, 0, 40, 30))[:, :, 0] == expected).all()


def test_planes_one_after_the_other_are_one_picture(tmp_path: Path) -> None:
    """PlanarConfiguration 2: all of red, then green, then blue."""
    rgb = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    path = tmp_path / "planar.tif"
    path.write_bytes(planar_tiff(rgb))
    (page,) = read(path).pages()
    assert page.status == "ok"
    for limits in (IngestLimits(), IngestLimits(max_decoded_pixels=1)):
        assert (open_image(path, limits).read((0, 0, 48, 32)) == rgb).all()


def planar_tiff(rgb: npt.NDArray[np.uint8]) -> bytes:
    """A TIFF of three strips, one for each colour."""
    height, width, _ = rgb.shape
    planes = [rgb[:, :, i].tobytes() for i in range(3)]
    offsets = [8 + sum(map(len, planes[:i])) for i in range(3)]
    data = b"".join(planes)
    arrays = [struct.pack("<3H", 8, 8, 8), struct.pack("<3I", *offsets), struct.pack("<3I", *map(len, planes))]
    places = [8 + len(data) + sum(map(len, arrays[:i])) for i in range(3)]
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, places[0]), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 3, places[1]), (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 3, places[2]), (284, 3, 1, 2),
    ]  # fmt: skip
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    body = data + b"".join(arrays)
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + directory
