"""Decoders of all families, tiny and random: what they make of vectors in the place of tokens.

Oracles: the model's own logits and ``generate`` for the same prompt.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from mm_megacontext.bases.hf.decoder import Decoder, Gist, Placement, new_cache
from mm_megacontext.bases.hf.embedded import Embedded, joined
from mm_megacontext.bases.hf.families import FAMILIES as KNOWN
from tests.bases.hf.tiny_families import FAMILIES, SEEING, build, prompt, tokens

SAME = 1e-4
"""Of logits around 1 in float32: the same sums in another order."""
HOLE = 63
"""An id that no prompt has: where gists stand."""


@cache
def decoder(family: str, placement: Placement = "compact") -> Decoder:
    return Decoder(build(family), placement=placement)


def everything(decoder: Decoder, whole: Embedded) -> Tensor:
    """Logits of all entries."""
    with torch.inference_mode():
        return decoder.logits(whole, kept=torch.arange(len(whole)))


def with_hole(family: str, at: int = 12, n: int = 2, seed: int = 0) -> tuple[dict[str, Any], int]:
    """A prompt in whose text places for gists stand ``at`` entries behind its begin, and where they do."""
    told = prompt(family, seed)
    behind = at if family not in SEEING else told["input_ids"].shape[1] - 6
    cut = {name: told[name] for name in ("input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids")
           if name in told}  # fmt: skip
    for name, values in cut.items():
        filler = torch.full((1, n), HOLE if name == "input_ids" else int(name == "attention_mask"))
        told[name] = torch.cat([values[:, :behind], filler, values[:, behind:]], dim=1)
    return told, behind


def gist(decoder: Decoder, n: int = 2, n_leaves: int = 9, seed: int = 1) -> Gist:
    drawn = torch.randn(n, decoder.dim, generator=torch.Generator().manual_seed(seed))
    return Gist(0.3 * drawn, n_leaves)


def test_every_family_that_is_known_is_tried_here() -> None:
    assert set(FAMILIES) == set(KNOWN.names())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_context_of_leaves_alone_gives_the_models_own_logits(family: str) -> None:
    told = prompt(family)
    model = decoder(family).model
    with torch.inference_mode():
        own = model(**told).logits[0]
    assert own.std() > 0.1, "a model that says the same of everything proves nothing"
    found = everything(decoder(family), decoder(family).embed(told))
    torch.testing.assert_close(found, own, rtol=0, atol=SAME)


@pytest.mark.parametrize("family", SEEING)
def test_pictures_count(family: str) -> None:
    """So the test above compares more than text."""
    told, other = prompt(family), prompt(family)
    other["pixel_values"] = -other["pixel_values"]
    seen = [everything(decoder(family), decoder(family).embed(one))[-1] for one in (told, other)]
    assert (seen[0] - seen[1]).abs().max() > 0.01


@pytest.mark.parametrize("family", FAMILIES)
def test_it_says_what_generate_says(family: str) -> None:
    told = prompt(family, seed=3)
    model = decoder(family).model
    n = told["input_ids"].shape[1]
    own = model.generate(**told, max_new_tokens=8, min_new_tokens=8, do_sample=False)[0, n:].tolist()
    assert decoder(family).generate(decoder(family).embed(told), 8, ()) == own
    assert decoder(family).generate(decoder(family).embed(told), 8, {own[3]}) == own[: own.index(own[3])]


@pytest.mark.parametrize("placement", ["compact", "timeline"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_gist_in_the_place_of_leaves_changes_nothing_before_it(family: str, placement: Placement) -> None:
    reader = decoder(family, placement)
    told, at = with_hole(family)
    plain = everything(reader, reader.embed(prompt(family)))
    with_gist = everything(reader, reader.embed(told, [gist(reader)], HOLE))
    assert len(with_gist) == len(plain) + 2
    torch.testing.assert_close(with_gist[:at], plain[:at], rtol=0, atol=SAME)
    assert (with_gist[at + 2 :] - plain[at:]).abs().max() > 0.01


@pytest.mark.parametrize("family", FAMILIES)
def test_a_gist_of_one_leaf_that_is_its_embedding_is_that_leaf(family: str) -> None:
    """No spread, the same place: a cut that is open everywhere, however it is written down."""
    reader = decoder(family)
    told, at = with_hole(family, n=1)
    leaf = torch.tensor([17])
    as_gist = reader.embed(told, [Gist(reader.embed_tokens(leaf), 1)], HOLE)
    told["input_ids"][0, at] = 17
    torch.testing.assert_close(everything(reader, as_gist), everything(reader, reader.embed(told)), rtol=0, atol=SAME)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_spread_of_a_gist_counts(family: str) -> None:
    """The same vectors for more leaves: only the position is wider."""
    reader = decoder(family)
    assert reader.has_spreads
    told, _ = with_hole(family)
    few, many = (everything(reader, reader.embed(told, [gist(reader, n_leaves=n)], HOLE))[-1] for n in (2, 400))
    assert (few - many).abs().max() > 1e-3


def test_what_stands_behind_a_gist_is_moved_on_along_the_timeline() -> None:
    told, at = with_hole("llama", at=4, n=2)
    where = [
        decoder("llama", placement).embed(told, [gist(decoder("llama"), n_leaves=9)], HOLE).positions
        for placement in ("compact", "timeline")
    ]
    compact, timeline = (p.mu[:, 0].tolist() for p in where)
    assert compact[at - 1 : at + 4] == [3, 4, 5, 6, 7]
    assert timeline[at - 1 : at + 4] == [3, 4 + 1.75, 4 + 4.5 + 1.75, 13, 14]  # nine leaves from 4 on, in two halves
    assert where[0].sigma[at].tolist() == where[1].sigma[at].tolist()
    assert where[0].sigma[at, 0].item() == pytest.approx(((4.5**2 - 1) / 12) ** 0.5)


@pytest.mark.parametrize(("n", "said"), [(1, "has 2 places for gists, they have 1 slots"), (0, "there are none")])
def test_places_and_slots_must_fit(n: int, said: str) -> None:
    reader = decoder("llama")
    told, _ = with_hole("llama")
    with pytest.raises(ValueError, match=said):
        reader.embed(told, [gist(reader, 1)] * n, HOLE)


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "qwen3_vl"])
def test_what_a_cache_holds_is_not_read_again(family: str) -> None:
    reader = decoder(family)
    whole = reader.embed(prompt(family))
    cut, n = len(whole) - 5, len(whole)
    kept = new_cache()
    with torch.inference_mode():
        reader.logits(Embedded(whole.vectors[:cut], _first(whole, cut), whole.image[:cut], _deep(whole, cut)), kept)
        found = reader.logits(whole, kept, cut, torch.arange(n - cut))
    torch.testing.assert_close(found, everything(reader, whole)[cut:], rtol=0, atol=SAME)


def _first(whole: Embedded, n: int) -> Any:
    return type(whole.positions)(whole.positions.mu[:n], whole.positions.sigma[:n])


def _deep(whole: Embedded, n: int) -> Tensor | None:
    return None if whole.deep is None else whole.deep[:, :n]


def test_the_model_is_left_as_it_was() -> None:
    reader = decoder("llama")
    told, _ = with_hole("llama")
    everything(reader, reader.embed(told, [gist(reader)], HOLE))
    with torch.inference_mode():
        own = reader.model(**tokens(20)).logits[0]
    torch.testing.assert_close(own, everything(reader, reader.embed(tokens(20))), rtol=0, atol=SAME)


def test_pictures_of_parts_that_are_joined_stay_apart() -> None:
    reader = decoder("gemma3")
    one, two = (reader.embed(prompt("gemma3", seed)) for seed in (0, 1))
    both = joined([one, two])
    assert sorted(set(both.image.tolist())) == [-1, 0, 1]
