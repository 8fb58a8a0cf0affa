"""Which pair turns with which axis, and how fast. Oracle: the formulas written out."""

from __future__ import annotations

import math

import pytest
import torch

from mm_megacontext.positional import Positions, RotaryConfig, phases
from mm_megacontext.positional.frequencies import pair_table

CPU = torch.device("cpu")


def test_separate_axes_have_a_series_each() -> None:
    config = RotaryConfig(head_dim=20, pairs=(3, 2, 4), theta=(1e4, 100.0, 50.0), order=("y", "t", "x"))
    expected = [50.0 ** (-i / 4) for i in range(4)] + [1e4 ** (-i / 3) for i in range(3)] + [1.0, 0.1]
    assert config.axis_of_pair().tolist() == [2] * 4 + [0] * 3 + [1] * 2
    assert config.frequencies().tolist() == pytest.approx(expected, rel=1e-15)


def test_chunked_axes_share_one_series_in_runs() -> None:
    config = RotaryConfig(head_dim=16, pairs=(2, 3, 3), layout="chunked", order=("t", "y", "x"), theta=(1e6, 1.0, 1.0))
    assert config.axis_of_pair().tolist() == [0, 0, 2, 2, 2, 1, 1, 1]
    assert config.frequencies().tolist() == pytest.approx([1e6 ** (-i / 8) for i in range(8)], rel=1e-15)


def test_interleaved_axes_take_turns() -> None:
    config = RotaryConfig(head_dim=20, pairs=(4, 3, 3), layout="interleaved", order=("t", "y", "x"))
    assert config.axis_of_pair().tolist() == [0, 2, 1, 0, 2, 1, 0, 2, 1, 0]


@pytest.mark.parametrize("n", [2, 5, 16])
@pytest.mark.parametrize("stretch", [1.0, 4.0, 32.0])
def test_stretching_slows_the_slowest_and_leaves_the_fastest(n: int, stretch: float) -> None:
    """bloc97's base: theta * s^(d / (d - 2)); the last of n frequencies becomes exactly s times slower."""
    plain = RotaryConfig(head_dim=2 * n, pairs=(n, 0, 0)).frequencies()
    stretched = RotaryConfig(head_dim=2 * n, pairs=(n, 0, 0), stretch=(stretch, 1.0, 1.0)).frequencies()
    ratio = (plain / stretched).tolist()
    assert ratio[0] == 1.0
    assert ratio[-1] == pytest.approx(stretch)
    assert ratio == sorted(ratio)


def test_ultra_slow_pairs_go_on_to_their_longest_period() -> None:
    config = RotaryConfig(head_dim=20, pairs=(6, 2, 2), slow_pairs=(2, 0, 1), slow_period=(1e9, 1.0, 1e7))
    ordinary = RotaryConfig(head_dim=20, pairs=(4, 2, 1)).frequencies()
    found = config.frequencies()
    assert torch.equal(found[:4], ordinary[:4])
    assert float(found[5]) == pytest.approx(2 * math.pi / 1e9)
    assert float(found[4]) == pytest.approx(math.sqrt(float(found[3]) * float(found[5])))
    assert float(found[9]) == pytest.approx(2 * math.pi / 1e7)
    assert torch.equal(found[6:8], ordinary[4:6])


def test_an_ultra_slow_pair_tells_far_pages_apart() -> None:
    """Where all ordinary pairs have turned many times, it has not turned once."""
    config = RotaryConfig(head_dim=8, pairs=(4, 0, 0), slow_pairs=(1, 0, 0), slow_period=(1e10, 1.0, 1.0))
    times = torch.zeros(5, 3, dtype=torch.float64)
    times[:, 0] = torch.tensor([0.0, 1e9, 2e9, 3e9, 4e9])
    slow = phases(Positions.exact(times), config).cos[:, -1]
    assert (slow[:-1] > slow[1:]).all()


def test_turns_are_exact_to_more_than_float64() -> None:
    """The two parts together, against integers of 60 digits: theta 2 and n 1 is one radian per unit."""
    table = pair_table(RotaryConfig(head_dim=2, pairs=(1, 0, 0)), CPU)
    digits = "0.159154943091895335768883763372514362034459645740456448747667"
    high, low = (part[0].item().as_integer_ratio() for part in (table.turns, table.turns_rest))
    scale = 10**60
    found = high[0] * scale // high[1] + low[0] * scale // low[1]
    assert abs(found - int(digits[2:])) < 10**60 // 2**105


def test_a_table_is_made_once() -> None:
    config = RotaryConfig(head_dim=20, pairs=(3, 2, 4))
    assert pair_table(config, CPU) is pair_table(RotaryConfig(head_dim=20, pairs=(3, 2, 4)), CPU)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"order": ("t", "t", "y")}, "order must name"),
        ({"theta": (0.5, 1.0, 1.0)}, "at least 1"),
        ({"stretch": (0.0, 1.0, 1.0)}, "at least 1"),
        ({"slow_pairs": (5, 0, 0)}, "must be some of"),
        ({"slow_pairs": (1, 0, 0), "layout": "chunked"}, "need layout 'separate'"),
        ({"pairs": (1, 4, 4), "layout": "interleaved"}, "cannot be interleaved"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    good: dict[str, object] = {"head_dim": 20, "pairs": (4, 2, 2)}
    with pytest.raises(ValueError, match=message):
        RotaryConfig(**{**good, **change})  # type: ignore[arg-type]


def test_phases_can_be_compiled_whole() -> None:
    config = RotaryConfig(head_dim=20, pairs=(3, 2, 4))
    seen: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> object:
        seen.append(len(graph.graph.nodes))
        return graph.forward

    def cosines(mu: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return phases(Positions(mu, sigma), config).cos

    mu, sigma = torch.rand(1, 7, 3, dtype=torch.float64) * 1e9, torch.rand(1, 7, 3)
    found = torch.compile(cosines, backend=backend, fullgraph=True)(mu, sigma)
    assert torch.equal(found, cosines(mu, sigma))
    assert len(seen) == 1
