"""Contexts that begin as the one before them, against each read afresh."""

from __future__ import annotations

import pytest
import torch

from mm_megacontext.bases.hf.decoder import Gist
from mm_megacontext.bases.hf.embedded import Embedded
from mm_megacontext.bases.hf.refocus import Refocus
from tests.bases.hf.test_decoder import HOLE, decoder, gist, with_hole
from tests.bases.hf.tiny_families import FAMILIES, SEEING, prompt

N = 8


def opened(family: str, at: int) -> Embedded:
    """The prompt with the places of a gist taken by tokens: the block was opened."""
    told, _ = with_hole(family, n=5)
    told["input_ids"][0, at : at + 5] = torch.tensor([7, 8, 9, 10, 11])
    return decoder(family).embed(told)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_unchanged_at_the_beginning_is_read_once(family: str) -> None:
    reader = decoder(family)
    told, at = with_hole(family)
    shut = reader.embed(told, [gist(reader)], HOLE)
    other = reader.embed(told, [gist(reader, seed=5)], HOLE)
    steps = [shut, other, opened(family, at), shut, shut]
    refocus, reused = Refocus(reader), []
    for step in steps:
        assert refocus.generate(step, N, ()) == reader.generate(step, N, ())
        reused.append(refocus.reused)
    assert reused == [0, at, at, at, len(shut) - 1]


@pytest.mark.parametrize("family", SEEING)
def test_a_picture_is_never_cut(family: str) -> None:
    """Two pictures that begin alike: the part that is alike is read again with the rest."""
    reader = decoder(family)
    before = reader.embed(prompt(family))
    after = reader.embed(prompt(family))
    places = (after.image == 0).nonzero()[:, 0].tolist()
    after.vectors[places[-1]] += 1
    assert before.common(after) == places[0]
    refocus = Refocus(reader)
    for whole in (before, after):
        assert refocus.generate(whole, N, ()) == reader.generate(whole, N, ())
    assert refocus.reused == places[0]


def test_an_error_on_the_way_leaves_nothing_to_be_reused(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = decoder("llama")
    whole = reader.embed(prompt("llama"))
    refocus = Refocus(reader)
    refocus.generate(whole, 1, ())

    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(type(reader), "logits", fail)
    with pytest.raises(RuntimeError):
        refocus.generate(whole, 1, ())
    monkeypatch.undo()
    refocus.generate(whole, 1, ())
    assert refocus.reused == 0


@pytest.mark.parametrize("turned", [False, True])
def test_a_picture_that_goes_on_in_one_of_two_contexts_is_cut_in_neither(turned: bool) -> None:
    whole = decoder("internvl").embed(prompt("internvl"))
    image = whole.image.clone()
    places = (whole.image == 0).nonzero()[:, 0].tolist()
    image[places[-1] + 1] = 0  # text behind the picture, taken for a part of it
    both = [whole, Embedded(whole.vectors, whole.positions, image)]
    first, second = both[::-1] if turned else both
    assert first.common(second) == places[0]


def test_a_spread_alone_is_a_difference() -> None:
    reader = decoder("llama")
    told, at = with_hole("llama")
    narrow, wide = (reader.embed(told, [Gist(gist(reader).vectors, n)], HOLE) for n in (9, 90))
    assert narrow.common(wide) == at
