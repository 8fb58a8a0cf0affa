"""Hostile image files: each is a one-line error that says what to do, or is read; memory stays flat in both cases.

Oracle of the memory: the kernel's high-water mark of a fresh process, after it has read harmless images. (VmHWM; what
getrusage says is inherited from the parent.)
"""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image

from mm_megacontext.errors import IngestError
from mm_megacontext.layout.reader import read
from mm_megacontext.limits import IngestLimits
from mm_megacontext.vision.sources.files import open_image
from tests.vision.sources.test_raster import picture
from tests.vision.tiff_writer import TiffDirectory, tiff_bytes

FLAT_MIB = 96
"""How much more memory than a harmless image a hostile one may take: code that is loaded for it, libvips' buffers."""

LOSSY_TOLERANCE = 4
"""Levels: WebP and AVIF do not keep pure red."""

READ_ALL = """
import json, re, sys
from mm_megacontext.errors import IngestError
from mm_megacontext.layout.reader import read
from mm_megacontext.vision.sources.files import open_image
def peak_mib():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1024
def take(path):
    try:
        assert read(path).kind == "image"
        source = open_image(path)
        width, height = source.size
        for x, y in ((0, 0), (width // 2, height // 2), (max(0, width - 128), max(0, height - 128))):
            source.read((x, y, 128, 128))
        return "read"
    except IngestError as error:
        return type(error).__name__ + ": " + str(error)
for harmless in sys.argv[1:4]:
    assert take(harmless) == "read"
before, results = peak_mib(), []
for path in sys.argv[4:]:
    results.append((take(path), peak_mib() - before))
print(json.dumps(results))
"""


def png_bytes(width: int, height: int, declared: tuple[int, int] | None = None) -> bytes:
    """A black RGB image, compressed as far as deflate goes; it may declare another size than it has."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packer, rows, row = zlib.compressobj(9), [], bytes(1 + 3 * width)
    for _ in range(height):
        rows.append(packer.compress(row))
    data = b"".join(rows) + packer.flush()
    header = struct.pack(">IIBBBBB", *(declared or (width, height)), 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def gif_bytes(width: int, height: int) -> bytes:
    """44 bytes that declare up to 4.3 gigapixels."""
    size = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    palette = bytes(6)
    frame = b"," + bytes(4) + size + b"\0\x02\x02D\x01\0;"
    return b"GIF89a" + size + b"\x80\0\0" + palette + frame + bytes(max(0, 44 - 19 - len(frame)))


def avif_bytes(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height)).save(out, "AVIF", quality=1, speed=10)
    return out.getvalue()


def huge_tiff(side: int, *, big: bool = True) -> bytes:
    """A tiled TIFF of which every tile is the same one."""
    tile = np.zeros((512, 512, 3), dtype=np.uint8)
    return tiff_bytes([TiffDirectory(tile, tile=512, declared=(side, side))], big=big)


def little_tiff(loop_to: int | None = None, pages: int = 1) -> bytes:
    return tiff_bytes([TiffDirectory(picture(64, 48), tile=16) for _ in range(pages)], loop_to=loop_to)


def declaring_tiff(width: int, height: int) -> bytes:
    return tiff_bytes([TiffDirectory(picture(8, 8), tags={256: width, 257: height})])


def one_tile_tiff(side: int) -> bytes:
    return tiff_bytes([TiffDirectory(picture(16, 16), tile=16, tags={322: side, 323: side})])


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
SVG_WITH_LINK = SVG.replace(b"file:///etc/passwd", b"http://127.0.0.1/x.png")
FAR_DIRECTORY = b"II*\0" + struct.pack("<I", 2**31)
MANY_TAGS = b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**40) + bytes(400)
PADDING = bytes(4_000_000)

CASES: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "44 bytes of GIF": ("a.gif", lambda: gif_bytes(65_535, 65_535), "raise max_expansion if you trust it"),
    "PNG of 2^62 pixels": ("a.png", lambda: png_bytes(8, 8, (2**31 - 1, 2**31 - 1)), "shrink it or raise max_pixels"),
    "PNG of 2 gigapixels": ("a.png", lambda: png_bytes(8, 8, (45_000, 45_000)) + PADDING, "raise max_scratch_bytes"),
    "PNG that ends too soon": ("a.png", lambda: png_bytes(8, 8, (5_000, 4_000)), "truncated or damaged"),
    "PNG without pixels": ("a.png", lambda: png_bytes(8, 8, (0, 0)), "unsupported file"),
    "little AVIF": ("a.avif", lambda: avif_bytes(9_000, 9_000), "raise max_expansion"),
    "TIFF of one tile, many times": ("a.tif", lambda: huge_tiff(400_000), "raise max_expansion"),
    "TIFF of 2^62 pixels": ("a.tif", lambda: declaring_tiff(2**31, 2**31), "raise max_pixels"),
    "TIFF of one huge tile": ("a.tif", lambda: one_tile_tiff(20_000), "raise max_decoded_pixels"),
    "TIFF without pixels": ("a.tif", lambda: declaring_tiff(0, 8), "the image has no pixels (0 x 8)"),
    "directory that is its own next": ("a.tif", lambda: little_tiff(loop_to=0), "lead in a circle after 1"),
    "directories in a circle": ("a.tif", lambda: little_tiff(loop_to=1, pages=3), "lead in a circle after 3"),
    "directory beyond the end": ("a.tif", lambda: FAR_DIRECTORY, "truncated or damaged"),
    "no directory": ("a.tif", lambda: b"II*\0" + bytes(40), "it has no directory"),
    "2^40 tags": ("a.tif", lambda: MANY_TAGS, "truncated or damaged"),
    "EPS": ("a.eps", lambda: EPS, "PostScript"),
    "EPS named png": ("a.png", lambda: EPS, "PostScript"),
    "SVG": ("a.svg", lambda: SVG, "SVG"),
    "SVG named jpg": ("a.jpg", lambda: b'<?xml version="1.0"?>' + SVG_WITH_LINK, "SVG"),
    "empty": ("a.tif", lambda: b"", "empty"),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, float]]:
    """What became of each case, all read by one fresh process, and how much memory it had taken by then (MiB)."""
    folder = tmp_path_factory.mktemp("hostile")
    paths = []
    for number, (name, make, _) in enumerate(CASES.values()):
        (folder / str(number)).mkdir()
        paths.append(folder / str(number) / name)
        paths[-1].write_bytes(make())
    harmless = [folder / "harmless.png", folder / "harmless.gif", folder / "harmless.avif"]
    for path in harmless:
        Image.fromarray(picture(64, 64)).save(path)
    return dict(zip(CASES, peak_mib(*harmless, *paths), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_file_is_a_clear_error_and_memory_stays_flat(
    case: str, results: dict[str, tuple[str, float]]
) -> None:
    message, mib = results[case]
    assert CASES[case][2] in message
    assert "\n" not in message
    assert mib < FLAT_MIB


def test_what_is_too_large_for_memory_is_decoded_to_disk(tmp_path: Path) -> None:
    """A PNG of 580 kB that is 588 MB of pixels, and a TIFF of 400 megapixels: both are read, in flat memory."""
    harmless = [tmp_path / f"{n}.png" for n in range(3)]
    for path in harmless:
        Image.fromarray(picture(64, 64)).save(path)
    (tmp_path / "large.png").write_bytes(png_bytes(14_000, 14_000))
    noise = tiff_bytes([TiffDirectory(picture(512, 512), tile=512, declared=(20_000, 20_000))], big=True)
    (tmp_path / "large.tif").write_bytes(noise)
    for message, mib in peak_mib(*harmless, tmp_path / "large.tif", tmp_path / "large.png"):
        assert message == "read"
        assert mib < FLAT_MIB


def test_limits_named_in_errors_can_be_raised(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(huge_tiff(100_000))
    with pytest.raises(IngestError, match="raise max_expansion"):
        open_image(path)
    source = open_image(path, IngestLimits(max_expansion=1_000_000))
    assert source.size == (100_000, 100_000)
    assert (source.read((99_000, 99_000, 1000, 1000)) == 0).all()
    with pytest.raises(IngestError, match="raise max_pixels"):
        open_image(path, IngestLimits(max_expansion=1_000_000, max_pixels=10**10 - 1))


def peak_mib(*paths: Path) -> list[tuple[str, float]]:
    """What becomes of files, read one after the other by a fresh process, and the memory taken by then (MiB)."""
    argv = [sys.executable, "-c", READ_ALL, *map(str, paths)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
    assert done.stderr == ""
    return [(message, mib) for message, mib in json.loads(done.stdout)]


@pytest.mark.parametrize("suffix", ["tif", "png", "jpg"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_file_is_an_error_for_libvips_too(tmp_path: Path, suffix: str, share: float) -> None:
    """Of a tiled TIFF the directory may stand before or behind the pixels; both are noticed without decoding all."""
    path, small = tmp_path / f"a.{suffix}", IngestLimits(max_decoded_pixels=1)
    image = pyvips.Image.new_from_array(picture(300, 200))
    image.write_to_file(str(path), **({"tile": True, "tile_width": 64, "tile_height": 64} if suffix == "tif" else {}))
    content = path.read_bytes()
    assert read(path, limits=small).kind == "image"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(IngestError, match=r"truncated or damaged|unsupported file") as caught:
        read(path, limits=small)
    assert "\n" not in str(caught.value)


def test_a_tile_that_is_damaged_is_an_error_where_it_is_read(tmp_path: Path) -> None:
    """Damage that the codec notices, that is: deflate, as TIFF uses it, checks no sums."""
    path = tmp_path / "a.tif"
    image = picture(512, 512)
    pyvips.Image.new_from_array(image).tiffsave(str(path), tile=True, compression="deflate")
    with Image.open(path) as tags:
        (start, *_) = tags.tag_v2[324][5:]  # type: ignore[attr-defined]
    content = bytearray(path.read_bytes())
    content[start : start + 64] = b"\xff" * 64
    path.write_bytes(content)
    source = open_image(path, IngestLimits(max_decoded_pixels=1))
    bad = (128, 128)  # the sixth of four in a row
    for x, y in ((x, y) for y in range(0, 512, 128) for x in range(0, 512, 128)):
        if (x, y) == bad:
            for _ in range(3):
                with pytest.raises(IngestError, match="truncated or damaged"):
                    source.read((x, y, 128, 128))
        else:
            np.testing.assert_array_equal(source.read((x, y, 128, 128)), image[y : y + 128, x : x + 128])


def test_the_first_frame_of_an_animation_is_the_image(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue", "lime")]
    for suffix in ("gif", "png", "webp", "tif", "avif"):
        path = tmp_path / f"a.{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:])
        assert read(path).n_pages == (3 if suffix == "tif" else 1)  # pages, which no other format has
        pixels = open_image(path).read((0, 0, 40, 30)).astype(int)
        assert np.abs(pixels - [255, 0, 0]).max() <= LOSSY_TOLERANCE
    for limits in (IngestLimits(), IngestLimits(max_decoded_pixels=1)):
        np.testing.assert_array_equal(open_image(tmp_path / "a.tif", limits).read((0, 0, 1, 1)), [[[255, 0, 0]]])
