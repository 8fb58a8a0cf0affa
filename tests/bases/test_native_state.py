"""What a model remembers. Oracle: the whole sequence read at once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.bases.native import Inputs, NativeModel
from mm_megacontext.bases.native_state import State, read_on
from tests.tiny import CONFIG, random_inputs, random_model

TOLERANCE = 1e-5
"""Hidden states of magnitude 1 in float32, attention sums in another order."""


def part(whole: Inputs, begin: int, end: int) -> Inputs:
    return Inputs(*(getattr(whole, name)[:, begin:end] for name in Inputs.__slots__))


def whole_and_model(seed: int, n: int) -> tuple[Inputs, NativeModel, torch.Tensor]:
    model = random_model(seed % 5)
    whole = random_inputs(seed, n)
    return whole, model, read_on(model, [whole], [State.empty(model)])[0][0]


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 40), st.data())
def test_reading_in_parts_is_reading_at_once(seed: int, n: int, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, n), max_size=5))) or [n]
    with torch.inference_mode():
        whole, model, expected = whole_and_model(seed, n)
        state, hidden = State.empty(model), []
        for begin, end in zip([0, *cuts], [*cuts, n], strict=True):
            if begin < end:
                (own,), (state,) = read_on(model, [part(whole, begin, end)], [state])
                hidden.append(own)
                assert len(state) == end
    torch.testing.assert_close(torch.cat(hidden, dim=1), expected, atol=TOLERANCE, rtol=0)


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 30), min_size=1, max_size=3), st.data())
def test_what_is_not_wanted_changes_nothing_else(seed: int, sizes: list[int], data: st.DataObject) -> None:
    """Neither the hidden states that are, nor what is remembered."""
    model = random_model(seed % 5)
    parts = [random_inputs(seed + i, n) for i, n in enumerate(sizes)]
    states = [State.empty(model)] * len(sizes)
    wanted = [torch.tensor(data.draw(st.lists(st.booleans(), min_size=n, max_size=n))) for n in sizes]
    with torch.inference_mode():
        everything, after = read_on(model, parts, states)
        asked, after_asked = read_on(model, parts, states, wanted)
    for whole, some, mask in zip(everything, asked, wanted, strict=True):
        torch.testing.assert_close(some, whole[:, mask], atol=TOLERANCE, rtol=0)
    for one, other in zip(after, after_asked, strict=True):
        for layer, own in zip(one.layers, other.layers, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(layer, own, strict=True))


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(2, 40), st.data())
def test_what_is_dropped_leaves_no_trace(seed: int, n: int, data: st.DataObject) -> None:
    """Read on with something else, go back, and read what really follows."""
    kept = data.draw(st.integers(0, n - 1))
    with torch.inference_mode():
        whole, model, expected = whole_and_model(seed, n)
        state = State.empty(model)
        if kept:
            _, (state,) = read_on(model, [part(whole, 0, kept)], [state])
        _, (astray,) = read_on(model, [random_inputs(seed + 1, 7)], [state])
        assert len(astray.keep(kept)) == kept
        (hidden,), _ = read_on(model, [part(whole, kept, n)], [astray.keep(kept)])
        (again,), _ = read_on(model, [part(whole, kept, n)], [state])
    torch.testing.assert_close(hidden, expected[:, kept:], atol=TOLERANCE, rtol=0)
    assert torch.equal(hidden, again), "a state is a value"


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), min_size=1, max_size=5))
def test_packed_sequences_are_read_as_if_alone(seed: int, sizes: list[tuple[int, int]]) -> None:
    """Sequences of different lengths, some of them read in part before."""
    model = random_model(seed % 5)
    with torch.inference_mode():
        wholes = [random_inputs(seed + i, before + new) for i, (before, new) in enumerate(sizes)]
        alone = [read_on(model, [whole], [State.empty(model)])[0][0] for whole in wholes]
        states = [State.empty(model) for _ in sizes]
        started = [i for i, (before, _) in enumerate(sizes) if before]
        if started:
            parts = [part(wholes[i], 0, sizes[i][0]) for i in started]
            for i, state in zip(started, read_on(model, parts, [states[i] for i in started])[1], strict=True):
                states[i] = state
        hidden, after = read_on(model, [part(w, b, b + n) for w, (b, n) in zip(wholes, sizes, strict=True)], states)
    assert [len(state) for state in after] == [sum(size) for size in sizes]
    for found, expected, (before, _) in zip(hidden, alone, sizes, strict=True):
        torch.testing.assert_close(found, expected[:, before:], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("far", [1e6, 1e9, 1e12])
def test_far_out_the_bits_are_the_same(far: float, dtype: torch.dtype) -> None:
    """Whole steps between entries, 1e9 and 1e9 + 3 as 0 and 3: in bfloat16 too, as phases count from the first."""
    model = random_model(2).to(dtype)
    here = random_inputs(5, 30)
    there = Inputs(*(getattr(here, name).clone() for name in Inputs.__slots__))
    there.mu[..., 0] += far
    with torch.inference_mode():
        found = []
        for whole in (here, there):
            (first,), states = read_on(model, [part(whole, 0, 20)], [State.empty(model)])
            (rest,), _ = read_on(model, [part(whole, 20, 30)], states)
            found.append(torch.cat((first, rest), dim=1))
    assert found[0].dtype == dtype
    assert torch.equal(*found)


def test_an_empty_state_has_the_model_s_form() -> None:
    state = State.empty(random_model(0).to(torch.bfloat16))
    assert len(state) == 0
    assert state.keep(0) is state
    assert {t.dtype for t in state.layers[0]} == {torch.bfloat16}
    assert state.times.shape == (CONFIG.conv_width - 1,)
    assert state.origin is None
