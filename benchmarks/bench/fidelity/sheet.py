"""A PDF file that writes down what is drawn on it."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from bench.fidelity.truth import Box, TrueFile, TruePage, TrueTable, TrueWord

DEJAVU = Path("/usr/share/fonts/truetype/dejavu")
"""Where Debian's package fonts-dejavu puts its fonts."""
FAMILIES = {
    "DejaVuSans": "DejaVuSans-Bold",
    "DejaVuSerif": "DejaVuSerif-Bold",
    "DejaVuSansCondensed": "DejaVuSansCondensed-Bold",
    "DejaVuSerifCondensed": "DejaVuSerifCondensed-Bold",
}
"""Fonts of running text, and the bold one of each."""
CJK = "DroidSansFallback"
LETTER = (612.0, 792.0)


@cache
def load_fonts() -> None:
    """Make the fonts known. Raises SystemExit where they are not installed."""
    import pymupdf

    if not DEJAVU.is_dir():
        raise SystemExit(f"{DEJAVU} is missing: apt install fonts-dejavu")
    for name in [*FAMILIES, *FAMILIES.values()]:
        pdfmetrics.registerFont(TTFont(name, DEJAVU / f"{name}.ttf"))
    pdfmetrics.registerFont(TTFont(CJK, io.BytesIO(pymupdf.Font("cjk").buffer)))  # a free font that PyMuPDF carries


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How words are set; sizes in points.

    Attributes:
        spaced: Whether spaces are drawn. Typesetting programs often leave them out and move on.
        justified: Whether lines are stretched to the width of their column.
    """

    font: str
    size: float
    leading: float
    spaced: bool = True
    justified: bool = False

    @property
    def bold(self) -> Style:
        return replace(self, font=FAMILIES[self.font], justified=False)

    def scaled(self, factor: float) -> Style:
        return replace(self, size=self.size * factor, leading=self.leading * factor)

    def width(self, text: str) -> float:
        """Of the text in points."""
        return float(pdfmetrics.stringWidth(text, self.font, self.size))

    def box(self, x: float, baseline: float, text: str) -> Box:
        """Of a word that begins at ``x``."""
        face = pdfmetrics.getFont(self.font).face
        up, down = face.ascent * self.size / 1000, face.descent * self.size / 1000
        return (x, baseline - up, x + self.width(text), baseline - down)


class Sheet:
    """Pages that are drawn in reading order and painted in it or, where ``shuffled``, in any other.

    Args:
        path: Of the file.
        rng: Of the order of painting.
        shuffled: Whether the order of painting says nothing about that of reading.
    """

    def __init__(self, path: Path, rng: random.Random, shuffled: bool = False) -> None:
        load_fonts()
        self.path = path
        self.canvas = Canvas(str(path), invariant=1, pageCompression=0)
        self.pages: list[TruePage] = []
        self._rng = rng
        self._shuffled = shuffled
        self._under: list[Callable[[], None]] = []
        self._ops: list[Callable[[], None]] = []

    def begin(self, size: tuple[float, float] = LETTER, rotation: int = 0, crop_margin: float = 0.0) -> None:
        """Begin a page of ``size`` as shown, stored turned, with a margin that the crop box cuts off."""
        turned = rotation in (90, 270)
        width, height = (size[1], size[0]) if turned else size
        m = crop_margin
        self.canvas.setPageSize((size[0] + 2 * m, size[1] + 2 * m))  # reportlab turns it itself
        self.canvas.setPageRotation(rotation)
        self.canvas.setCropBox((m, m, m + width, m + height))
        matrix = {
            0: (1, 0, 0, 1, m, m),
            90: (0, 1, -1, 0, m + width, m),
            180: (-1, 0, 0, -1, m + width, m + height),
            270: (0, -1, 1, 0, m, m + height),
        }[rotation]
        self._matrix = matrix
        self.pages.append(TruePage(len(self.pages) + 1, size))

    @property
    def page(self) -> TruePage:
        return self.pages[-1]

    def line(self, x: float, baseline: float, words: Sequence[str], style: Style, gap: float | None = None) -> None:
        """Words from left to right; ``gap`` is the space between two where it is not the font's."""
        space = style.width(" ")
        at = x
        for word in words:
            self.record(word, at, baseline, style)
            at += style.width(word) + (space if gap is None else gap)
        if style.spaced and gap is None:
            self.paint(x, baseline, " ".join(words), style)
        else:
            self._paint_apart(x, baseline, words, style, space if gap is None else gap)

    def _paint_apart(self, x: float, baseline: float, words: Sequence[str], style: Style, gap: float) -> None:
        for word in words:
            self.paint(x, baseline, word, style)
            x += style.width(word) + gap

    def record(self, text: str, x: float, baseline: float, style: Style, drawn: str | None = None) -> None:
        """Write down a word; ``drawn`` are its glyphs if they are others."""
        self.page.words.append(TrueWord(text, style.box(x, baseline, drawn or text)))

    def paint(self, x: float, baseline: float, text: str, style: Style) -> None:
        """Draw a text that was written down."""
        y = self.page.size[1] - baseline

        def op() -> None:
            self.canvas.setFont(style.font, style.size)
            self.canvas.drawString(x, y, text)

        self._ops.append(op)

    def rule(self, x0: float, y0: float, x1: float, y1: float, width: float = 0.6) -> None:
        height = self.page.size[1]

        def op() -> None:
            self.canvas.setLineWidth(width)
            self.canvas.line(x0, height - y0, x1, height - y1)

        self._under.append(op)

    def shade(self, box: Box, grey: float) -> None:
        """A filled rectangle below everything else."""
        x0, y0, x1, y1 = box
        height = self.page.size[1]

        def op() -> None:
            self.canvas.setFillGray(grey)
            self.canvas.rect(x0, height - y1, x1 - x0, y1 - y0, stroke=0, fill=1)
            self.canvas.setFillGray(0)

        self._under.insert(0, op)

    def add_table(self, table: TrueTable) -> None:
        self.page.tables.append(table)

    def end(self) -> None:
        """End the page."""
        if self._shuffled:
            self._rng.shuffle(self._ops)
        self.canvas.saveState()
        self.canvas.transform(*self._matrix)
        for op in [*self._under, *self._ops]:
            op()
        self.canvas.restoreState()
        self._under, self._ops = [], []
        self.canvas.showPage()

    def finish(self, kind: str) -> TrueFile:
        """Write the file."""
        self.canvas.save()
        return TrueFile(kind, self.path, tuple(self.pages))
