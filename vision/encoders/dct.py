"""The parameter-free baseline: low frequencies of each patch's cosine transform."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mm_megacontext.tree.nodes import PATCH_PX
from mm_megacontext.vision.encoders.protocol import PatchVectors, TilePixels


class DctEncoder:
    """The parameter-free baseline: low frequencies of each patch's cosine transform. Never trained.

    The patch is taken to Y, Cb, Cr (ITU-R BT.601, each linear in R, G, B, grey has Cb = Cr = 0), each channel to its
    orthonormal 2-D DCT-II, and the lowest frequencies in zigzag order (JPEG's) become the vector's coordinates,
    times one constant. The map is linear, so the mean of vectors is the vector of the mean patch: mean-pooled gists
    are an exact mipmap. On what it keeps it is an isometry: distances between vectors are distances between the
    low-passed patches. Black is the zero vector.

    Args:
        dim: Length of a vector. Two thirds are spent on Y, the rest evenly on Cb and Cr, as the eye sees brightness
            more finely than colour. Beyond 768, the number of values in a patch, coordinates stay 0.
    """

    patch_px = PATCH_PX

    def __init__(self, dim: int) -> None:
        if dim < 3:
            raise ValueError(f"dim must be at least 3, one for each colour channel, got {dim}")
        self.dim = dim
        self.name = f"dct-{dim}"
        self._matrix = _dct_matrix(dim)

    def encode(self, pixels: TilePixels) -> PatchVectors:
        n, channels, height, width = pixels.shape
        if channels != 3 or height % PATCH_PX or width % PATCH_PX:
            raise ValueError(f"pixels must be (tiles, 3, multiple of {PATCH_PX}, same), got {pixels.shape}")
        rows, columns = height // PATCH_PX, width // PATCH_PX
        patches = pixels.reshape(n, 3, rows, PATCH_PX, columns, PATCH_PX)
        flat = patches.transpose(0, 2, 4, 1, 3, 5).astype(np.float32, order="C")
        flat = flat.reshape(n, rows * columns, 3 * PATCH_PX**2)
        # One product per tile: of one product for all, the last bits would depend on how many there are.
        vectors: PatchVectors = np.matmul(flat, self._matrix)
        return vectors.reshape(n, rows, columns, self.dim)


RGB_TO_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
"""Full-range BT.601, without JPEG's offset of 128 on Cb and Cr."""

NATURAL_NORM = 12.0
"""Mean norm of the transform of patches with values 0 to 1, over photographs and document pages; brings the mean norm
of vectors to about 1."""


def dct_basis(n: int) -> npt.NDArray[np.float64]:
    """The orthonormal DCT-II: (n, n), rows are frequencies.

    Source: Ahmed, Natarajan and Rao (1974), Discrete Cosine Transform.
    """
    frequency, position = np.arange(n)[:, None], np.arange(n)[None, :]
    basis = np.sqrt(2.0 / n) * np.cos(np.pi * (2 * position + 1) * frequency / (2 * n))
    basis[0] /= np.sqrt(2.0)
    return np.asarray(basis, dtype=np.float64)


def zigzag(n: int) -> list[tuple[int, int]]:
    """(row, column) of an n x n grid by rising anti-diagonal, turning at each, as in JPEG.

    Example:
        >>> zigzag(3)
        [(0, 0), (0, 1), (1, 0), (2, 0), (1, 1), (0, 2), (1, 2), (2, 1), (2, 2)]
    """
    cells = [(row, column) for row in range(n) for column in range(n)]
    return sorted(cells, key=lambda c: (c[0] + c[1], c[0] if (c[0] + c[1]) % 2 else c[1]))


@lru_cache(maxsize=8)
def _dct_matrix(dim: int) -> npt.NDArray[np.float32]:
    """(768, dim): the whole encoder as one matrix on patches flattened as (channel, y, x), values 0 to 255."""
    basis = dct_basis(PATCH_PX)
    order = zigzag(PATCH_PX)
    atoms = np.stack([np.outer(basis[row], basis[column]).ravel() for row, column in order])  # (256, 16 * 16)
    matrix = np.zeros((3 * PATCH_PX**2, dim))
    first = 0
    for weights, n in zip(RGB_TO_YCBCR, _channel_split(min(dim, matrix.shape[0])), strict=True):
        matrix[:, first : first + n] = np.einsum("c,np->cpn", weights, atoms[:n]).reshape(-1, n)
        first += n
    return np.asarray(matrix / (255.0 * NATURAL_NORM), dtype=np.float32)


def _channel_split(dim: int) -> tuple[int, int, int]:
    """How many coordinates go to Y, Cb and Cr; no channel has more than a patch has pixels."""
    chroma = min(max(1, dim // 6), PATCH_PX**2)
    luma = min(dim - 2 * chroma, PATCH_PX**2)
    blue = (dim - luma + 1) // 2
    return luma, blue, dim - luma - blue
