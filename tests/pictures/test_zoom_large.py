"""A zoom into 240 megapixels, from the file to the picture, by a base that sees and a lens that knows where to look.

Oracles: libvips' own crop of the file; the kernel's high-water mark (VmHWM) of a fresh process.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image

from mm_megacontext.answer import Answer
from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.cli.main import main
from mm_megacontext.image_files.vips_file import VipsFile
from mm_megacontext.limits import IngestLimits
from mm_megacontext.memory import MegaContext
from mm_megacontext.pictures.zoom_layout import choose_close_up, lay_out, overview_level
from mm_megacontext.reading.base import Pointed, Reading
from mm_megacontext.reading.lens import Lens
from mm_megacontext.reading.working_context import Entry
from mm_megacontext.vision.sources.files import open_to_look_at
from mm_megacontext.vision.sources.source import level_size

SIZE = (20_000, 12_000)
TARGET = (14_224, 3_904, 14_304, 3_968)
"""What the base points at: 5 x 4 patches of one tile."""
MOST_READ = 1_100_000
"""Pixels: the reduced copy of 1250 x 750 that the overview is, and a close-up."""
MOST_MIB = 100
"""Of memory, besides what an empty process with the same modules takes; the image has 687."""


@pytest.fixture(scope="module")
def tiff(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A coast-like texture that repeats, with grain, and a dark square with a white one in it where the target is."""
    height = pyvips.Image.perlin(2000, 1200, cell_size=200) + pyvips.Image.perlin(2000, 1200, cell_size=40) * 0.4
    texture = ((height + 1.4) * 90).bandjoin([(height + 1.2) * 80, (1.4 - height) * 90])
    grain = pyvips.Image.gaussnoise(2000, 1200, mean=0, sigma=6)
    image = (texture + grain).cast("uchar").copy(interpretation="srgb").copy_memory().replicate(10, 10)
    left, top, right, bottom = TARGET
    image = image.draw_rect([20, 20, 30], left, top, right - left, bottom - top, fill=True)
    image = image.draw_rect([250, 250, 240], left + 30, top + 20, 20, 20, fill=True)
    path = tmp_path_factory.mktemp("zoom") / "coast.tif"
    image.tiffsave(str(path), tile=True, tile_width=256, tile_height=256, pyramid=True, compression="jpeg", Q=85)
    return path


@pytest.fixture(scope="module")
def memory(tiff: Path) -> Path:
    assert main(["ingest", str(tiff), "--memory", str(tiff.parent / "memory")]) == 0
    return tiff.parent / "memory"


def overlaps(box: Sequence[float]) -> bool:
    return bool(box[0] < TARGET[2] and box[2] > TARGET[0] and box[1] < TARGET[3] and box[3] > TARGET[1])


def read_patches(entries: Sequence[Entry], question: str, t_end: float) -> Reading:
    pointed = [
        Pointed(entry.id, i, 0.9)
        for entry in entries
        if entry.leaves is not None
        for i, box in enumerate(entry.leaves.boxes.tolist())
        if overlaps(box)
    ]
    return Reading("a window", bool(pointed), tuple(pointed), 0.99)


@pytest.fixture
def answer(memory: Path, monkeypatch: pytest.MonkeyPatch) -> Answer:
    base = NativeBase.from_pretrained()
    lens = Lens.from_pretrained(base.id)
    monkeypatch.setattr(base, "modalities", ("text", "image"))
    monkeypatch.setattr(base, "read", read_patches)
    monkeypatch.setattr(
        lens, "score", lambda entries, words: np.array([0.9 if overlaps(e.node.bbox) else -0.9 for e in entries])
    )
    with MegaContext.open(memory, base=base, lens=lens) as opened:
        return opened.ask("What is in the square?", budget=400)


def test_patches_are_evidence_and_are_shown_as_they_are(
    tiff: Path, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (evidence,) = answer.evidence
    assert (evidence.bbox, evidence.unit, evidence.text) == (tuple(map(float, TARGET)), "px", "")
    n_read = 0
    original = VipsFile.read

    def counted(file: VipsFile, x: int, y: int, width: int, height: int) -> Any:
        nonlocal n_read
        n_read += width * height
        return original(file, x, y, width, height)

    def in_this_process(uri: str, limits: IngestLimits | None, *, is_looked_at: bool, page: int) -> Any:
        """So that what is decoded can be counted."""
        assert is_looked_at
        return nullcontext(open_to_look_at(uri, limits, page))

    monkeypatch.setattr(VipsFile, "read", counted)
    monkeypatch.setattr("mm_megacontext.pictures.answer_picture.IsolatedImage", in_this_process)
    picture = np.asarray(answer.show())
    assert 0 < n_read < MOST_READ
    close_up = choose_close_up(evidence.bbox, SIZE)
    layout = lay_out(level_size(SIZE, overview_level(SIZE)), close_up.size, 11)
    assert picture.shape[1::-1] == layout.size
    assert layout.close_up is not None
    assert close_up.level == 0
    times = close_up.magnification
    x = layout.close_up[0] + (TARGET[0] - close_up.area[0]) * times
    y = layout.close_up[1] + (TARGET[1] - close_up.area[1]) * times
    crop = pyvips.Image.new_from_file(str(tiff)).crop(*TARGET[:2], TARGET[2] - TARGET[0], TARGET[3] - TARGET[1]).numpy()
    expected = crop.repeat(times, axis=0).repeat(times, axis=1)
    np.testing.assert_array_equal(picture[y : y + expected.shape[0], x : x + expected.shape[1]], expected)


def test_the_command_draws_it(memory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The base of the package does not see: it finds nothing, and the picture is the overview."""
    shown = tmp_path / "shown.png"
    assert main(["ask", str(memory), "What is in the square?", "--show", str(shown)]) == 0
    assert "not found" in capsys.readouterr().out
    with Image.open(shown) as drawn:
        assert drawn.size == lay_out(level_size(SIZE, overview_level(SIZE)), None, 0).size


MEASURED = """
import re, sys
from mm_megacontext.pictures.evidence_page import EvidenceBox
from mm_megacontext.image_files.vips_file import load_pyvips
from mm_megacontext.vision.sources.files import open_image
from mm_megacontext.pictures.zoom_picture import draw_zoom

def highest():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1024

load_pyvips()
before = highest()
draw_zoom(open_image(sys.argv[1]), [], [EvidenceBox((14224.0, 3904.0, 14304.0, 3968.0))], "")
print("MiB:", highest() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the high-water mark is read from /proc")
@pytest.mark.parametrize("kind", ["pyramid", "png"])
def test_memory_does_not_grow_with_the_image(tiff: Path, kind: str) -> None:
    path = tiff
    if kind == "png":
        path = tiff.with_suffix(".png")
        pyvips.Image.new_from_file(str(tiff), access="sequential").pngsave(str(path), compression=1)
    done = subprocess.run([sys.executable, "-c", MEASURED, str(path)], capture_output=True, text=True, check=True)
    if kind == "png":
        path.unlink()  # pytest keeps its directories, and this takes half a gigabyte
    found = re.search(r"MiB: ([\d.]+)", done.stdout)
    assert found is not None
    assert float(found[1]) < MOST_MIB * (1 if kind == "pyramid" else 2)
