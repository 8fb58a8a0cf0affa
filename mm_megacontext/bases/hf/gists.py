"""Gists in a model's own space, made when a question is asked: means of the embeddings of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from mm_megacontext.bases.hf.decoder import Decoder, Gist

GIST = "<|mmctx_gist|>"
"""The token that keeps a gist's place in a prompt; a tokenizer learns it, the model never sees it."""


def gist_token(tokenizer: Any) -> int:
    """The id of ``GIST``, which is added to a tokenizer that does not have it."""
    tokenizer.add_tokens([GIST], special_tokens=True)
    id: int = tokenizer.convert_tokens_to_ids(GIST)
    return id


def mean_gist(decoder: Decoder, tokenizer: Any, texts: Sequence[str]) -> Gist:
    """One vector for all tokens of some texts; of none, where they have none, a zero.

    Args:
        decoder: Whose embeddings are averaged.
        tokenizer: Its own.
        texts: Of blocks that follow each other.
    """
    ids = tokenizer(" ".join(texts), add_special_tokens=False)["input_ids"]
    if not ids:
        return Gist(torch.zeros(1, decoder.dim, device=decoder.device), 1)
    return Gist(decoder.embed_tokens(torch.tensor(ids)).mean(dim=0, keepdim=True), len(ids))
