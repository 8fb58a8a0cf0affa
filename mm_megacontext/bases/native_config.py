"""Configuration of the native base."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from mm_megacontext.positional import RotaryConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeConfig:
    """Shape of a native base; the defaults are ``mmctx-tiny``.

    Attributes:
        n_kv_heads: Heads of keys and values, each shared by ``n_heads / n_kv_heads`` query heads (grouped-query
            attention, Ainslie et al. 2023); None for one per query head.
        n_roles: Number of leaf roles the embedding knows (see ``blocks.ROLES``).
        n_lods: LODs above this share the last LOD embedding.
        conv_width: Taps of the short causal convolution before attention.
        gist_slots: Vectors per gist.
        nowhere: Spread in patches of what stands nowhere on a page, as a question. A large one takes x and y out of how
            it matches words; 0 makes it stand at the corner of the page.
    """

    name: str = "mmctx-tiny"
    vocab_size: int = 4096
    dim: int = 160
    n_layers: int = 4
    n_heads: int = 4
    n_kv_heads: int | None = None
    mlp_dim: int = 384
    n_roles: int = 16
    n_lods: int = 8
    conv_width: int = 4
    gist_slots: int = 1
    rotary_pairs: tuple[int, int, int] = (4, 4, 4)
    nowhere: float = 1e3

    def __post_init__(self) -> None:
        if self.dim % (2 * self.n_heads):
            raise ValueError(f"dim {self.dim} cannot be shared by {self.n_heads} heads of even size")
        if self.kv_heads < 1 or self.n_heads % self.kv_heads:
            raise ValueError(f"{self.n_heads} query heads cannot share {self.kv_heads} heads of keys and values evenly")

    @property
    def head_dim(self) -> int:
        return self.dim // self.n_heads

    @property
    def kv_heads(self) -> int:
        return self.n_heads if self.n_kv_heads is None else self.n_kv_heads

    @property
    def rotary(self) -> RotaryConfig:
        return RotaryConfig(head_dim=self.head_dim, pairs=self.rotary_pairs)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> NativeConfig:
        return cls(**{**data, "rotary_pairs": tuple(data["rotary_pairs"])})
