"""What a decoder reads: vectors, each with a position; of tokens, of parts of pictures, and of gists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mm_megacontext.positional import Positions


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """Entries in the order in which they are read.

    Attributes:
        vectors: As a model's first layer takes them.
        positions: One of each entry, (t, x, y).
        image: Number of the picture that an entry is a part of, -1 for what is none.
        deep: What is added behind each of the first layers, zero where there is no picture; None for most models.
    """

    vectors: Float[Tensor, "entries dim"]
    positions: Positions
    image: Int[Tensor, " entries"]
    deep: Float[Tensor, "layers entries dim"] | None = None

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def is_plain(self) -> bool:
        """Whether all positions are whole numbers without a spread, as models were trained with."""
        mu = self.positions.mu
        return bool((self.positions.sigma == 0).all()) and bool((mu == mu.round()).all())

    @property
    def end(self) -> float:
        """Where the next token goes on: behind all that was read."""
        return float(self.positions.mu.max()) + 1 if len(self) else 0.0

    def since(self, begin: int) -> Embedded:
        """The entries from ``begin`` on."""
        if begin == 0:
            return self
        positions = Positions(self.positions.mu[begin:], self.positions.sigma[begin:])
        deep = None if self.deep is None else self.deep[:, begin:]
        return Embedded(self.vectors[begin:], positions, self.image[begin:], deep)

    def followed_by(self, vectors: Float[Tensor, "new dim"]) -> Embedded:
        """With tokens behind it."""
        n = len(vectors)
        t = self.end + torch.arange(n, dtype=torch.float64, device=vectors.device)
        after = Positions.exact(t[:, None].expand(n, 3).contiguous())
        return joined([self, Embedded(vectors, after, self.image.new_full((n,), -1))])

    def common(self, other: Embedded) -> int:
        """How many entries at the beginning are the same in both; never a part of a picture."""
        n = min(len(self), len(other))
        same = (self.vectors[:n] == other.vectors[:n]).all(-1)
        same &= (self.positions.mu[:n] == other.positions.mu[:n]).all(-1)
        same &= (self.positions.sigma[:n] == other.positions.sigma[:n]).all(-1)
        same &= self.image[:n] == other.image[:n]
        if self.deep is not None and other.deep is not None:
            same &= (self.deep[:, :n] == other.deep[:, :n]).all(-1).all(0)
        elif self.deep is not None or other.deep is not None:
            same &= self.image[:n] < 0
        at = int(same.long().cumprod(0).sum())
        return min(self._before_picture(at), other._before_picture(at))

    def _before_picture(self, at: int) -> int:
        """``at``, or the first entry of the picture that a cut there would divide."""
        divides = 0 < at < len(self) and self.image[at] >= 0 and self.image[at] == self.image[at - 1]
        return int((self.image == self.image[at]).nonzero()[0]) if divides else at


def joined(parts: Sequence[Embedded]) -> Embedded:
    """One after the other; pictures are counted on."""
    images, n_images = [], 0
    for part in parts:
        images.append(torch.where(part.image >= 0, part.image + n_images, -1))
        n_images += int(part.image.max()) + 1 if len(part) else 0
    mu = torch.cat([part.positions.mu for part in parts])
    sigma = torch.cat([part.positions.sigma for part in parts])
    return Embedded(torch.cat([p.vectors for p in parts]), Positions(mu, sigma), torch.cat(images), _deep(parts))


def _deep(parts: Sequence[Embedded]) -> Tensor | None:
    known = next((part.deep for part in parts if part.deep is not None), None)
    if known is None:
        return None
    empty = [known.new_zeros(len(known), len(part), known.shape[-1]) for part in parts]
    return torch.cat([e if part.deep is None else part.deep for part, e in zip(parts, empty, strict=True)], dim=1)
