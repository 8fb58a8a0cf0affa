"""Gaussian rotary embedding against formulas written out in float64, and against samples."""

from __future__ import annotations

import decimal
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mm_megacontext.positional import Positions, RotaryConfig, phases, rotate, turn

TWO_PI = Decimal(
    "6.283185307179586476925286766559005768394338798750211641949889184615632812572417997256069650684234135964"
)
CONFIG = RotaryConfig(head_dim=20, pairs=(3, 2, 4))
N_PAIRS = sum(CONFIG.pairs)
FLOAT32 = 1e-5
"""Scores of magnitude 10, phases rounded to float32."""
FAR = 1e-4
"""What is allowed far out."""
PHASE = 2e-7
"""An angle of at most pi rounded to float32, and its cosine."""
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
    return turn(x, phases(at([[mu]], [[sigma]]), CONFIG))


def at(mu: Sequence[Any], sigma: Sequence[Any] | None = None) -> Positions:
    means = torch.tensor(mu, dtype=torch.float64)
    return Positions(means, torch.zeros(means.shape) if sigma is None else torch.tensor(sigma))


def exact_angle(mu: float, theta: float, i: int, n: int) -> float:
    """``mu * theta^(-i/n)`` without its whole turns, to 60 digits before it is rounded."""
    with decimal.localcontext(prec=80):
        angle = Decimal(mu) * Decimal(theta) ** (Decimal(-i) / n)
        return float(angle - (angle / TWO_PI).to_integral_value() * TWO_PI)


def score(q: Tensor, k: Tensor) -> float:
    return float((q.double() * k.double()).sum())


@settings(max_examples=60)
@given(POSITIONS, SPREADS, st.integers(0, 1000))
def test_against_complex_numbers(mu: tuple[float, ...], sigma: tuple[float, ...], seed: int) -> None:
    x = vectors(seed)
    expected = reference(x[0, 0, 0].numpy(), mu, sigma)
    np.testing.assert_allclose(place(x, mu, sigma)[0, 0, 0].numpy(), expected, atol=FLOAT32)


def test_without_spread_it_is_plain_rotary_bit_for_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    mu = torch.rand(2, 20, 3, generator=generator, dtype=torch.float64) * torch.tensor([1e7, 80.0, 100.0])
    x = torch.randn(2, 4, 20, CONFIG.head_dim, generator=generator)
    pairs = [(a, CONFIG.theta[a], i, n) for a, n in enumerate(CONFIG.pairs) for i in range(n)]
    angle = torch.tensor(
        [[[exact_angle(float(m[a]), theta, i, n) for a, theta, i, n in pairs] for m in row] for row in mu]
    ).float()[:, None]
    a, b, rest = x[..., :N_PAIRS], x[..., N_PAIRS : 2 * N_PAIRS], x[..., 2 * N_PAIRS :]
    plain = torch.cat((a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin(), rest), dim=-1)
    for gain in (None, torch.tensor([3.0, 0.1, 7.0])):
        assert torch.equal(turn(x, phases(Positions.exact(mu), CONFIG, gain)), plain)


@settings(max_examples=200)
@given(st.floats(-1e12, 1e12), st.integers(0, 2))
def test_phases_are_exact_out_to_1e12(mu: float, axis: int) -> None:
    """Whatever dtype the model runs in: phases are float32, right to its rounding."""
    place = [0.0, 0.0, 0.0]
    place[axis] = mu
    found = phases(at([place]), CONFIG)
    n, theta = CONFIG.pairs[axis], CONFIG.theta[axis]
    of_axis = CONFIG.axis_of_pair() == axis
    angles = [exact_angle(mu, theta, i, n) for i in range(n)]
    np.testing.assert_allclose(found.cos[0, of_axis].double(), np.cos(angles), atol=PHASE)
    np.testing.assert_allclose(found.sin[0, of_axis].double(), np.sin(angles), atol=PHASE)


def test_a_query_and_a_key_turn_alike() -> None:
    q, k = vectors(1, n=3), vectors(2, n=3)
    places = at([[[1.0, 2.0, 3.0], [7.0, 0.0, 1.0], [9.5, 4.0, 4.0]]], [[[0.1, 0.0, 2.0]] * 3])
    gain = torch.tensor([1.0, 0.5, 2.0])
    found = rotate(q, k, places, CONFIG, gain)
    for one, x in zip(found, (q, k), strict=True):
        assert torch.equal(one, turn(x, phases(places, CONFIG, gain)))


def test_dimensions_beyond_the_pairs_pass_through() -> None:
    x = vectors(1)
    assert torch.equal(place(x, (5.0, 3.0, 2.0), (1.0, 1.0, 1.0))[..., 2 * N_PAIRS :], x[..., 2 * N_PAIRS :])


def test_damping_is_the_expectation_over_gaussians() -> None:
    """Sampled within three standard errors, with means and spreads on both sides."""
    generator = torch.Generator().manual_seed(2)
    n = 200_000
    q, k = vectors(3), vectors(4)
    gaussians = [((7.0, 3.0, 1.0), (0.8, 0.5, 1.5)), ((4.5, 2.0, 2.5), (1.2, 0.7, 0.4))]
    damped = score(*(place(x, mu, sigma) for x, (mu, sigma) in zip((q, k), gaussians, strict=True)))
    sampled = []
    for x, (mu, sigma) in zip((q, k), gaussians, strict=True):
        noise = torch.randn(1, n, 3, generator=generator, dtype=torch.float64)
        places = Positions.exact(torch.tensor(mu) + noise * torch.tensor(sigma))
        sampled.append(turn(x.expand(1, 1, n, -1), phases(places, CONFIG))[0, 0].double())
    scores = (sampled[0] * sampled[1]).sum(-1)
    assert abs(float(scores.mean()) - damped) < 3 * float(scores.std()) / math.sqrt(n)


@settings(max_examples=60)
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


@settings(max_examples=60)
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


@pytest.mark.parametrize("far", [1e6, 1e9, 1e12])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_far_positions_differ_as_near_ones(far: float, axis: int) -> None:
    """Defect 7 of the origin: there, 1e8 and 1e8 + 3 encode identically."""
    places = [[0.0, 0.0, 0.0] for _ in range(4)]
    for mu, along in zip(places, (0.0, 3.0, far, far + 3), strict=True):
        mu[axis] = along
    q, k = vectors(8), vectors(9)
    near = score(place(q, tuple(places[0])), place(k, tuple(places[1])))
    distant = score(place(q, tuple(places[2])), place(k, tuple(places[3])))
    together = score(place(q, tuple(places[2])), place(k, tuple(places[2])))
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


def test_gradients() -> None:
    """By finite differences in float64: of q and k through rotate, of the spread and the gain through the damping."""
    q, k = (vectors(seed, n=2, dtype=torch.float64).requires_grad_() for seed in (10, 11))
    mu = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 0.5, 1.5]]], dtype=torch.float64)
    sigma = torch.tensor([[[0.5, 0.2, 0.9], [1.0, 0.3, 0.3]]], dtype=torch.float64, requires_grad=True)
    gain = torch.tensor([1.0, 0.7, 1.3], dtype=torch.float64, requires_grad=True)

    def rotated(q: Tensor, k: Tensor, sigma: Tensor, gain: Tensor) -> tuple[Tensor, Tensor]:
        return rotate(q, k, Positions(mu, sigma), CONFIG, gain)

    assert torch.autograd.gradcheck(rotated, (q, k, sigma, gain))


def test_the_gist_of_a_block_lies_between_its_ends() -> None:
    """A run of leaves 0 to 9 as one gist: nearer to its middle than to either end, and as near to both."""
    leaves = Positions.tokens(10)
    gist = Positions.spans(leaves.mu[:1] - 0.5, leaves.mu[-1:] + 0.5)
    assert gist.mu[0, 0] == leaves.mu[:, 0].mean()
    config = RotaryConfig(head_dim=2, pairs=(1, 0, 0))
    q = torch.tensor([[[[1.0, 0.0]]]])
    to = [score(turn(q, phases(gist, config)), turn(q, phases(at([[t, 0.0, 0.0]]), config))) for t in (0, 4.5, 9)]
    assert to[1] > max(to[0], to[2])
    assert to[0] == pytest.approx(to[2], abs=FLOAT32)


def test_the_coarser_the_blurrier() -> None:
    """Gists of 32, 1024 and 32768 tokens: each keeps less of every frequency than the one below, and slow ones last."""
    widths = torch.tensor([0.0, 32.0, 32.0**2, 32.0**3])
    begin = torch.zeros(4, 3, dtype=torch.float64)
    end = begin + widths[:, None].double()
    found = phases(Positions.spans(begin, end), RotaryConfig(head_dim=32, pairs=(16, 0, 0)))
    kept = torch.hypot(found.cos, found.sin)
    assert (kept[0] == 1).all()
    assert (kept[:-1] >= kept[1:]).all()
    assert (kept[:, :-1] <= kept[:, 1:]).all(), "frequencies descend"
    assert (kept[1:, -1] > kept[1:, 0]).all()


def test_rotate_keeps_shape_and_dtype() -> None:
    places = Positions(torch.zeros(2, 5, 3, dtype=torch.float64), torch.zeros(2, 5, 3))
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        x = torch.ones(2, 3, 5, CONFIG.head_dim, dtype=dtype)
        out, _ = rotate(x, x[:, :1], places, CONFIG)
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
