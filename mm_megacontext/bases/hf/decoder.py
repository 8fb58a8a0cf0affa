"""A decoder of transformers that reads vectors in the place of tokens: what it is given, and how it goes on.

Everything that the model computes is its own: a prompt of tokens and pictures alone gives its very logits. What is new
is that gists can stand among them, with a spread, and that nothing has to be read twice.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mm_megacontext.bases.gaussian_rope import attach_gaussian_rope
from mm_megacontext.bases.hf.embedded import Embedded
from mm_megacontext.bases.hf.families import family_of
from mm_megacontext.bases.hf.family import Family, Inputs
from mm_megacontext.errors import UnsupportedModel
from mm_megacontext.positional import Positions

Placement = Literal["timeline", "compact"]
"""Where entries stand behind a gist: where they stood behind all that it is the gist of, or right behind it."""


@dataclass(frozen=True, slots=True, eq=False)
class Gist:
    """What stands in the place of tokens.

    Attributes:
        vectors: Its slots, in the space of the model's first layer.
        n_leaves: Tokens that it stands for.
    """

    vectors: Float[Tensor, "slots dim"]
    n_leaves: int


class Decoder:
    """Reads vectors with one model.

    Args:
        model: A causal or image-text-to-text model of transformers; it stays as it is.
        family: What is peculiar to it, or None to be told by its configuration.
        placement: Where entries stand behind gists.

    Raises:
        UnsupportedModel: It can be given no vectors; the message says why.
    """

    def __init__(self, model: Any, family: Family | None = None, placement: Placement = "compact") -> None:
        self.model = model
        self.family = family or family_of(model.config)
        self.placement: Placement = placement
        self._cache_name = cache_name(model)

    @property
    def device(self) -> torch.device:
        """Where vectors belong."""
        device: torch.device = self.model.get_input_embeddings().weight.device
        return device

    @property
    def dim(self) -> int:
        """Of a vector."""
        return int(self.model.get_input_embeddings().weight.shape[1])

    def embed_tokens(self, ids: Int[Tensor, " entries"]) -> Float[Tensor, "entries dim"]:
        """What the first layer gets for tokens, scaled as the model scales them."""
        vectors: Tensor = self.model.get_input_embeddings()(ids.to(self.device))
        return vectors

    def embed(self, inputs: Inputs, gists: Sequence[Gist] = (), gist_token: int | None = None) -> Embedded:
        """The entries of a prompt.

        Args:
            inputs: Of the model's own processor or tokenizer, a batch of one.
            gists: What stands where the prompt has ``gist_token``, once for each slot.
            gist_token: An id that the model need not have.

        Raises:
            ValueError: The prompt has another number of places than the gists have slots.
        """
        inputs = {name: value.to(self.device) if hasattr(value, "to") else value for name, value in inputs.items()}
        ids: Tensor = inputs["input_ids"][0]
        is_gist = torch.zeros_like(ids, dtype=torch.bool) if gist_token is None else ids == gist_token
        is_picture = self.family.placeholders(self.model.config, ids)
        vectors = self.embed_tokens(ids.masked_fill(is_gist | is_picture, 0)).clone()
        positions = self.family.positions(self.model, inputs, is_picture.long())
        deep = None
        if bool(is_picture.any()):
            seen = self.family.features(self.model, inputs)
            vectors[is_picture] = seen.vectors.to(vectors.dtype)
            if seen.deep is not None:
                deep = vectors.new_zeros(len(seen.deep), *vectors.shape)
                deep[:, is_picture] = seen.deep.to(vectors.dtype)
        if gists:
            vectors[is_gist] = torch.cat([gist.vectors for gist in gists]).to(vectors)
            positions = _stretched(positions, is_gist, gists, self.placement)
        elif bool(is_gist.any()):
            raise ValueError("the prompt has places for gists, and there are none")
        return Embedded(vectors, positions, _numbered(is_picture), deep)

    def logits(
        self, whole: Embedded, cache: Any = None, begin: int = 0, kept: Int[Tensor, " kept"] | None = None
    ) -> Float[Tensor, "kept vocabulary"]:
        """What may follow entries.

        Args:
            whole: All entries.
            cache: Of the first ``begin`` of them; gets the others. None for one that is thrown away.
            begin: See there.
            kept: The new entries that are asked for, counted from ``begin``; None for the last.
        """
        part = whole.since(begin)
        kept = torch.tensor([len(part) - 1]) if kept is None else kept
        arguments = {
            "position_ids": self.family.position_ids(part.positions),
            "attention_mask": None,  # with a cache no jump of positions is taken for another sequence
            self._cache_name: new_cache() if cache is None else cache,
            "use_cache": True,
        }
        with self._placed(part):
            return self.family.logits(self.model, whole, begin, kept.to(self.device), arguments)

    @torch.inference_mode()
    def generate(self, whole: Embedded, max_tokens: int, ends: Collection[int], cache: Any = None) -> list[int]:
        """The likeliest tokens, one after the other; what ends them is not among them.

        Args:
            whole: What is read first.
            max_tokens: At most as many.
            ends: Ids that end a reply.
            cache: Of a beginning of ``whole``, shorter than it; afterwards of exactly ``whole``.
        """
        cache = new_cache() if cache is None else cache
        said: list[int] = []
        read, begin = whole, int(cache.get_seq_length())
        while len(said) < max_tokens:
            token = int(self.logits(read, cache, begin)[-1].argmax())
            if token in ends:
                break
            said.append(token)
            begin = len(read)
            read = read.followed_by(self.embed_tokens(torch.tensor([token])))
        cut_back(cache, len(whole))
        return said

    @contextmanager
    def _placed(self, part: Embedded) -> Iterator[None]:
        """Positions that are no whole numbers, or have a spread, take the place of the model's own phases."""
        if part.is_plain:
            yield
            return
        with attach_gaussian_rope(self.model.get_decoder()) as rope, rope.at(part.positions):
            yield

    @property
    def has_spreads(self) -> bool:
        """Whether gists can have a spread: whether the model's phases can be replaced."""
        try:
            attach_gaussian_rope(self.model.get_decoder()).remove()
        except UnsupportedModel:
            return False
        return True


def new_cache() -> Any:
    """An empty cache that keeps all entries of all layers, so that it can be cut back; masks do what windows do."""
    from transformers import DynamicCache

    return DynamicCache()


def cut_back(cache: Any, n: int) -> None:
    """Leave the first ``n`` entries of a cache; all versions of transformers agree on how to take entries away."""
    if (surplus := cache.get_seq_length() - n) > 0:
        cache.crop(-surplus)


def cache_name(model: Any) -> str:
    """What a forward calls its cache: ``past_key_values``, from transformers 5.24 on ``cache``."""
    taken = inspect.signature(model.forward).parameters
    return "cache" if "cache" in taken else "past_key_values"


def _numbered(is_picture: Bool[Tensor, " entries"]) -> Int[Tensor, " entries"]:
    """Runs of placeholders, from 0; -1 elsewhere."""
    begins = is_picture & ~torch.cat([is_picture.new_zeros(1), is_picture[:-1]])
    return torch.where(is_picture, begins.long().cumsum(0) - 1, -1)


def _stretched(
    positions: Positions, is_gist: Bool[Tensor, " entries"], gists: Sequence[Gist], placement: Placement
) -> Positions:
    """Gists at the mean of the leaves they stand for, with their spread; what follows is moved on for "timeline"."""
    slots = [len(gist.vectors) for gist in gists]
    if int(is_gist.sum()) != sum(slots):
        raise ValueError(f"the prompt has {int(is_gist.sum())} places for gists, they have {sum(slots)} slots")
    mu, sigma = positions.mu.clone(), positions.sigma.clone()
    leaves = mu.new_tensor([g.n_leaves / n for g, n in zip(gists, slots, strict=True) for _ in range(n)])
    spread = ((leaves**2 - 1).clamp(min=0) / 12).sqrt()  # of points at whole numbers, 0 for a single one
    sigma[is_gist] = spread[:, None].to(sigma).expand(-1, 3)
    if placement == "compact":
        return replace(positions, sigma=sigma)
    widths = torch.ones(len(mu), dtype=mu.dtype, device=mu.device)
    widths[is_gist] = leaves
    before = widths.cumsum(0) - widths - torch.arange(len(mu), dtype=mu.dtype, device=mu.device)
    mu += before[:, None]
    mu[is_gist] += ((leaves - 1) / 2)[:, None]
    return Positions(mu, sigma)
