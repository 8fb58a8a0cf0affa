"""What every encoder promises; each implementation's tests subclass it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from mm_megacontext.vision.encoders import PatchEncoder

FLOAT32 = 1e-5
"""Rounding of float32 sums of about a thousand products of size about one."""


def random_tiles(n: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n, 3, 128, 128), dtype=np.uint8)


class Bomb:
    """Runs code when it is unpickled: makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


class EncoderContract:
    """Subclasses define ``make``; two calls make two equal encoders."""

    @classmethod
    def make(cls) -> PatchEncoder:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls) -> PatchEncoder:
        return cls.make()

    def test_shape_and_type(self, encoder: PatchEncoder) -> None:
        vectors = encoder.encode(random_tiles(3))
        assert vectors.shape == (3, 8, 8, encoder.dim)
        assert vectors.dtype == np.float32
        assert np.isfinite(vectors).all()
        assert encoder.patch_px * 8 == 128

    def test_a_tile_does_not_depend_on_its_batch(self, encoder: PatchEncoder) -> None:
        tiles = random_tiles(5)
        alone = encoder.encode(tiles[3:4])
        np.testing.assert_allclose(
            encoder.encode(tiles)[3:4], alone, atol=FLOAT32 * max(1.0, float(np.abs(alone).max()))
        )

    def test_two_of_one_name_agree(self, encoder: PatchEncoder) -> None:
        other = self.make()
        assert other.name == encoder.name
        np.testing.assert_array_equal(other.encode(random_tiles(2)), encoder.encode(random_tiles(2)))

    def test_floats_are_on_the_scale_of_bytes(self, encoder: PatchEncoder) -> None:
        tiles = random_tiles(1)
        np.testing.assert_array_equal(encoder.encode(tiles.astype(np.float32)), encoder.encode(tiles))

    def test_different_tiles_differ(self, encoder: PatchEncoder) -> None:
        first, second = encoder.encode(random_tiles(2))
        assert np.abs(first - second).max() > 10 * FLOAT32

    def test_no_tile_is_no_vector(self, encoder: PatchEncoder) -> None:
        assert encoder.encode(random_tiles(0)).shape == (0, 8, 8, encoder.dim)

    def test_the_name_fits_on_a_line(self, encoder: PatchEncoder) -> None:
        assert re.fullmatch(r"[\x21-\x7e]+", encoder.name)
