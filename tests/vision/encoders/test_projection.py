"""Oracles: the identity matrix for orthogonality, and distances before and after."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mm_megacontext.vision.encoders.projection import Projection, ProjectionConfig

ROUNDED = 1e-5
"""Weights are multiples of 2^-20, and a product sums a thousand of them."""


def make(n_in: int, n_out: int, seed: int = 0) -> Projection:
    return Projection(ProjectionConfig(in_dim=n_in, out_dim=n_out, seed=seed))


@pytest.mark.parametrize(("n_in", "n_out"), [(12, 40), (40, 40), (192, 768)])
def test_to_more_dimensions_lengths_and_angles_stay(n_in: int, n_out: int) -> None:
    weight = make(n_in, n_out).weight.detach()
    assert weight.shape == (n_in, n_out)
    torch.testing.assert_close(weight @ weight.T, torch.eye(n_in), atol=ROUNDED, rtol=0)


def test_to_fewer_dimensions_it_is_an_orthogonal_projection_that_keeps_lengths_on_average() -> None:
    projection = make(384, 96)
    weight = projection.weight.detach() / 2.0  # sqrt(384 / 96)
    torch.testing.assert_close(weight.T @ weight, torch.eye(96), atol=ROUNDED, rtol=0)
    vectors = torch.from_numpy(np.random.default_rng(0).normal(size=(500, 384)).astype(np.float32))
    ratio = (projection(vectors).norm(dim=1) / vectors.norm(dim=1)).square().mean()
    assert float(ratio.detach()) == pytest.approx(1.0, abs=0.03)


def test_every_dimension_counts() -> None:
    """Nothing is cut off: each input dimension moves the result."""
    assert (make(384, 16).weight.detach().norm(dim=1) > 0.01).all()


def test_the_seed_decides() -> None:
    torch.testing.assert_close(make(20, 8, seed=3).weight, make(20, 8, seed=3).weight, atol=0, rtol=0)
    assert not torch.equal(make(20, 8, seed=3).weight, make(20, 8, seed=4).weight)


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    projection = make(20, 8)
    with torch.no_grad():
        projection.weight.add_(1.0)  # as if trained
    projection.save_pretrained(tmp_path)
    loaded = Projection.from_pretrained(tmp_path)
    assert loaded.config == projection.config
    torch.testing.assert_close(loaded.weight, projection.weight, atol=0, rtol=0)


def test_it_can_be_trained() -> None:
    projection = make(20, 8)
    projection(torch.ones(3, 20)).sum().backward()
    assert projection.weight.grad is not None
    assert (projection.weight.grad != 0).all()


def test_no_dimension_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0 and 8"):
        ProjectionConfig(in_dim=0, out_dim=8)
