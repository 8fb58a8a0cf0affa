"""``--base`` and ``--encoder``: a memory is made with some models and opened with these only.

Oracles: the encoder's own name; where an object was painted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mm_megacontext.cli.main import main
from mm_megacontext.cli.memory_place import memories_of_file, memory_for_file
from mm_megacontext.models import assemble
from mm_megacontext.training.data.scenes import KINDS, Kind, Scene, Textured, scatter
from mm_megacontext.vision.encoders import ENCODERS
from mm_megacontext.vision.encoders.dct import DctEncoder
from tests.vision.sources.test_raster import picture

BACKBONE = ["--encoder", "timm:vit_tiny_patch16_224", "--encoder-weights", "random"]


class NarrowEncoder(DctEncoder):
    """Does not care which dimension is asked for."""

    def __init__(self, dim: int) -> None:
        super().__init__(24)


class Renamed(DctEncoder):
    """The same by another name."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.name = f"renamed-{dim}"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    Image.fromarray(picture(300, 200)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.fixture
def narrow() -> Iterator[str]:
    ENCODERS.register("narrow", NarrowEncoder)
    yield "narrow"
    ENCODERS.unregister("narrow")


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
        (["--base", "finder", "--encoder", "dct"], "sees with the encoder cnn-160-"),
        (["--model", "psychic"], "no model is named 'psychic'; known: finder, mmctx-tiny, or a directory"),
        (["--model", "."], ".: no base with a lens is there"),
        (["--encoder", "narrow"], "the encoder dct-24 makes vectors of 24, the base mmctx-tiny reads vectors of 160"),
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
    names = [str(assemble(encoder=encoder).identity) for encoder in (None, Renamed(160))]
    first, second = (memory_for_file(image, name) for name in names)
    assert first != second
    assert first == memory_for_file(image, names[0])
    assert first.parent == second.parent == memories_of_file(image)


def test_the_finder_finds_an_object_among_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a picture that no net has seen, of a kind that others there differ from in one thing only."""
    size, kinds = (1000, 700), [Kind("star", "blue", "K"), Kind("star", "blue", "X"), Kind("star", "red", "K")]
    kinds += [Kind("heart", "blue", "K"), Kind("circle", "green", "A"), Kind("cross", "pink", "M")]
    things = scatter(np.random.default_rng(3), size, [KINDS.index(kind) for kind in kinds])
    file = tmp_path / "scene.png"
    Image.fromarray(Scene(size, things, Textured(11)).read((0, 0, *size))).save(file)
    memory, picture_ = tmp_path / "memory", tmp_path / "found.png"
    assert main(["ingest", str(file), "--memory", str(memory), "--model", "finder"]) == 0
    for thing in things:
        question = KINDS[thing.kind].question()
        capsys.readouterr()
        assert main(["ask", str(memory), question, "--base", "finder", "--show", str(picture_), "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        x0, y0, x1, y1 = answer["evidence"][0]["bbox"]
        assert thing.x <= (x0 + x1) / 2 < thing.x + thing.size, question
        assert thing.y <= (y0 + y1) / 2 < thing.y + thing.size, question
    with Image.open(picture_) as drawn:
        assert drawn.size[0] > 300
    assert main(["ask", str(memory), "Where is it?"]) == 2, "the base that reads text has another encoder"
