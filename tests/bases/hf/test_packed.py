"""Several contexts in one forward, against each of them read alone."""

from __future__ import annotations

import pytest
import torch

from mm_megacontext.attention import Lengths
from mm_megacontext.bases.hf import packed
from mm_megacontext.bases.hf.decoder import Decoder, new_cache
from mm_megacontext.bases.hf.embedded import Embedded
from tests.bases.hf.test_decoder import HOLE, SAME, decoder, gist, with_hole
from tests.bases.hf.tiny_families import FAMILIES, prompt, tokens


def contexts(reader: Decoder, family: str) -> list[Embedded]:
    """One with pictures where there are any, one with gists, and one of a single token."""
    told, _ = with_hole(family, seed=1)
    return [
        reader.embed(prompt(family)),
        reader.embed(tokens(1, seed=2)),
        reader.embed(told, [gist(reader)], HOLE),
        reader.embed(tokens(11, seed=3)),
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_packed_batch_equals_the_contexts_one_by_one(family: str) -> None:
    reader = decoder(family)
    own = contexts(reader, family)
    with torch.inference_mode():
        alone = torch.stack([reader.logits(one)[-1] for one in own])
        together = torch.stack([logits for logits, _ in packed.prefill(reader, own)])
    torch.testing.assert_close(together, alone, rtol=0, atol=SAME)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_goes_on_with_a_cache_of_its_own(family: str) -> None:
    reader = decoder(family)
    own = contexts(reader, family)
    with torch.inference_mode():
        caches = [cache for _, cache in packed.prefill(reader, own)]
    for one, cache in zip(own, caches, strict=True):
        assert cache.get_seq_length() == len(one)
    longer = [one.followed_by(reader.embed_tokens(torch.tensor([9, 11]))) for one in own]
    with torch.inference_mode():
        for one, cache in zip(longer, caches, strict=True):
            onward = reader.logits(one, cache, len(one) - 2)
            torch.testing.assert_close(onward, reader.logits(one, new_cache()), rtol=0, atol=SAME)


def test_the_models_attention_is_its_own_again_even_after_an_error() -> None:
    reader = decoder("llama")
    own = reader.model.config._attn_implementation
    with pytest.raises(RuntimeError), packed._packing(reader.model, Lengths.full([1])):
        raise RuntimeError
    assert reader.model.config._attn_implementation == own != packed.NAME
