"""Oracle: the directories as they were written, byte by byte, or by libvips."""

from __future__ import annotations

from pathlib import Path

import pytest
import pyvips

from mm_megacontext.errors import IngestError
from mm_megacontext.image_files.scale import PhysicalScale
from mm_megacontext.image_files.tiff_pages import check_whole, page_roles, read_tiff_pages
from tests.vision.sources.test_raster import picture
from tests.vision.tiff_writer import TiffDirectory, Value, tiff_bytes


def write(path: Path, *pages: TiffDirectory, big: bool = False) -> Path:
    path.write_bytes(tiff_bytes(pages, big=big))
    return path


@pytest.mark.parametrize("big", [False, True])
def test_what_a_directory_says(tmp_path: Path, big: bool) -> None:
    tags: dict[int, Value] = {274: 6, 282: (100.0,), 283: (50.0,), 296: 3, 338: 2, 270: "a picture"}
    path = write(tmp_path / "a.tif", TiffDirectory(picture(70, 30, channels=4), tile=32, tags=tags), big=big)
    (page,) = read_tiff_pages(path)
    assert (page.size, page.decoded_bytes, page.tile_size) == ((70, 30), 70 * 30 * 4, (32, 32))
    assert (page.orientation, page.extra_samples, page.description) == (6, (2,), "a picture")
    assert page.scale == PhysicalScale(100.0, 200.0), "100 and 50 to the centimetre"
    assert not page.is_reduced
    assert not page.needs_openslide


def test_pixels_behind_the_end_of_the_file_are_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", TiffDirectory(picture(70, 30), tile=32))
    (page,) = read_tiff_pages(path)
    check_whole(page, path)
    assert page.data_end <= path.stat().st_size
    path.write_bytes(path.read_bytes()[: page.data_end - 1])
    with pytest.raises(IngestError, match=f"its pixels end at byte {page.data_end}"):
        check_whole(page, path)


@pytest.mark.parametrize("subifd", [False, True])
def test_a_pyramid_of_libvips(tmp_path: Path, subifd: bool) -> None:
    path = tmp_path / "a.tif"
    image = pyvips.Image.new_from_array(picture(601, 401))
    image.tiffsave(str(path), tile=True, tile_width=64, tile_height=64, pyramid=True, subifd=subifd)
    pages = read_tiff_pages(path)
    if subifd:
        assert (len(pages), pages[0].n_subpages) == (1, 4)
    else:
        assert page_roles(pages) == ("image", "level", "level", "level", "level")
        assert [page.size for page in pages] == [(601, 401), (300, 200), (150, 100), (75, 50), (37, 25)]


def test_planes_of_ome_tiff_are_no_levels(tmp_path: Path) -> None:
    about = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" Type="uint8" SizeX="64" SizeY="48" SizeZ="1" SizeC="3" SizeT="1" '
        'PhysicalSizeX="650" PhysicalSizeXUnit="nm" PhysicalSizeY="0.65"/></Image></OME>'
    )
    pages = [TiffDirectory(picture(64, 48, channels=1, seed=k)[:, :, None], tile=16) for k in range(3)]
    pages[0] = TiffDirectory(pages[0].pixels, tile=16, tags={270: about, 282: (72.0,), 283: (72.0,)})
    found = read_tiff_pages(write(tmp_path / "a.ome.tif", *pages))
    assert page_roles(found) == ("image", "plane", "plane")
    assert found[0].scale == PhysicalScale(0.65, 0.65), "OME-XML goes before the resolution tags"


def test_reduced_copies_of_another_shape_are_something_else(tmp_path: Path) -> None:
    reduced = [
        TiffDirectory(picture(*size), tags={254: 1}) for size in ((50, 40), (50, 50), (13, 10), (100, 80), (33, 27))
    ]
    pages = read_tiff_pages(write(tmp_path / "a.tif", TiffDirectory(picture(100, 80)), *reduced))
    assert page_roles(pages) == ("image", "level", "associated", "level", "associated", "level")


@pytest.mark.parametrize(
    "tags",
    [
        {65420: 1},
        {259: 33003},
        {270: "<iScan Magnification=20>"},
        {270: "http://www.leica-microsystems.com/scn/2010"},
    ],
)
def test_slides_that_only_openslide_understands(tmp_path: Path, tags: dict[int, int | str | tuple[int, ...]]) -> None:
    (page,) = read_tiff_pages(write(tmp_path / "a.tif", TiffDirectory(picture(64, 64), tile=16, tags=tags)))
    assert page.needs_openslide


def test_what_follows_a_damaged_directory_is_not_looked_at(tmp_path: Path) -> None:
    tile = TiffDirectory(picture(64, 64), tile=16)
    path = write(tmp_path / "a.tif", tile, tile, TiffDirectory(picture(64, 64), tile=16, tags={256: "wide"}), tile)
    assert len(read_tiff_pages(path)) == 2
    path.write_bytes(tiff_bytes([TiffDirectory(picture(64, 64), tile=16, tags={256: "wide"}), tile]))
    with pytest.raises(IngestError, match="in its first directory"):
        read_tiff_pages(path)
