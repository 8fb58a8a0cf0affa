"""The finder. Oracles: objects whose place is known, read by a net that is made to see one colour."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from mm_megacontext.bases.finder import Finder
from mm_megacontext.bases.looks import Looks
from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.reading.lens import Lens
from mm_megacontext.reading.union_lens import UnionLensConfig, UnionLensNet
from mm_megacontext.reading.working_context import Entry
from mm_megacontext.tree.nodes import Leaves, Node, NodeId, PatchGrid, PixelRef
from mm_megacontext.vision.gists.gistnet import Cells
from mm_megacontext.vision.gists.union_net import UnionNet, UnionNetConfig
from mm_megacontext.vision.quadtree.build import read_leaf_pixels
from mm_megacontext.vision.sources.source import ArraySource

WIDTH, HEIGHT = 300, 200
RED = (250, 10, 10)


HALF = 80


class Redness(UnionNet):
    """The code of a patch is how red it is, in half of the coordinates; the others are the same everywhere."""

    def codes(self, cells: Cells) -> torch.Tensor:
        red = cells.cleared()[:, :, :, 0, 134:135].clamp(min=0)  # the first of the coordinates of Cr
        code = torch.cat((red.expand(-1, -1, -1, HALF), torch.full_like(red, 0.1).expand(-1, -1, -1, HALF)), dim=-1)
        return code * cells.exist[..., None]


class Any(UnionLensNet):
    """Asks for red, whatever the question."""

    def ask(self, question: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        asked = torch.zeros(len(question), self.config.gist_dim + 1)
        asked[:, :HALF], asked[:, -1] = 100.0, 50.0
        return asked

    def match(self, gists: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
        return (gists @ asked[:, :-1, None]).squeeze(-1) - asked[:, -1:]


@cache
def words() -> NativeBase:
    return NativeBase.from_pretrained()


def finder() -> Finder:
    net = Redness(UnionNetConfig(dim=words().dim))
    return Finder(words(), words().encoder, net, Any(UnionLensConfig(base=words().id, gist_dim=words().dim)))


def tiles(pixels: np.ndarray) -> list[Entry]:
    """All tiles of an image, expanded."""
    source = ArraySource(pixels)
    entries: list[Entry] = []
    for y in range(0, HEIGHT, 128):
        for x in range(0, WIDTH, 128):
            ref = PixelRef(1, 0, x, y, min(128, WIDTH - x), min(128, HEIGHT - y))
            grid = PatchGrid(x, y, ref.width, ref.height, 0, WIDTH, HEIGHT, 1.0, 0)
            id, moments, none = NodeId(1, len(entries)), grid.moments(), np.zeros(0)
            node = Node(
                id=id, first=id, last=id, children=(), lod=1, modality="image", kind="tile", page=1, last_page=1,
                bbox=(x, y, x + ref.width, y + ref.height), t_span=(0, 1), n_leaves=len(grid), mu=moments.mean,
                sigma=np.sqrt(moments.variance), gist=np.zeros((1, 160), np.float16), pixels=ref,
            )  # fmt: skip
            leaves = Leaves(grid.mu(), grid.boxes(), none.astype(np.int64), none.astype(np.uint8))
            entries.append(Entry(node, replace(leaves, pixels=read_leaf_pixels(source, ref))))
    return entries


@pytest.mark.parametrize(("x", "y"), [(32, 48), (160, 16), (272, 176), (256, 0)])
def test_it_points_at_the_patches_that_match(x: int, y: int) -> None:
    """In every tile, those cut by the edge of the image too."""
    pixels = np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8)
    pixels[y : y + 16, x : x + 16] = RED
    reading = finder().read(tiles(pixels), "Where is the red square?", 1)
    assert reading.found
    assert reading.text == f"[{x} {y} {min(x + 16, WIDTH)} {min(y + 16, HEIGHT)}]"
    assert len(reading.pointed) == 1
    assert reading.pointed[0].mass == reading.confidence > 0.5


def test_the_tile_that_matches_best_is_pointed_at() -> None:
    pixels = np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8)
    pixels[0:16, 0:16] = (160, 60, 60)
    pixels[160:192, 272:288] = RED
    reading = finder().read(tiles(pixels), "Where is the red square?", 1)
    assert reading.text == "[272 160 288 192]"


def test_where_nothing_matches_nothing_is_found() -> None:
    reading = finder().read(tiles(np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8)), "Where is it?", 1)
    assert (reading.text, reading.found, reading.pointed) == ("", False, ())
    assert reading.confidence < 0.5


def test_what_lies_across_an_edge_is_pointed_at_on_both_sides() -> None:
    pixels = np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8)
    pixels[48:80, 112:144] = RED
    reading = finder().read(tiles(pixels), "Where is the red square?", 1)
    assert reading.text == "[112 48 144 80]"
    assert {pointed.node.index for pointed in reading.pointed} == {0, 1}


def test_patches_that_lie_on_another_grid_are_found_too() -> None:
    """As those of a figure that begins anywhere on its page."""
    pixels = np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8)
    pixels[48:64, 32:48] = RED
    first, *_ = tiles(pixels)
    assert first.node.pixels is not None
    moved = replace(first.node, pixels=replace(first.node.pixels, x=7, y=133))
    reading = finder().read([Entry(moved, first.leaves)], "Where is the red square?", 1)
    assert reading.text == "[32 48 48 64]"


def test_the_best_place_and_what_lies_beside_it_are_worth_keeping() -> None:
    pixels = np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8)
    pixels[48:80, 112:144] = RED
    sharp = tiles(pixels)
    shut = [Entry(entry.node, None) for entry in sharp]
    worth = finder().judge("Where is it?")([sharp[0], *shut[1:]])
    assert worth[0] == worth[1] == 1.0, "the tile, and the one that holds the other half"
    assert np.isnan(worth[2:]).all()
    assert np.isnan(finder().judge("Where is it?")(shut)).all()


def test_tiles_with_nothing_alike_make_room() -> None:
    pixels = np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8)
    pixels[48:64, 32:48] = RED
    pixels[170:186, 40:56] = (200, 50, 50)
    judge = finder().judge("Where is it?")
    worth = judge(tiles(pixels))
    assert worth[0] == 1.0
    assert (worth[[1, 2, 4, 5]] < 0).all()


def test_a_judge_looks_again_when_a_tile_beside_is_opened() -> None:
    pixels = np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8)
    pixels[48:80, 120:152] = RED
    looks = finder().judge("Where is it?")
    assert isinstance(looks, Looks)
    sharp = tiles(pixels)
    alone = looks.at(sharp[:1])[0].likeness
    assert looks.at(sharp[:2])[0].likeness >= alone
    assert looks.at(sharp[:1])[0].likeness == alone


def test_without_sharp_tiles_or_a_question_there_is_no_answer() -> None:
    sharp = tiles(np.full((HEIGHT, WIDTH, 3), RED, dtype=np.uint8))
    gists = [Entry(entry.node, None) for entry in sharp]
    assert finder().read(gists, "Where is it?", 1).pointed == ()
    assert finder().read(sharp, " ", 1).pointed == ()


def test_a_lens_of_another_kind_is_refused(tmp_path: Path) -> None:
    Lens.from_pretrained(words().id).save_pretrained(tmp_path / "lens")
    with pytest.raises(ValueError, match="a finder needs a UnionLensNet"):
        Finder.from_pretrained(tmp_path, words())
