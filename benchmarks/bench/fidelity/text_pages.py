"""Pages of running text in one, two and three columns, and turned or cropped pages."""

from __future__ import annotations

import random
from pathlib import Path

from bench.fidelity.prose import body_style, column, paragraph, sentence, title
from bench.fidelity.sheet import Sheet, Style
from bench.fidelity.truth import TrueFile

N_PAGES = 2
_TOP, _BOTTOM = 84.0, 720.0


def single_column(path: Path, rng: random.Random) -> TrueFile:
    """Paragraphs, headings, lists, running titles and page numbers."""
    sheet = Sheet(path, rng, shuffled=rng.random() < 0.5)
    style = body_style(rng)
    running = title(rng)
    for number in range(1, N_PAGES + 1):
        sheet.begin()
        sheet.line(72, 44, running, style.scaled(0.85))
        top = _TOP
        if number == 1:
            top = paragraph(sheet, 72, 96, 468, title(rng), style.bold.scaled(1.8)) + 14
        column(sheet, rng, 72, 468, top, _BOTTOM, style)
        sheet.line(300, 764, [str(number)], style.scaled(0.85))
        sheet.end()
    return sheet.finish("single column")


def two_columns(path: Path, rng: random.Random) -> TrueFile:
    """Papers: a title across, two columns, a heading across, footnotes below the left column."""
    return _columns(path, rng, 2, "two columns")


def three_columns(path: Path, rng: random.Random) -> TrueFile:
    """Newsletters: narrower columns, a shaded sidebar as the last one."""
    return _columns(path, rng, 3, "three columns")


def _columns(path: Path, rng: random.Random, n: int, kind: str) -> TrueFile:
    sheet = Sheet(path, rng, shuffled=rng.random() < 0.5)
    style = body_style(rng, rng.choice([8.5, 9.0, 9.5]))
    gutter = rng.choice([14.0, 18.0, 24.0])
    width = (512 - (n - 1) * gutter) / n
    xs = [50 + i * (width + gutter) for i in range(n)]
    running = title(rng)
    for number in range(1, N_PAGES + 1):
        sheet.begin()
        sheet.line(50, 40, running, style.scaled(0.85))
        top = 76.0
        if number == 1:
            top = paragraph(sheet, 50, 84, 512, title(rng), style.bold.scaled(2.0)) + 10
            if rng.random() < 0.5:
                top = paragraph(sheet, 50, top, 512, sentence(rng) + sentence(rng), style) + 14
        if rng.random() < 0.5:
            middle = top + rng.uniform(0.35, 0.6) * (730 - top)
            _band(sheet, rng, xs, width, top, middle, style)
            sheet.line(50, middle + 20, title(rng), style.bold.scaled(1.4))
            top = middle + 40
        _band(
            sheet, rng, xs, width, top, 730, style, footnote=rng.random() < 0.6, sidebar=n == 3 and rng.random() < 0.4
        )
        sheet.line(540, 766, [str(number)], style.scaled(0.85))
        sheet.end()
    return sheet.finish(kind)


def _band(
    sheet: Sheet,
    rng: random.Random,
    xs: list[float],
    width: float,
    top: float,
    bottom: float,
    style: Style,
    footnote: bool = False,
    sidebar: bool = False,
) -> None:
    """Columns side by side, read one after the other; footnotes end the first one."""
    for i, x in enumerate(xs):
        small = style.scaled(0.8)
        if sidebar and i == len(xs) - 1:
            sheet.shade((x - 5, top - style.size - 4, x + width + 5, bottom), 0.9)
            sheet.line(x, top + 2, title(rng)[:2], style.bold)
            column(sheet, rng, x, width, top + 2 + style.leading, bottom, style.scaled(0.92))
            continue
        room = 4 * small.leading if footnote and i == 0 else 0.0
        column(sheet, rng, x, width, top, bottom - room, style)
        if room:
            y = bottom - 3 * small.leading
            sheet.rule(x, y - small.size - 3, x + 60, y - small.size - 3)
            paragraph(sheet, x, y, width, ["1", *sentence(rng)][:14], small)


def turned(path: Path, rng: random.Random) -> TrueFile:
    """Pages stored turned or with a margin cut away, shown upright: one column or two."""
    sheet = Sheet(path, rng)
    style = body_style(rng, 9.5)
    rotations = [90, 180, 270]
    rng.shuffle(rotations)
    for rotation in rotations:
        size = rng.choice([(612.0, 792.0), (792.0, 612.0)])
        sheet.begin(size, rotation, crop_margin=rng.choice([0.0, 36.0]))
        n = rng.choice([1, 2])
        width = (size[0] - 100 - (n - 1) * 22) / n
        for i in range(n):
            column(sheet, rng, 50 + i * (width + 22), width, 70, size[1] - 60, style)
        sheet.end()
    return sheet.finish("rotated and cropped")
