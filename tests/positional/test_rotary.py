"""Gaussian rotary embedding against formulas written out in float64, and against samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mm_megacontext.positional import RotaryConfig, phases, rotate

CONFIG = RotaryConfig(head_dim=20, pairs=(3, 2, 4))
N_PAIRS = sum(CONFIG.pairs)
FLOAT32 = 1e-5
"""Scores of magnitude 10, phases rounded to float32."""
FAR = 1e-4
"""What is allowed far out: the resolution of float64 at 1e9 is 1.2e-7."""
BFLOAT16 = 2.0**-8
"""Relative rounding of a bfloat16."""

POSITIONS = st.tuples(st.floats(0, 1e6), st.floats(0, 80), st.floats(0, 100))
SPREADS = st.tuples(st.floats(0, 30), st.floats(0, 30), st.floats(0, 30))


def pair_frequencies() -> list[tuple[int, float]]:
    """(axis, angular frequency) of every pair, from the definition."""
    return [
        (axis, theta ** (-i / n))
        for axis, (n, theta) in enumerate(zip(CONFIG.pairs, CONFIG.theta, strict=True))
        for i in range(n)
    ]


def reference(x: np.ndarray, mu: tuple[float, ...], sigma: tuple[float, ...]) -> np.ndarray:
    """One vector rotated and damped, pair by pair, as complex numbers."""
    out = x.astype(np.float64).copy()
    for pair, (axis, w) in enumerate(pair_frequencies()):
        z = complex(x[pair], x[N_PAIRS + pair]) * np.exp(1j * w * mu[axis]) * math.exp(-0.5 * (w * sigma[axis]) ** 2)
        out[pair], out[N_PAIRS + pair] = z.real, z.imag
    return out


def vectors(seed: int, n: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    """(1, 1, n, head_dim)."""
    return torch.randn(1, 1, n, CONFIG.head_dim, generator=torch.Generator().manual_seed(seed)).to(dtype)


def place(x: Tensor, mu: tuple[float, ...], sigma: tuple[float, ...] = (0.0, 0.0, 0.0)) -> Tensor:
    """``x`` of one entry at a place."""
    at = phases(torch.tensor([[mu]], dtype=torch.float64), torch.tensor([[sigma]], dtype=torch.float64), CONFIG)
    return rotate(x, at)


def score(q: Tensor, k: Tensor) -> float:
    return float((q.double() * k.double()).sum())


@settings(max_examples=60, deadline=None)
@given(POSITIONS, SPREADS, st.integers(0, 1000))
def test_against_complex_numbers(mu: tuple[float, ...], sigma: tuple[float, ...], seed: int) -> None:
    x = vectors(seed)
    expected = reference(x[0, 0, 0].numpy(), mu, sigma)
    np.testing.assert_allclose(place(x, mu, sigma)[0, 0, 0].numpy(), expected, atol=FLOAT32)


def test_without_spread_it_is_plain_rotary_bit_for_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    mu = torch.rand(2, 50, 3, generator=generator, dtype=torch.float64) * torch.tensor([1e7, 80.0, 100.0])
    x = torch.randn(2, 4, 50, CONFIG.head_dim, generator=generator)
    axes, frequencies = zip(*pair_frequencies(), strict=True)
    angle = torch.remainder(mu[..., list(axes)] * CONFIG.frequencies(), 2 * math.pi).float()[:, None]
    torch.testing.assert_close(CONFIG.frequencies(), torch.tensor(frequencies, dtype=torch.float64))
    a, b, rest = x[..., :N_PAIRS], x[..., N_PAIRS : 2 * N_PAIRS], x[..., 2 * N_PAIRS :]
    plain = torch.cat((a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin(), rest), dim=-1)
    for gain in (None, torch.tensor([3.0, 0.1, 7.0])):
        assert torch.equal(rotate(x, phases(mu, torch.zeros(2, 50, 3), CONFIG, gain)), plain)


def test_dimensions_beyond_the_pairs_pass_through() -> None:
    x = vectors(1)
    assert torch.equal(place(x, (5.0, 3.0, 2.0), (1.0, 1.0, 1.0))[..., 2 * N_PAIRS :], x[..., 2 * N_PAIRS :])


def test_damping_is_the_expectation_over_gaussians() -> None:
    """Sampled within three standard errors, with means and spreads on both sides."""
    generator = torch.Generator().manual_seed(2)
    n = 200_000
    q, k = vectors(3), vectors(4)
    places = [((7.0, 3.0, 1.0), (0.8, 0.5, 1.5)), ((4.5, 2.0, 2.5), (1.2, 0.7, 0.4))]
    damped = score(*(place(x, mu, sigma) for x, (mu, sigma) in zip((q, k), places, strict=True)))
    sampled = []
    for x, (mu, sigma) in zip((q, k), places, strict=True):
        noise = torch.randn(1, n, 3, generator=generator, dtype=torch.float64)
        at = phases(torch.tensor(mu) + noise * torch.tensor(sigma), torch.zeros(1, n, 3), CONFIG)
        sampled.append(rotate(x.expand(1, 1, n, -1), at)[0, 0].double())
    scores = (sampled[0] * sampled[1]).sum(-1)
    assert abs(float(scores.mean()) - damped) < 3 * float(scores.std()) / math.sqrt(n)


@settings(max_examples=60, deadline=None)
@given(POSITIONS, POSITIONS, SPREADS, SPREADS, st.integers(0, 1000))
def test_a_score_in_closed_form(
    mu_q: tuple[float, ...], mu_k: tuple[float, ...], s_q: tuple[float, ...], s_k: tuple[float, ...], seed: int
) -> None:
    """Re of sum conj(q) k exp(i w dmu) exp(-w^2 (sq^2 + sk^2) / 2): only the distance and the summed variance count."""
    q, k = vectors(seed), vectors(seed + 1)
    a, b = (x[0, 0, 0].double().numpy() for x in (q, k))
    expected = float(a[2 * N_PAIRS :] @ b[2 * N_PAIRS :])
    size = abs(expected)
    for pair, (axis, w) in enumerate(pair_frequencies()):
        zq, zk = complex(a[pair], a[N_PAIRS + pair]), complex(b[pair], b[N_PAIRS + pair])
        turned = zq.conjugate() * zk * np.exp(1j * w * (mu_k[axis] - mu_q[axis]))
        expected += turned.real * math.exp(-0.5 * w * w * (s_q[axis] ** 2 + s_k[axis] ** 2))
        size += abs(turned)
    found = score(place(q, mu_q, s_q), place(k, mu_k, s_k))
    assert abs(found - expected) <= 1e-6 * max(size, 1.0) + 1e-6


@settings(max_examples=60, deadline=None)
@given(POSITIONS, POSITIONS, st.tuples(st.floats(-1e6, 1e6), st.floats(-50, 50), st.floats(-50, 50)))
def test_scores_do_not_change_when_all_move(
    mu_q: tuple[float, ...], mu_k: tuple[float, ...], by: tuple[float, ...]
) -> None:
    q, k, sigma = vectors(5), vectors(6), (0.5, 1.0, 0.0)
    moved = [tuple(m + d for m, d in zip(mu, by, strict=True)) for mu in (mu_q, mu_k)]
    here = score(place(q, mu_q, sigma), place(k, mu_k, sigma))
    there = score(place(q, moved[0], sigma), place(k, moved[1], sigma))
    assert there == pytest.approx(here, abs=2 * FLOAT32)


def test_without_knowing_where_nothing_rotated_is_left() -> None:
    """A spread without bound: every pair has a positive frequency, so all of them vanish and no NaN appears."""
    for sigma in (1e6, 1e12, 1e30):
        out = place(vectors(7), (1e9, 3.0, 5.0), (sigma, sigma, sigma))
        assert torch.equal(out[..., : 2 * N_PAIRS], torch.zeros(1, 1, 1, 2 * N_PAIRS))
    assert (CONFIG.frequencies() > 0).all()


@pytest.mark.parametrize("far", [1e6, 1e9])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_far_positions_differ_as_near_ones(far: float, axis: int) -> None:
    """Defect of the origin: there, 1e8 and 1e8 + 3 encode identically."""
    at = [[0.0, 0.0, 0.0] for _ in range(4)]
    for mu, along in zip(at, (0.0, 3.0, far, far + 3), strict=True):
        mu[axis] = along
    q, k = vectors(8), vectors(9)
    near = score(place(q, tuple(at[0])), place(k, tuple(at[1])))
    distant = score(place(q, tuple(at[2])), place(k, tuple(at[3])))
    together = score(place(q, tuple(at[2])), place(k, tuple(at[2])))
    assert distant == pytest.approx(near, abs=FAR)
    assert abs(together - distant) > 0.1, "three steps make a difference"


def test_far_positions_with_bfloat16_inputs() -> None:
    """What bfloat16 rounds away is its own: no more far out than near, and nothing of it in the phases."""
    q, k = vectors(8, dtype=torch.bfloat16), vectors(9, dtype=torch.bfloat16)
    exact = [place(x.float(), (t, 0.0, 0.0)) for x, t in ((q, 0.0), (k, 3.0), (q, 1e9), (k, 1e9 + 3))]
    assert score(exact[2], exact[3]) == pytest.approx(score(exact[0], exact[1]), abs=FAR)
    rounded = [place(x, (t, 0.0, 0.0)) for x, t in ((q, 0.0), (k, 3.0), (q, 1e9), (k, 1e9 + 3))]
    assert all(x.dtype == torch.bfloat16 for x in rounded)
    for own, true in zip(rounded, exact, strict=True):
        assert torch.equal(own, true.to(torch.bfloat16))
    largest = float(q.float().norm() * k.float().norm())
    assert score(rounded[2], rounded[3]) == pytest.approx(score(rounded[0], rounded[1]), abs=2 * BFLOAT16 * largest)


def test_positions_up_to_1e12_lose_no_more_than_float64_does() -> None:
    """At 1e12 a float64 has steps of 1.2e-4, which bounds every phase."""
    q, k = vectors(8), vectors(9)
    near = score(place(q, (0.0, 0.0, 0.0)), place(k, (3.0, 0.0, 0.0)))
    distant = score(place(q, (1e12, 0.0, 0.0)), place(k, (1e12 + 3, 0.0, 0.0)))
    size = float(q[..., : 2 * CONFIG.pairs[0]].abs().sum() * k.abs().max())
    assert distant == pytest.approx(near, abs=2 * np.spacing(1e12) * size)


def test_gradients() -> None:
    """Of inputs through rotate, and of the gain through the damping; by finite differences."""
    x = vectors(10, n=2, dtype=torch.float64).requires_grad_()
    mu = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 0.5, 1.5]]], dtype=torch.float64)
    sigma = torch.tensor([[[0.5, 0.2, 0.9], [1.0, 0.0, 0.3]]])
    gain = torch.tensor([1.0, 0.7, 1.3], requires_grad=True)

    def loss(x: Tensor, gain: Tensor) -> Tensor:
        return (rotate(x, phases(mu, sigma, CONFIG, gain)) ** 2 * torch.arange(1, 21)).sum()

    loss(x, gain).backward()
    assert x.grad is not None
    assert gain.grad is not None
    step = 1e-2  # the module computes in float32
    for tensor, gradient in ((gain, gain.grad), (x, x.grad)):
        flat = tensor.detach().clone().reshape(-1)
        for i in range(min(len(flat), 12)):
            values = []
            for sign in (1, -1):
                moved = flat.clone()
                moved[i] += sign * step
                new = moved.reshape(tensor.shape)
                with torch.no_grad():
                    values.append(float(loss(x, new) if tensor is gain else loss(new, gain)))
            slope = (values[0] - values[1]) / (2 * step)
            assert slope == pytest.approx(float(gradient.reshape(-1)[i]), rel=2e-2, abs=2e-2)


def test_rotate_keeps_shape_and_dtype() -> None:
    at = phases(torch.zeros(2, 5, 3, dtype=torch.float64), torch.zeros(2, 5, 3), CONFIG)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        out = rotate(torch.ones(2, 3, 5, CONFIG.head_dim, dtype=dtype), at)
        assert (out.dtype, out.shape) == (dtype, (2, 3, 5, CONFIG.head_dim))


@pytest.mark.parametrize("pairs", [(6, 3, 2), (-1, 2, 2)])
def test_pairs_must_fit_the_head(pairs: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        RotaryConfig(head_dim=20, pairs=pairs)


def test_an_odd_head_is_refused() -> None:
    with pytest.raises(ValueError, match="even head"):
        RotaryConfig(head_dim=21, pairs=(1, 1, 1))


def test_an_axis_may_have_no_pairs() -> None:
    config = RotaryConfig(head_dim=8, pairs=(2, 0, 1))
    assert config.frequencies().shape == (3,)
    assert config.axis_of_pair().tolist() == [0, 0, 2]
