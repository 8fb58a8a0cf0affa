"""What a model remembers. Oracle: the whole sequence read at once."""

from __future__ import annotations

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
    return whole, model, read_on(model, whole, State.empty(model))[0]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.data())
def test_reading_in_parts_is_reading_at_once(seed: int, n: int, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, n), max_size=5))) or [n]
    with torch.inference_mode():
        whole, model, expected = whole_and_model(seed, n)
        state, hidden = State.empty(model), []
        for begin, end in zip([0, *cuts], [*cuts, n], strict=True):
            if begin < end:
                own, state = read_on(model, part(whole, begin, end), state)
                hidden.append(own)
                assert len(state) == end
    torch.testing.assert_close(torch.cat(hidden, dim=1), expected, atol=TOLERANCE, rtol=0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40), st.data())
def test_what_is_dropped_leaves_no_trace(seed: int, n: int, data: st.DataObject) -> None:
    """Read on with something else, go back, and read what really follows."""
    kept = data.draw(st.integers(0, n - 1))
    with torch.inference_mode():
        whole, model, expected = whole_and_model(seed, n)
        _, state = read_on(model, part(whole, 0, kept), State.empty(model)) if kept else (None, State.empty(model))
        _, astray = read_on(model, random_inputs(seed + 1, 7), state)
        assert len(astray.keep(kept)) == kept
        hidden, _ = read_on(model, part(whole, kept, n), astray.keep(kept))
        again, _ = read_on(model, part(whole, kept, n), state)
    torch.testing.assert_close(hidden, expected[:, kept:], atol=TOLERANCE, rtol=0)
    assert torch.equal(hidden, again), "a state is a value"


def test_an_empty_state_has_the_model_s_form() -> None:
    state = State.empty(random_model(0).to(torch.bfloat16), batch=3)
    assert len(state) == 0
    assert state.keep(0) is state
    assert {t.dtype for t in state.layers[0]} == {torch.bfloat16}
    assert state.times.shape == (3, CONFIG.conv_width - 1)
