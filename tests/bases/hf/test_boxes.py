"""Boxes in the words of each family. Oracles: examples of their makers, and the box that was written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mm_megacontext.bases.hf import boxes
from mm_megacontext.bases.hf.boxes import BoxFormat
from mm_megacontext.bases.hf.families import FAMILIES
from mm_megacontext.document import Box

FORMATS = [boxes.THOUSANDTHS, boxes.QWEN2, boxes.PIXELS, boxes.INTERNVL, boxes.GEMMA]
HALF_PATCH = 14
"""Pixels of the picture as the model sees it: patches of the families are 28 on a side, after merging."""
N_SIZES = 200

sides = st.integers(28, 4000)
shares = st.floats(0, 1)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Box, tuple[int, int], tuple[int, int]]:
    """A box in a picture of any size, and the size that a processor brings it to: multiples of 28, at most 1,000."""
    size = (draw(sides), draw(sides))
    shrunk = min(1.0, 1000 / max(size))
    resized = (max(28, round(size[0] * shrunk / 28) * 28), max(28, round(size[1] * shrunk / 28) * 28))
    xs, ys = (sorted(draw(st.tuples(shares, shares))) for _ in range(2))
    return (xs[0] * size[0], ys[0] * size[1], xs[1] * size[0], ys[1] * size[1]), size, resized


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@hypothesis_settings(max_examples=N_SIZES, deadline=None)
@given(cases())
def test_a_box_that_was_written_is_read_within_half_a_patch(
    form: BoxFormat, case: tuple[Box, tuple[int, int], tuple[int, int]]
) -> None:
    box, size, resized = case
    found = form.read(f"It is here: {form.write(box, size, resized)}.", size, resized)
    assert found is not None
    scales = (resized[0] / size[0], resized[1] / size[1]) * 2
    off = [abs(a - b) * scale for a, b, scale in zip(found, box, scales, strict=True)]
    assert max(off) <= HALF_PATCH


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (boxes.THOUSANDTHS, "[100, 400, 300, 800]"),
        (boxes.QWEN2, "<|box_start|>(100,400),(300,800)<|box_end|>"),
        (boxes.PIXELS, "[56, 112, 168, 224]"),
        (boxes.INTERNVL, "<box>[[100, 400, 300, 800]]</box>"),
        (boxes.GEMMA, "[400, 100, 800, 300]"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_the_words_of_each_family(form: BoxFormat, said: str) -> None:
    """One box, 1,000 by 500, as the model of the family would be shown it: seen at 560 by 280."""
    box = (100.0, 200.0, 300.0, 400.0)
    assert form.write(box, (1000, 500), (560, 280)) == said
    assert form.read(said, (1000, 500), (560, 280)) == pytest.approx(box)


@pytest.mark.parametrize(
    ("said", "box"),
    [
        ("[900, 900, 100, 100]", (10, 10, 90, 90)),
        ("[-5, 0, 2000, 1000]", (0, 0, 100, 100)),
        ('[{"bbox_2d": [105, 0, 200, 300], "label": "cat 7"}]', (10.5, 0, 20, 30)),
        ("In 2024, at 3 places: (100,200),(300,400).", (10, 20, 30, 40)),
        ("nothing is here", None),
        ("[1, 2, 3]", None),
    ],
)
def test_what_models_say_besides(said: str, box: Box | None) -> None:
    assert boxes.THOUSANDTHS.read(said, (100, 100), (100, 100)) == box


def test_families_that_were_trained_to_point_have_a_format() -> None:
    pointing = {name for name in FAMILIES.names() if FAMILIES.get(name)().boxes is not None}
    assert pointing == {"qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl", "gemma3"}
