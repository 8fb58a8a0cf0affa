"""A working context and a question as arrays, in the format that the recipe trains on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mm_megacontext.bases.beside import ALL, View
from mm_megacontext.bases.native import Inputs
from mm_megacontext.reading.working_context import Entry
from mm_megacontext.tree.blocks import LINE_START, ROLE_INDEX, ROLES
from mm_megacontext.tree.nodes import TILE_PATCHES, Leaves, NodeId
from mm_megacontext.vision.encoders import PatchEncoder

NOWHERE = float("inf")
"""Spread of a question's x and y: it stands nowhere on a page. What that means to a model its configuration says."""

UNLEARNT_ROLES = ("list", "caption", "header", "footer", "formula", "code")
"""Roles that no page of training has: their embeddings are the noise that they began as. They are read as text."""

_AS_READ = np.arange(len(ROLES), dtype=np.int64)
_AS_READ[[ROLE_INDEX[name] for name in UNLEARNT_ROLES]] = ROLE_INDEX["text"]


@dataclass(frozen=True, slots=True)
class Packed:
    """A working context as one sequence.

    Attributes:
        inputs: Batch of one.
        origin: Which leaf each position is, None for gists.
        copyable: (positions,) bool, true at text leaves.
        t_prompt: Time at which a question to it begins.
    """

    inputs: Inputs
    origin: tuple[tuple[NodeId, int] | None, ...]
    copyable: Tensor
    t_prompt: float

    def __len__(self) -> int:
        return len(self.origin)


def pack(
    entries: Sequence[Entry],
    t_end: float,
    encoder: PatchEncoder,
    device: torch.device,
    view: View = ALL,
) -> Packed:
    """Put entries into arrays, in order, as the ``view`` has them; the scope's timeline ends at ``t_end``."""
    rows = _Rows(encoder.dim, view)
    for form, run in groupby(entries, key=_form):
        match form:
            case "gist":
                rows.add_gists(list(run))
            case "tokens":
                rows.add_tokens(list(run))
            case "patches":
                rows.add_patches(list(run), encoder)
    inputs = rows.inputs()
    copyable = ~inputs.is_vector[0]
    return Packed(inputs.to(device), tuple(rows.origin), copyable.to(device), float(t_end) - rows.n_left_out + 2)


def pack_prompt(ids: Sequence[int], t: float, dim: int, device: torch.device) -> Inputs:
    """Tokens that stand nowhere on a page, one after the other from time ``t``."""
    rows = _Rows(dim)
    rows.add_prompt(ids, t)
    return rows.inputs().to(device)


class _Rows:
    """Collects the arrays of ``Inputs`` for one sequence."""

    def __init__(self, dim: int, view: View = ALL) -> None:
        self.dim = dim
        self._view = view
        self.n_left_out = 0
        self.origin: list[tuple[NodeId, int] | None] = []
        self._parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in Inputs.__slots__}
        self._append(role="gist", mu=np.zeros((0, 3)))  # so that nothing is still an array of every kind

    def add_gists(self, entries: Sequence[Entry]) -> None:
        slots = [entry.n_slots for entry in entries]
        vectors = np.concatenate([entry.node.gist for entry in entries]).astype(np.float32)
        self.origin += [None] * len(vectors)
        self._append(
            vectors=vectors,
            role="gist",
            lods=np.repeat([entry.lod for entry in entries], slots),
            mu=_earlier(np.repeat([entry.node.mu for entry in entries], slots, axis=0), self.n_left_out),
            sigma=np.repeat([entry.node.sigma for entry in entries], slots, axis=0),
        )

    def add_tokens(self, entries: Sequence[Entry]) -> None:
        n_before = len(self.origin)
        leaves = self._add_origins(entries)
        added = [leaf for leaf in self.origin[n_before:] if leaf is not None]
        is_read = np.array([leaf not in self._view.unread for leaf in added], dtype=np.bool_)
        self.origin[n_before:] = [leaf for leaf in added if leaf not in self._view.unread]
        roles = np.concatenate([part.roles for part in leaves])[is_read]
        mu = _earlier(np.concatenate([part.mu for part in leaves]), self.n_left_out + np.cumsum(~is_read))
        mu[:, 2] -= [self._view.lifted.get(leaf, 0.0) for leaf in added]
        self._append(
            ids=np.concatenate([part.token_ids for part in leaves])[is_read],
            role=_AS_READ[roles & ~np.uint8(LINE_START)],
            line_start=roles >= LINE_START,
            mu=mu[is_read],
        )
        self.n_left_out += int((~is_read).sum())

    def add_patches(self, entries: Sequence[Entry], encoder: PatchEncoder) -> None:
        leaves = self._add_origins(entries)
        mu = _earlier(np.concatenate([part.mu for part in leaves]), self.n_left_out)
        self._append(vectors=encode_leaves(encoder, leaves), role="visual", mu=mu)

    def add_prompt(self, ids: Sequence[int], t: float) -> None:
        mu = np.zeros((len(ids), 3))
        mu[:, 0] = t + np.arange(len(ids))
        self._append(ids=np.array(ids), role="question", mu=mu, sigma=np.array([0.0, NOWHERE, NOWHERE]))

    def _add_origins(self, entries: Sequence[Entry]) -> list[Leaves]:
        leaves = [entry.leaves for entry in entries if entry.leaves is not None]
        for entry, own in zip(entries, leaves, strict=True):
            self.origin += [(entry.id, i) for i in range(len(own))]
        return leaves

    def _append(
        self,
        *,
        role: str | npt.NDArray[Any],
        mu: npt.NDArray[np.float64],
        sigma: npt.NDArray[np.float64] | float = 0.0,
        ids: npt.NDArray[Any] | int = 0,
        vectors: npt.NDArray[np.float32] | None = None,
        line_start: npt.NDArray[np.bool_] | int = 0,
        lods: npt.NDArray[Any] | int = 0,
    ) -> None:
        n = len(mu)
        parts: dict[str, npt.NDArray[Any]] = {
            "token_ids": np.full(n, ids, np.int64),
            "vectors": np.zeros((n, self.dim), np.float32) if vectors is None else vectors,
            "is_vector": np.full(n, vectors is not None),
            "roles": np.full(n, ROLE_INDEX[role] if isinstance(role, str) else role, np.int64),
            "line_start": np.full(n, line_start, np.int64),
            "lods": np.full(n, lods, np.int64),
            "mu": mu,
            "sigma": np.full((n, 3), sigma, np.float32),
        }
        for name, part in parts.items():
            self._parts[name].append(part)

    def inputs(self) -> Inputs:
        """A batch of one."""
        return Inputs(**{name: torch.from_numpy(np.concatenate(parts))[None] for name, parts in self._parts.items()})


def _earlier(mu: npt.NDArray[np.float64], n_left_out: npt.NDArray[np.int64] | int) -> npt.NDArray[np.float64]:
    """Places on a timeline that what is left out takes no time on."""
    moved = mu.copy()
    moved[:, 0] -= n_left_out
    return moved


def _form(entry: Entry) -> Literal["gist", "tokens", "patches"]:
    """How an entry is put before the model."""
    if entry.leaves is None:
        return "gist"
    return "tokens" if entry.leaves.pixels is None else "patches"


def encode_leaves(encoder: PatchEncoder, tiles: Sequence[Leaves]) -> npt.NDArray[np.float32]:
    """Embeddings (n, dim) of the patches of tiles, one tile after the other: the same as when they were ingested.

    Every tile is encoded by itself, as an encoder may look at whole tiles; one at the edge of its image is filled up
    with its last pixels, as for its gist.
    """
    grids = [(leaves.pixels, _n_columns(leaves)) for leaves in tiles if leaves.pixels is not None]
    whole = np.stack([_whole_tile(patches, columns) for patches, columns in grids])
    encoded = np.asarray(encoder.encode(whole), dtype=np.float32)
    real = [of[: len(p) // n, :n].reshape(len(p), -1) for of, (p, n) in zip(encoded, grids, strict=True)]
    return np.concatenate(real)


def _n_columns(leaves: Leaves) -> int:
    """Patches in the first row; they come row by row."""
    return int((leaves.mu[:, 2] == leaves.mu[0, 2]).sum())


def _whole_tile(patches: npt.NDArray[np.uint8], columns: int) -> npt.NDArray[np.uint8]:
    """(3, 128, 128) from up to 8 x 8 patches (n, 3, 16, 16), edges repeated."""
    n, channels, side, _ = patches.shape
    rows = n // columns
    grid = patches.reshape(rows, columns, channels, side, side).transpose(2, 0, 3, 1, 4)
    image = grid.reshape(channels, rows * side, columns * side)
    missing = TILE_PATCHES * side - np.array(image.shape[1:])
    return np.pad(image, ((0, 0), (0, missing[0]), (0, missing[1])), mode="edge")
