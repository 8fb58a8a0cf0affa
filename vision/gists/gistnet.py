"""Visual GistNet: a grid of cells becomes one gist, the same way from patches to a tile and from tiles up the pyramid.

All ``GistModule`` classes take the same arguments and can be put in each other's place: ``MeanNet``, ``MaxNet``,
``GistNet``, or one of your own. ``net_gister`` makes a visual gister of any of them.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mm_megacontext.positional import Phases, Positions, RotaryConfig, phases, turn
from mm_megacontext.tree.nodes import TILE_PATCHES
from mm_megacontext.weights import load_module, save_module, seeded

Level = Literal["patches", "gists"]
GRID_SIDE: dict[Level, int] = {"patches": TILE_PATCHES, "gists": 2}
"""Cells on the side of a whole grid: 8 x 8 patches of a tile, 2 x 2 children of a parent."""

CELL_SPREAD = 1 / math.sqrt(12)
"""Standard deviation of what evenly fills a cell, in cells."""


class Cells(NamedTuple):
    """A batch of grids.

    Attributes:
        vectors: (batch, rows, columns, slots, dim); patches have one slot.
        weights: (batch, rows, columns), the number of leaves in each cell; 0 where there is no cell: what stands there
            in ``vectors`` is not looked at. Every grid has at least one.
        level: What the cells are.
        corner: (x, y) of the grid's top left corner, in cells. Only distances count: it changes nothing but rounding.
        unplaced: (batch,) bool, true where the places of the cells are not known, or None if all are. Such cells
            stand in the first row and are taken to lie anywhere in the grid.
    """

    vectors: Float[Tensor, "batch rows columns slots dim"]
    weights: Float[Tensor, "batch rows columns"]
    level: Level
    corner: tuple[float, float] = (0.0, 0.0)
    unplaced: Bool[Tensor, " batch"] | None = None

    @property
    def exist(self) -> Bool[Tensor, "batch rows columns"]:
        """Which cells there are."""
        return self.weights > 0

    def cleared(self) -> Float[Tensor, "batch rows columns slots dim"]:
        """Vectors with zeros where there is no cell, whatever stood there."""
        return torch.where(self.exist[..., None, None], self.vectors, 0.0)


class GistModule(nn.Module):
    """What makes one gist of a grid.

    Args:
        slots: Vectors per gist.
    """

    def __init__(self, slots: int = 1) -> None:
        super().__init__()
        if slots < 1:
            raise ValueError(f"a gist must have at least one slot, got {slots}")
        self.slots = slots

    def forward(self, cells: Cells) -> Float[Tensor, "batch slots dim"]:
        """One gist per grid."""
        raise NotImplementedError(f"{type(self).__name__} must define forward")


class MeanNet(GistModule):
    """The mean of the cells, weighted by their leaves, slot by slot; patches speak for every slot."""

    def forward(self, cells: Cells) -> Float[Tensor, "batch slots dim"]:
        """One gist per grid."""
        share = cells.weights / cells.weights.sum(dim=(1, 2), keepdim=True)
        return _to_slots(torch.einsum("brc,brcsd->bsd", share, cells.cleared()), self.slots)


class MaxNet(GistModule):
    """The largest value of each coordinate among the cells, slot by slot."""

    def forward(self, cells: Cells) -> Float[Tensor, "batch slots dim"]:
        """One gist per grid."""
        existing = torch.where(cells.exist[..., None, None], cells.vectors, -torch.inf)
        return _to_slots(existing.amax(dim=(1, 2)), self.slots)


@dataclass(frozen=True, slots=True, kw_only=True)
class GistNetConfig:
    """Shape of a GistNet.

    Attributes:
        dim: Length of the vectors: the base's.
        slots: Vectors per gist.
        width: Inside.
        n_heads: Heads of every attention; ``width / n_heads`` is a multiple of 4, as x and y turn half of it each.
        n_layers: Times that rows, then columns are attended along.
        theta: Base of the rotary frequencies of x and y, whose unit is the cell.
        seed: Of the weights it begins with.
    """

    dim: int
    slots: int = 1
    width: int = 128
    n_heads: int = 4
    n_layers: int = 1
    theta: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.dim, self.slots, self.width, self.n_heads, self.n_layers) < 1:
            raise ValueError(f"all sizes must be at least 1, got {self}")
        if self.width % (4 * self.n_heads):
            raise ValueError(f"width {self.width} must be a multiple of 4 times n_heads, which is {4 * self.n_heads}")

    @property
    def rotary(self) -> RotaryConfig:
        """Half of a head's pairs turn with x, half with y; cells of one grid share their time."""
        head_dim = self.width // self.n_heads
        each = head_dim // 4
        return RotaryConfig(head_dim=head_dim, pairs=(0, each, each), theta=(1.0, self.theta, self.theta))


class GistNet(GistModule):
    """The mean of the cells, plus a residual that begins at zero.

    The residual: attention along rows, then along columns (axial attention, Ho et al. 2019), among all slots of the
    cells that there are; then one query per slot attends to all of them. Positions enter as Gaussian rotary phases: a
    patch is a point, a child in the pyramid fills its cell, the queries fill the grid. ``gate`` is zero at first, so an
    untrained net is ``MeanNet``.
    """

    def __init__(self, config: GistNetConfig) -> None:
        super().__init__(config.slots)
        self.config = config
        width, n_heads = config.width, config.n_heads
        with seeded(config.seed):
            self.mean = MeanNet(config.slots)
            self.into = nn.Sequential(nn.LayerNorm(config.dim), nn.Linear(config.dim, width))
            self.level = nn.Parameter(0.02 * torch.randn(len(GRID_SIDE), width))
            self.slot = nn.Parameter(0.02 * torch.randn(config.slots, width)) if config.slots > 1 else None
            self.layers = nn.ModuleList(AxialLayer(width, n_heads) for _ in range(config.n_layers))
            self.norm_cells = nn.LayerNorm(width)
            self.queries = nn.Parameter(0.02 * torch.randn(config.slots, width))
            self.pool = Attention(width, n_heads, width)
            self.out = nn.Linear(width, config.dim)
        self.gate = nn.Parameter(torch.zeros(config.dim))
        self.spread_gain = nn.Parameter(torch.ones(2))  # on the spreads along x and y

    def forward(self, cells: Cells) -> Float[Tensor, "batch slots dim"]:
        """One gist per grid."""
        gist: Tensor = self.mean(cells) + self.gate * self.out(self._ask(cells))
        return gist

    @classmethod
    def from_pretrained(cls, directory: str | Path) -> GistNet:
        """Load config.json and model.safetensors."""
        return load_module(lambda config: cls(GistNetConfig(**config)), directory)

    def save_pretrained(self, directory: str | Path) -> None:
        """Write config.json and model.safetensors."""
        save_module(self, asdict(self.config), directory)

    def _ask(self, cells: Cells) -> Float[Tensor, "batch slots width"]:
        """What the slots' queries find among the cells."""
        vectors = cells.cleared()
        batch, rows, columns, slots, _ = vectors.shape
        x = self.into(vectors) + self.level[list(GRID_SIDE).index(cells.level)]
        if self.slot is not None:
            x = x + self.slot[:slots]
        at = self._phases(_cell_positions(cells, slots))
        grid = _Grid(at.cos.unflatten(1, (rows, columns, slots)), at.sin.unflatten(1, (rows, columns, slots)))
        exist = cells.exist[..., None].expand(batch, rows, columns, slots)
        for layer in self.layers:
            x = layer(x, grid, exist)
        keys = self.norm_cells(x).flatten(1, 3)  # (batch, rows * columns * slots, width)
        queries = self.queries.expand(batch, -1, -1)
        middle = self._phases(_grid_position(cells, len(self.queries)))
        found: Tensor = self.pool(queries, keys, exist.flatten(1)[:, None], (middle, at))
        return found

    def _phases(self, positions: Positions) -> Phases:
        gain = torch.cat((self.spread_gain.new_ones(1), self.spread_gain))
        return phases(positions, self.config.rotary, gain)


class _Grid(NamedTuple):
    """Phases of all slots of all cells, (batch or 1, rows, columns, slots, pairs)."""

    cos: Tensor
    sin: Tensor

    def along_rows(self) -> Phases:
        """(batch, rows, columns * slots, pairs)."""
        return Phases(self.cos.flatten(2, 3), self.sin.flatten(2, 3))

    def along_columns(self) -> Phases:
        """(batch, columns, rows * slots, pairs)."""
        return Phases(self.cos.transpose(1, 2).flatten(2, 3), self.sin.transpose(1, 2).flatten(2, 3))


class AxialLayer(nn.Module):
    """Attention along rows, attention along columns, and a perceptron; each normalised before and added."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.row, self.column = Attention(width, n_heads, width), Attention(width, n_heads, width)
        self.perceptron = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(
        self,
        x: Float[Tensor, "batch rows columns slots width"],
        at: _Grid,
        exist: Bool[Tensor, "batch rows columns slots"],
    ) -> Float[Tensor, "batch rows columns slots width"]:
        """Cells that do not exist are looked at by themselves alone."""
        x = x + _along_rows(self.row, self.norms[0](x), at.along_rows(), exist)
        turned = _along_rows(
            self.column, self.norms[1](x).transpose(1, 2), at.along_columns(), exist.transpose(1, 2)
        )  # (batch, columns, rows, slots, width)
        x = x + turned.transpose(1, 2)
        added: Tensor = x + self.perceptron(self.norms[2](x))
        return added


def _along_rows(attention: Attention, x: Tensor, at: Phases, exist: Tensor) -> Tensor:
    tokens, keys = x.flatten(2, 3), exist.flatten(2, 3)  # (batch, rows, columns * slots, width), without width
    itself = torch.eye(keys.shape[-1], dtype=torch.bool, device=x.device)
    found: Tensor = attention(tokens, tokens, keys[:, :, None] | itself, (at, at))
    return found.reshape(x.shape)


class Attention(nn.Module):
    """Multi-head attention; queries and keys are normalised, then turned.

    Args:
        width: Of the queries and the result.
        n_heads: Number of heads.
        context: Length of what is attended to.
    """

    def __init__(self, width: int, n_heads: int, context: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(context, width, bias=False)
        self.value = nn.Linear(context, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.norm_query, self.norm_key = nn.RMSNorm(width // n_heads), nn.RMSNorm(width // n_heads)

    def forward(
        self,
        x: Float[Tensor, "*batch queries width"],
        context: Float[Tensor, "*batch keys context"],
        seen: Bool[Tensor, "*batch any keys"],
        at: tuple[Phases, Phases],
    ) -> Float[Tensor, "*batch queries width"]:
        """What each query finds.

        Args:
            x: Queries.
            context: What they look at.
            seen: Which keys a query sees, at least one; of one row, all queries see the same.
            at: Phases of queries and keys.
        """
        q = self.norm_query(self._heads(self.query(x)))
        k = self.norm_key(self._heads(self.key(context)))
        q, k = turn(q, at[0]), turn(k, at[1])
        v = self._heads(self.value(context))
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=seen.unsqueeze(-3))
        result: Tensor = self.out(found.transpose(-3, -2).flatten(-2))
        return result

    def _heads(self, x: Tensor) -> Tensor:
        """(*batch, tokens, width) to (*batch, heads, tokens, head_dim)."""
        return x.reshape(*x.shape[:-1], self.n_heads, -1).transpose(-3, -2)


def _cell_positions(cells: Cells, slots: int) -> Positions:
    """(batch or 1, rows * columns * slots): a patch is a point in the middle of its cell, a child fills its cell."""
    _, rows, columns = cells.weights.shape
    grid = Positions.grid(0.0, rows, columns, device=cells.weights.device).mu[None]
    sigma = torch.zeros_like(grid, dtype=torch.float32)
    if cells.level == "gists":
        sigma[..., 1:] = CELL_SPREAD
    if cells.unplaced is not None:
        anywhere = cells.unplaced[:, None, None]
        side = GRID_SIDE[cells.level]
        grid = torch.where(anywhere, grid.new_tensor((0.0, side / 2, side / 2)), grid)
        sigma = torch.where(anywhere, sigma.new_tensor((0.0, side * CELL_SPREAD, side * CELL_SPREAD)), sigma)
    mu = grid + grid.new_tensor((0.0, *cells.corner))
    return Positions(mu.repeat_interleave(slots, dim=1), sigma.repeat_interleave(slots, dim=1))


def _grid_position(cells: Cells, n: int) -> Positions:
    """(1, n): that of the whole grid, n times."""
    side = GRID_SIDE[cells.level]
    x, y = cells.corner
    mu = torch.tensor((0.0, x + side / 2, y + side / 2), dtype=torch.float64, device=cells.weights.device)
    sigma = torch.tensor((0.0, side * CELL_SPREAD, side * CELL_SPREAD), device=cells.weights.device)
    return Positions(mu.expand(1, n, 3), sigma.expand(1, n, 3))


def _to_slots(gist: Float[Tensor, "batch some dim"], slots: int) -> Float[Tensor, "batch {slots} dim"]:
    """One vector speaks for every slot.

    Raises:
        ValueError: There is another number of slots.
    """
    if gist.shape[1] not in (1, slots):
        raise ValueError(f"cells have {gist.shape[1]} slots, gists are to have {slots}")
    return gist.expand(-1, slots, -1)
