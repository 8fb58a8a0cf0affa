"""Optimizers. Oracles: torch.optim.Muon and torch.optim.AdamW, the singular value decomposition."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mm_megacontext.bases.native import NativeModel
from mm_megacontext.training.checkpoint import Checkpoint
from mm_megacontext.training.optimizers import Muon, make_optimizer, orthogonal
from tests.tiny import CONFIG, random_model


@given(m=st.integers(1, 40), n=st.integers(1, 40), seed=st.integers(0, 10_000))
def test_orthogonal_keeps_the_directions_and_evens_out_the_lengths(m: int, n: int, seed: int) -> None:
    matrix = torch.randn(m, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    u, lengths, v = torch.linalg.svd(matrix, full_matrices=False)
    inside = u.T @ orthogonal(matrix) @ v.T
    found = inside.diagonal()
    assert torch.allclose(inside, torch.diag(found), atol=1e-8)
    is_clear = lengths > 0.02 * lengths.norm()
    assert ((found > 0.5) & (found < 1.3))[is_clear].all()


def test_updates_are_those_of_torch() -> None:
    generator = torch.Generator().manual_seed(3)
    ours, theirs, rest, rest_theirs = (
        nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(1)))
        for shape in ((48, 20), (48, 20), (7,), (7,))
    )
    groups = [{"params": [ours], "lr": 0.02, "weight_decay": 0.05, "orthogonal": True}, {"params": [rest], "lr": 0.01}]
    muon = Muon(groups, betas=(0.9, 0.98), weight_decay=0.0)
    parts = (
        torch.optim.Muon([theirs], lr=0.02, weight_decay=0.05),
        torch.optim.AdamW([rest_theirs], lr=0.01, betas=(0.9, 0.98), weight_decay=0.0),
    )
    for _ in range(10):
        before, before_theirs = ours.detach().clone(), theirs.detach().clone()
        ours.grad = torch.randn(48, 20, generator=generator)
        rest.grad = torch.randn(7, generator=generator)
        theirs.grad, rest_theirs.grad = ours.grad.clone(), rest.grad.clone()
        muon.step()
        for part in parts:
            part.step()  # type: ignore[no-untyped-call]
        # Theirs multiplies in bfloat16: 8 bits, five iterations that amplify small values.
        step, step_theirs = ours.detach() - before, theirs.detach() - before_theirs
        assert float((step - step_theirs).norm()) < 0.05 * float(step_theirs.norm())
        assert torch.equal(rest, rest_theirs)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_restored_optimizer_goes_on_as_if_nothing_had_happened(name: str) -> None:
    def trained(model: NativeModel, optimizer: torch.optim.Optimizer, seeds: range) -> None:
        for seed in seeds:
            for i, p in enumerate(model.parameters()):
                p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(1000 * seed + i))
            optimizer.step()

    model = random_model()
    optimizer = make_optimizer(name, model, 1e-2)  # type: ignore[arg-type]
    trained(model, optimizer, range(3))
    saved = Checkpoint.of(model, optimizer, 3, 0.5)
    trained(model, optimizer, range(3, 6))
    other = NativeModel(CONFIG)
    other_optimizer = make_optimizer(name, other, 1e-2)  # type: ignore[arg-type]
    saved.restore(other, other_optimizer)
    trained(other, other_optimizer, range(3, 6))
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_every_parameter_is_in_one_group(name: str) -> None:
    model = random_model()
    groups = make_optimizer(name, model, 1e-2).param_groups  # type: ignore[arg-type]
    assert sorted(id(p) for group in groups for p in group["params"]) == sorted(id(p) for p in model.parameters())
    linear = {id(m.weight) for layer in model.layers for m in layer.modules() if isinstance(m, nn.Linear)}
    assert {id(p) for group in groups if group.get("orthogonal") for p in group["params"]} == (
        linear if name == "muon" else set()
    )
