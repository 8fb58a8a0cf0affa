"""A page of PyMuPDF as a person sees it: PyMuPDF gives text and drawings in the frame before rotation."""

from __future__ import annotations

from typing import Any, NamedTuple

from mm_megacontext.document import Box
from mm_megacontext.layout.engines.protocol import clip_box


class PageFrame(NamedTuple):
    """The frame of a page.

    Attributes:
        size: Width and height in points, after rotation and cropping.
        turn: The matrix (a, b, c, d, e, f) from PyMuPDF's frame; None where both are the same.
    """

    size: tuple[float, float]
    turn: tuple[float, ...] | None

    @classmethod
    def of(cls, page: Any) -> PageFrame:
        """That of a page of PyMuPDF."""
        size = (float(page.rect.width), float(page.rect.height))
        return cls(size, tuple(page.rotation_matrix) if page.rotation else None)

    def turned(self, box: Box) -> Box:
        """A box of PyMuPDF's frame on the page as it is seen; it may lie outside."""
        if self.turn is None:
            return box
        a, b, c, d, e, f = self.turn
        x0, y0, x1, y1 = box
        u0, v0, u1, v1 = a * x0 + c * y0 + e, b * x0 + d * y0 + f, a * x1 + c * y1 + e, b * x1 + d * y1 + f
        return (min(u0, u1), min(v0, v1), max(u0, u1), max(v0, v1))

    def clipped(self, box: Box) -> Box | None:
        """The part of a box that is on the page; None where there is none."""
        return clip_box(self.turned(box), self.size)
