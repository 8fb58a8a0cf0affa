"""Images as one-page documents; Pillow writes what is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from mm_megacontext.errors import IngestError, LimitExceeded
from mm_megacontext.layout.reader import read
from mm_megacontext.limits import IngestLimits

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
