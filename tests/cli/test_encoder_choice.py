"""``--encoder``: a memory is made with an encoder and opened with that one only. Oracle: the encoder's own name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from mm_megacontext.cli.main import main
from mm_megacontext.memory_place import memory_for_file
from mm_megacontext.vision.encoders import create_encoder, register_encoder, registry
from mm_megacontext.vision.encoders.dct import DctEncoder
from tests.vision.test_raster import picture

BACKBONE = ["--encoder", "timm:vit_tiny_patch16_224", "--encoder-weights", "random"]


class NarrowEncoder(DctEncoder):
    """Does not care which dimension is asked for."""

    def __init__(self, dim: int) -> None:
        super().__init__(24)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    Image.fromarray(picture(300, 200)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(registry, "_factories", dict(registry._factories))
    register_encoder("narrow", NarrowEncoder)
    return "narrow"


def inspected(memory: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["inspect", str(memory), "--json"]) == 0
    return str(json.loads(capsys.readouterr().out)["encoder"])


def test_a_memory_is_opened_with_the_encoder_that_made_it(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("timm")
    memory = image.parent / "memory"
    assert main(["ingest", str(image), "--memory", str(memory), *BACKBONE]) == 0
    name = inspected(memory, capsys)
    assert name.startswith("timm:vit_tiny_patch16_224-128px-")
    assert main(["verify", str(memory)]) == 0
    assert main(["ask", str(memory), "What is it?", *BACKBONE]) == 0
    capsys.readouterr()
    for again in (["ask", str(memory), "What is it?"], ["ingest", str(image), "--memory", str(memory)]):
        assert main(again) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert name in line
        assert "open it with what made it" in line


def test_the_default_can_be_named(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    memory = image.parent / "memory"
    assert main(["ingest", str(image), "--memory", str(memory), "--encoder", "dct"]) == 0
    assert main(["ask", str(memory), "What is it?"]) == 0
    assert inspected(memory, capsys).startswith("dct-")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--encoder", "psychic"], "no encoder is named 'psychic'; known: dct"),
        (["--encoder", "timm:vit_tiny_patch16_224"], "say which, with --encoder-weights pretrained"),
        (["--encoder", "dct", "--encoder-weights", "random"], "dct is no backbone"),
        (["--encoder-weights", "random"], "--encoder-weights goes with --encoder"),
        (["--encoder", "narrow"], "dct-24 makes vectors of 24 from patches of 16 px, mmctx-tiny-"),
    ],
)
def test_an_encoder_that_does_not_fit_leaves_nothing_behind(
    image: Path, narrow: str, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    memory = image.parent / "memory"
    assert main(["ingest", str(image), "--memory", str(memory), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not memory.exists()


def test_a_file_that_is_asked_has_a_memory_for_each_encoder(image: Path) -> None:
    name = create_encoder("dct", 24).name
    assert memory_for_file(image) != memory_for_file(image, name) == memory_for_file(image, name)
