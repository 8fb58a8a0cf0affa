"""How families of models write a box in words, and back: each was trained to see its own numbers.

Our frame, as everywhere: origin top left, y down, pixels of the picture. ``resized`` is the size that the model's
processor brings the picture to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mm_megacontext.document import Box

Size = tuple[int, int]
"""Width and height."""

_NUMBER = r"-?\d+(?:\.\d+)?"
_BETWEEN = r"[\s,()\[\]]+"
_NUMBERS = re.compile(rf"(?<![\w.]){_BETWEEN.join(4 * [f'({_NUMBER})'])}(?![\w.]*\w)")
"""Four that follow each other; the 2 of ``bbox_2d`` is none of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxFormat:
    """A way to write a box.

    Attributes:
        name: For people.
        pattern: With ``{0}`` to ``{3}`` for the numbers in the order in which they are written.
        order: Indices into (x0, y0, x1, y1) of these numbers.
        steps: Into how many steps width and height are divided; None for pixels of the resized picture.

    Example:
        >>> THOUSANDTHS.write((10, 20, 30, 40), size=(100, 100), resized=(56, 56))
        '[100, 200, 300, 400]'
        >>> PIXELS.read("[5, 11, 16, 22]", size=(100, 200), resized=(50, 100))
        (10.0, 22.0, 32.0, 44.0)
    """

    name: str
    pattern: str
    order: tuple[int, int, int, int] = (0, 1, 2, 3)
    steps: int | None = 1000

    def write(self, box: Box, size: Size, resized: Size) -> str:
        """A box in the model's words; rounded to its steps.

        Args:
            box: In pixels of the picture.
            size: Of the picture.
            resized: Of the picture as the model sees it.
        """
        scales = self._scales(size, resized)
        edges = [round(edge * scale) for edge, scale in zip(box, scales, strict=True)]
        return self.pattern.format(*(edges[i] for i in self.order))

    def read(self, text: str, size: Size, resized: Size) -> Box | None:
        """The first box that a text names, in pixels of the picture; None if no four numbers follow each other.

        Corners are put in order, and what lies outside is cut to the picture.
        """
        match = _NUMBERS.search(text)
        if match is None:
            return None
        told = [float(number) for number in match.groups()]
        edges = [told[self.order.index(i)] for i in range(4)]
        x0, y0, x1, y1 = (edge / scale for edge, scale in zip(edges, self._scales(size, resized), strict=True))
        width, height = size
        return (
            _within(min(x0, x1), width),
            _within(min(y0, y1), height),
            _within(max(x0, x1), width),
            _within(max(y0, y1), height),
        )

    def _scales(self, size: Size, resized: Size) -> tuple[float, float, float, float]:
        """From pixels of the picture to the model's numbers, of each edge."""
        whole = (self.steps, self.steps) if self.steps is not None else resized
        x, y = whole[0] / size[0], whole[1] / size[1]
        return (x, y, x, y)


def _within(edge: float, most: int) -> float:
    return min(max(edge, 0.0), float(most))


THOUSANDTHS = BoxFormat(name="thousandths of width and height", pattern="[{0}, {1}, {2}, {3}]")
"""Qwen3-VL."""
QWEN2 = BoxFormat(name="thousandths between tokens of its own", pattern="<|box_start|>({0},{1}),({2},{3})<|box_end|>")
"""Qwen2-VL."""
PIXELS = BoxFormat(name="pixels of the resized picture", pattern="[{0}, {1}, {2}, {3}]", steps=None)
"""Qwen2.5-VL."""
INTERNVL = BoxFormat(name="thousandths between tags", pattern="<box>[[{0}, {1}, {2}, {3}]]</box>")
"""InternVL."""
GEMMA = BoxFormat(name="thousandths, y first", pattern="[{0}, {1}, {2}, {3}]", order=(1, 0, 3, 2))
"""Gemma 3, as its makers' examples ask for boxes."""
