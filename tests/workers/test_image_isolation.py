"""Decoders of images that hang, crash and eat memory, as a libvips that does so. Oracle: what each was told to do."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from mm_megacontext.errors import IngestError, LimitExceeded
from mm_megacontext.layout.reader import read
from mm_megacontext.limits import IngestLimits
from mm_megacontext.memory import MegaContext
from mm_megacontext.vision.pages import PageImages
from mm_megacontext.vision.sources.files import open_image, open_to_look_at, read_overview
from mm_megacontext.vision.sources.isolated import IsolatedImage
from mm_megacontext.workers import pool as worker_pool
from mm_megacontext.workers import start as worker_start
from mm_megacontext.workers.answers import check_answer
from mm_megacontext.workers.client import image_file
from mm_megacontext.workers.messages import (
    Identified,
    Identify,
    OpenPixels,
    PixelRows,
    PixelsOpened,
    Purpose,
    ReadPixels,
)
from mm_megacontext.workers.process import WorkerFailed, WorkerProcess
from mm_megacontext.workers.wire import BadMessage

LIMITS = IngestLimits(max_decoded_pixels=1, image_seconds=60.0, image_cpu_seconds=1.0, image_bytes=1 << 30)
"""Every image is one for libvips; processor time, which a busy machine does not shorten, is what stops most."""

_LIBVIPS = """
import ctypes, os, signal, time

class Error(Exception):
    pass

def cache_set_max(n):
    {misdeed}
"""

MISDEEDS = {
    "hangs": ("while True: pass", "limit_time", "raise image_cpu_seconds"),
    "sleeps": ("time.sleep(3600)", "limit_time", "raise image_seconds"),
    "aborts": ("os.abort()", "engine_crash", "the image decoder crashed (SIGABRT)"),
    "reads address 0": ("ctypes.string_at(0)", "engine_crash", "the image decoder crashed (SIGSEGV)"),
    "leaves": ("os._exit(0)", "engine_crash", "the image decoder crashed (exit code 0)"),
    "eats 8 GB": ("hoard = [bytearray(1 << 28) for _ in range(32)]", "limit_memory", "raise image_bytes"),
    "raises": ("raise RuntimeError('broken\\nstream')", "corrupt", "the image cannot be read"),
}
OTHER_LIMITS: dict[str, dict[str, Any]] = {
    "sleeps": {"image_seconds": 2.0},
    "eats 8 GB": {"image_cpu_seconds": 30.0},  # memory takes time to be had
}


def noise(width: int, height: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "files" / "b.png"
    path.parent.mkdir()
    Image.fromarray(noise(300, 200)).save(path)
    return path


@pytest.fixture(autouse=True)
def _no_worker_stays() -> None:
    """Workers of other tests would hold other modules."""
    worker_pool.close_all()


def install_libvips(monkeypatch: pytest.MonkeyPatch, directory: Path, misdeed: str) -> None:
    """Put a ``pyvips`` that does this when it is first used before the real one."""
    directory.mkdir()
    (directory / "pyvips.py").write_text(_LIBVIPS.format(misdeed=misdeed))
    monkeypatch.syspath_prepend(str(directory))


@pytest.mark.parametrize("what", MISDEEDS)
def test_a_decoder_that_misbehaves_is_an_error_of_its_file(
    what: str, png: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    misdeed, code, message = MISDEEDS[what]
    install_libvips(monkeypatch, tmp_path / "plugin", misdeed)
    limits = replace(LIMITS, **OTHER_LIMITS.get(what, {}))
    with pytest.raises(IngestError) as caught:
        read(png, limits=limits, ocr="off")
    assert caught.value.code == code
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, LimitExceeded) == code.startswith("limit_")
    with pytest.raises(IngestError) as again, PageImages(str(png), "image", limits=limits) as images:
        images.page(1)
    assert again.value.code == code


def test_the_rest_of_a_directory_goes_on(png: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_libvips(monkeypatch, tmp_path / "plugin", MISDEEDS["aborts"][0])
    (png.parent / "a.txt").write_text("The rent is 7 pounds.")
    Image.fromarray(noise(9, 9)).save(png.parent / "c.png")
    with MegaContext.open(tmp_path / "memory", limits=IngestLimits(max_decoded_pixels=100)) as memory:
        report = memory.ingest(png.parent, ocr="off")
    assert [(Path(failed.uri).name, failed.code) for failed in report.failed] == [("b.png", "engine_crash")]
    assert [Path(source.uri).name for source in report.ingested] == ["a.txt", "c.png"]


def test_nothing_is_decoded_here(png: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the format, and where a file without a signature may be one."""
    Image.fromarray(noise(40, 30)).save(tmp_path / "files" / "a.tga")
    Image.fromarray(noise(40, 30)).save(tmp_path / "files" / "a.tif")
    expected = {path: open_image(path).read((5, 6, 20, 10)) for path in png.parent.iterdir()}

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("Pillow was given a file")

    monkeypatch.setattr(Image, "open", refuse)
    for path, pixels in expected.items():
        assert read(path, ocr="off").n_pages == 1
        with PageImages(str(path), "image") as images:
            np.testing.assert_array_equal(images.page(1).read((5, 6, 20, 10)), pixels)


@pytest.mark.parametrize("limits", [IngestLimits(), IngestLimits(max_decoded_pixels=1)])
def test_pixels_are_those_that_this_process_would_read(
    limits: IngestLimits, png: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside, across the edges, of levels, in pieces, through Pillow and through libvips."""
    pytest.importorskip("pyvips")
    monkeypatch.setattr("mm_megacontext.vision.sources.isolated._PIECE_PX", 64)
    here = open_image(png, limits)
    with IsolatedImage(png, limits) as there:
        assert (there.size, there.n_levels, there.scale) == (here.size, here.n_levels, here.scale)
        for region, level in (((0, 0, 300, 200), 0), ((-9, 150, 90, 90), 0), ((3, 5, 70, 40), 2), ((7, 7, 1, 1), 0)):
            np.testing.assert_array_equal(there.read(region, level), here.read(region, level))
    with IsolatedImage(png, limits, is_looked_at=True) as there:
        np.testing.assert_array_equal(there.read_overview(3), read_overview(open_to_look_at(png, limits), 3))


def test_nothing_stays_on_the_disk(png: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PNG for libvips is decoded to a file; it goes with its reader, and with a worker that was killed."""
    pytest.importorskip("pyvips")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setenv("VIPS_DISC_THRESHOLD", "1")
    worker_start.drop(worker_start.origin())
    image = IsolatedImage(png, LIMITS)
    image.read((0, 0, 10, 10))
    image.close()
    assert list(scratch.iterdir()) == []
    worker_start.drop(worker_start.origin())


def test_a_worker_that_is_killed_while_it_reads(png: Path) -> None:
    """A failure of that read; the next one has another worker."""
    limits = IngestLimits()
    image = IsolatedImage(png, limits)
    (worker,) = [worker for worker in worker_pool._idle if worker.serves == image._file.identity]
    os.kill(worker.pid, signal.SIGSTOP)
    request = ReadPixels(image._file, (0, 0, 10, 10))
    worker = worker_pool.take(limits, image._file)
    worker.ask(request)
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerFailed, match="the image decoder was killed") as caught:
        worker.answer()
    assert caught.value.code == "limit_memory"
    np.testing.assert_array_equal(image.read((0, 0, 10, 10)), noise(300, 200)[:10, :10])


def test_answers_are_checked(png: Path) -> None:
    """An image of more pixels than were allowed, of none, and pixels of no size."""
    file = image_file(png, IngestLimits())
    limits = IngestLimits(max_pixels=100)
    check_answer(PixelsOpened(10, 10, (1.0, 2.0)), OpenPixels(file), limits)
    for opened in (PixelsOpened(101, 1, None), PixelsOpened(0, 5, None), PixelsOpened(5, 5, (0.0, 1.0))):
        with pytest.raises(BadMessage):
            check_answer(opened, OpenPixels(file), limits)
    with pytest.raises(BadMessage, match="5 bytes are not 2 x 1 pixels"):
        check_answer(PixelRows(b"12345"), ReadPixels(file, (0, 0, 2, 1)), limits)


def test_a_worker_tells_what_a_file_is(png: Path) -> None:
    worker = WorkerProcess(IngestLimits(), Purpose("image"))
    worker.ask(Identify(image_file(png, IngestLimits()), True))
    assert worker.answer() == Identified("PNG")
    worker.kill()


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match="no such file") as caught:
        IsolatedImage(tmp_path / "a.png")
    assert caught.value.code == "not_found"
