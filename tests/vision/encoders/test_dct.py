"""Oracle: the DCT-II written out as sums, and linear algebra."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.vision import encoders
from mm_megacontext.vision.encoders import DctEncoder, PatchEncoder, dct_basis
from tests.vision.encoders.contract import FLOAT32, EncoderContract


def patches(n: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(0, 255, (n, 3, 16, 16)).astype(np.float32)


class TestDct(EncoderContract):
    @classmethod
    def make(cls) -> PatchEncoder:
        return DctEncoder(192)


def test_patches_come_row_major() -> None:
    encoder = DctEncoder(48)
    tile = np.random.default_rng(0).integers(0, 256, (1, 3, 128, 128), dtype=np.uint8)
    vectors = encoder.encode(tile)
    for row, column in ((0, 0), (0, 7), (5, 2)):
        patch = tile[:, :, row * 16 : row * 16 + 16, column * 16 : column * 16 + 16]
        np.testing.assert_allclose(encoder.encode(patch)[0, 0, 0], vectors[0, row, column], atol=FLOAT32)


@settings(max_examples=25)
@given(st.integers(1, 20), st.integers(0, 1000), st.sampled_from([3, 64, 192, 768]))
def test_the_mean_patch_has_the_mean_vector(n: int, seed: int, dim: int) -> None:
    encoder = DctEncoder(dim)
    some = patches(n, seed)
    mean = encoder.encode(some.mean(axis=0, keepdims=True))
    np.testing.assert_allclose(mean[0, 0, 0], encoder.encode(some).mean(axis=(0, 1, 2)), atol=FLOAT32)


def test_it_is_linear_and_black_is_zero() -> None:
    encoder = DctEncoder(192)
    a, b = patches(4, 1), patches(4, 2)
    both = encoder.encode((0.25 * a + 0.5 * b).astype(np.float32))
    np.testing.assert_allclose(both, 0.25 * encoder.encode(a) + 0.5 * encoder.encode(b), atol=FLOAT32)
    assert not encoder.encode(np.zeros((1, 3, 16, 16), dtype=np.uint8)).any()


def test_coordinates_are_the_dct_of_luma_then_chroma() -> None:
    encoder, patch = DctEncoder(12), patches(1)
    red, green, blue = patch[0].astype(np.float64) / 255
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    cb, cr = 0.5 * (blue - luma) / (1 - 0.114), 0.5 * (red - luma) / (1 - 0.299)
    lowest = [(0, 0), (0, 1), (1, 0), (2, 0), (1, 1), (0, 2), (0, 3), (1, 2)]  # JPEG's zigzag
    expected = [slow_dct(luma, u, v) for u, v in lowest]
    expected += [slow_dct(channel, u, v) for channel in (cb, cr) for u, v in lowest[:2]]
    scaled = encoder.encode(patch)[0, 0, 0] * encoders.NATURAL_NORM
    np.testing.assert_allclose(scaled, expected, atol=2e-5)  # the matrix has BT.601 to six digits


def slow_dct(block: npt.NDArray[np.float64], u: int, v: int) -> float:
    scale = math.sqrt((1 if u else 0.5) * (1 if v else 0.5)) / 8
    return scale * sum(
        float(block[y, x]) * math.cos(math.pi * (2 * y + 1) * u / 32) * math.cos(math.pi * (2 * x + 1) * v / 32)
        for y in range(16)
        for x in range(16)
    )


def test_with_all_768_coordinates_distances_are_those_of_the_pixels_in_ycbcr() -> None:
    some = patches(10)
    vectors = DctEncoder(768).encode(some)[:, 0, 0] * encoders.NATURAL_NORM
    ycbcr = np.einsum("cd,ndhw->nchw", encoders.RGB_TO_YCBCR, some / 255).reshape(10, -1)
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)
    np.testing.assert_allclose(distances, np.linalg.norm(ycbcr[:, None] - ycbcr[None], axis=-1), rtol=1e-4)


def test_beyond_768_coordinates_are_zero() -> None:
    vectors = DctEncoder(1024).encode(patches(2))
    np.testing.assert_array_equal(vectors[..., :768], DctEncoder(768).encode(patches(2)))
    assert not vectors[..., 768:].any()


def test_the_basis_is_orthonormal() -> None:
    np.testing.assert_allclose(dct_basis(16) @ dct_basis(16).T, np.eye(16), atol=1e-12)


@pytest.mark.parametrize("dim", [3, 4, 5, 6, 7, 100, 192, 383, 400, 767, 768])
def test_every_coordinate_is_used(dim: int) -> None:
    assert (DctEncoder(dim).encode(patches(8)).std(axis=(0, 1, 2)) > 0).all()


def test_norms_are_about_one() -> None:
    y, x = np.mgrid[0:128, 0:128]
    photo = 120 + 60 * np.sin(x / 23) + 40 * np.cos(y / 17)
    page = np.where((y % 20 < 10) & (x % 7 < 3), 0, 255)
    tiles = np.repeat(np.stack([photo, page])[:, None], 3, axis=1).astype(np.float32)
    norms = np.linalg.norm(DctEncoder(192).encode(tiles), axis=-1).mean(axis=(1, 2))
    assert ((norms > 0.4) & (norms < 1.6)).all()


@pytest.mark.parametrize("shape", [(1, 1, 128, 128), (1, 3, 120, 128), (1, 3, 128, 100)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="pixels must be"):
        DctEncoder(12).encode(np.zeros(shape, dtype=np.uint8))


def test_too_small_a_dimension_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        DctEncoder(2)
