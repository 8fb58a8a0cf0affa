"""Images that do not fit in memory, through the real entry point. Oracle: the array that was written to the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image

from mm_megacontext.cli.main import main
from mm_megacontext.store.store import Store
from mm_megacontext.vision.pages import PageImages
from tests.images import hide_libvips
from tests.vision.sources.test_hostile import gif_bytes
from tests.vision.sources.test_raster import picture

SMALL = ["--limit", "max_decoded_pixels=1000"]


def tiled_tiff(path: Path) -> Path:
    pyvips.Image.new_from_array(picture(600, 400)).tiffsave(str(path), tile=True, pyramid=True, compression="deflate")
    return path


def test_ingest_ask_and_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, memory, shown = tiled_tiff(tmp_path / "a.tif"), tmp_path / "memory", tmp_path / "show.png"
    assert main(["ingest", str(path), "--memory", str(memory), *SMALL]) == 0
    assert main(["verify", str(memory)]) == 0
    with Store.open(memory) as store:
        (record,) = store.sources()
        np.testing.assert_array_equal(record.page_sizes, [[600, 400]])
    with PageImages(record.uri, "image") as images:
        np.testing.assert_array_equal(images.page(1).read((0, 0, 600, 400)), picture(600, 400))
    assert main(["ask", str(memory), "What is it?", "--show", str(shown), *SMALL]) == 0
    with Image.open(shown) as drawn:
        assert min(drawn.size) >= 400
    capsys.readouterr()


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("max_pixel=9", "NAME is one of max_pixels, max_decoded_pixels"),
        ("max_pixels=0", "must be at least 1"),
        ("max_pixels", "N is a whole number"),
    ],
)
def test_limits_that_are_none(argument: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tiled_tiff(tmp_path / "a.tif")
    assert main(["ingest", str(path), "--memory", str(tmp_path / "memory"), "--limit", argument]) == 2
    assert said in capsys.readouterr().err


def test_a_bomb_is_one_line_that_names_its_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, memory = tmp_path / "bomb.gif", tmp_path / "memory"
    path.write_bytes(gif_bytes(65_535, 65_535))
    for options, said in (
        ([], "raise max_expansion"),
        (["--limit", "max_expansion=1000000000"], "raise max_decoded_pixels"),
    ):
        assert main(["ingest", str(path), "--memory", str(memory), *options]) == 65
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
        assert not memory.exists()


def test_without_libvips_the_other_files_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    tiled_tiff(tmp_path / "in" / "large.tif")
    (tmp_path / "in" / "words.txt").write_text("The deposit is 840 EUR.")
    hide_libvips(monkeypatch, tmp_path / "modules")
    assert main(["ingest", str(tmp_path / "in"), "--memory", str(tmp_path / "memory"), *SMALL]) == 3
    out, err = capsys.readouterr()
    assert "words.txt" in out
    assert "pip install 'mm-megacontext[vips]'" in err
