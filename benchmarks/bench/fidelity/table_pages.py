"""Pages with tables: ruled, without rules, and going on over the page's end."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.fidelity.prose import ENGLISH, body_style, broken, paragraph, sentence, title
from bench.fidelity.sheet import Sheet, Style
from bench.fidelity.truth import TrueCell, TrueFile, TrueTable

_PAGE_END = 726.0
_LOWEST = 690.0  # end of a table, so that a paragraph fits below it


@dataclass(frozen=True, slots=True)
class Spot:
    """A cell before it is drawn."""

    row: int
    column: int
    words: tuple[str, ...]
    row_span: int = 1
    column_span: int = 1


@dataclass(frozen=True, slots=True)
class Grid:
    """A table before it is drawn.

    Attributes:
        widths: Of its columns in points.
        numeric: Columns whose values are set to the right.
        n_header: Rows that name columns.
    """

    spots: tuple[Spot, ...]
    n_rows: int
    widths: tuple[float, ...]
    numeric: tuple[bool, ...]
    n_header: int = 1

    def part(self, start: int, stop: int, with_header: bool) -> Grid:
        """Some rows as a table of their own, below the header if wanted."""
        n_header = self.n_header if with_header else 0
        shift = n_header - start
        body = [replace(s, row=s.row + shift) for s in self.spots if start <= s.row < stop]
        header = [s for s in self.spots if s.row < n_header]
        return replace(self, spots=(*header, *body), n_rows=n_header + stop - start, n_header=n_header)


def make_grid(rng: random.Random, style: Style, width: float, n_rows: int, multiline: bool, merged: bool) -> Grid:
    """A table of names, descriptions and numbers.

    Args:
        multiline: Whether a column holds text of several lines.
        merged: Whether the header has a row of titles that span columns.
    """
    n_columns = rng.randrange(4, 6) if merged else rng.randrange(3, 7)
    numeric = [False, *(rng.random() < 0.6 for _ in range(n_columns - 1))]
    wide = rng.randrange(1, n_columns) if multiline else None
    if wide is not None:
        numeric[wide] = False
    shares = [1.2] + [2.4 if i == wide else 1.0 for i in range(1, n_columns)]
    widths = tuple(width * share / sum(shares) for share in shares)
    n_header = 2 if merged else 1
    spots = list(_merged_header(rng, n_columns)) if merged else [_named(rng, 0, i, 2) for i in range(n_columns)]
    for row in range(n_header, n_header + n_rows):
        spots.append(_named(rng, row, 0, 2))
        for column in range(1, n_columns):
            if rng.random() < 0.06:
                continue
            if numeric[column]:
                words = (_number(rng),)
            elif column == wide:
                words = tuple(rng.choices(ENGLISH, k=rng.randrange(3, 12)))
            else:
                words = tuple(rng.choices(ENGLISH, k=rng.randrange(1, 3)))
            spots.append(Spot(row, column, words))
    fitted = [replace(s, words=_fitting(s, style, widths)) for s in spots]
    return Grid(tuple(fitted), n_header + n_rows, widths, tuple(numeric), n_header)


def _merged_header(rng: random.Random, n_columns: int) -> list[Spot]:
    """Two rows: the first column's name spans both, titles span pairs of the others."""
    spots = [_named(rng, 0, 0, 1, row_span=2)]
    column = 1
    while column < n_columns:
        span = min(2, n_columns - column)
        if span == 2:
            spots.append(_named(rng, 0, column, 2, column_span=2))
            spots += [_named(rng, 1, column + k, 1) for k in range(2)]
        else:
            spots.append(_named(rng, 0, column, 1, row_span=2))
        column += span
    return spots


def _named(rng: random.Random, row: int, column: int, n: int, row_span: int = 1, column_span: int = 1) -> Spot:
    words = tuple(text.capitalize() for text in rng.choices(ENGLISH, k=rng.randrange(1, n + 1)))
    return Spot(row, column, words, row_span, column_span)


def _number(rng: random.Random) -> str:
    return rng.choice(
        [
            f"{rng.randrange(1, 99999):,}",
            f"{rng.uniform(0, 999):.2f}",
            f"{rng.uniform(0, 100):.1f}%",
            f"-{rng.uniform(0, 9):.3f}",
            str(rng.randrange(0, 500)),
        ]
    )


def _fitting(spot: Spot, style: Style, widths: Sequence[float]) -> tuple[str, ...]:
    """The words that are not wider than their cell."""
    room = sum(widths[spot.column : spot.column + spot.column_span]) - 12
    fits = [text for text in spot.words if style.width(text) <= room]
    return tuple(fits) or ("x",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a table is drawn.

    Attributes:
        rules: Around every cell ("all"), the same without the frame at the sides ("open"), between rows ("rows"), only
            above and below the header and at the end ("few"), shades under every other row ("shades"), or "none".
        padding: Above and below the lines of a cell, points.
    """

    rules: str
    padding: float
    bold_header: bool
    shaded_header: bool = False


def draw_grid(
    sheet: Sheet, grid: Grid, x: float, top: float, style: Style, look: Look, continues: bool = False
) -> float:
    """Draw a table and write it down; returns where it ends."""
    xs = _edges(grid, x)
    ys = _row_edges(grid, top, xs, style, look)
    for spot in sorted(grid.spots, key=lambda s: (s.row, s.column)):
        _draw_spot(sheet, grid, spot, xs, ys, style, look)
    _draw_rules(sheet, grid, xs, ys, look)
    cells = tuple(
        TrueCell(
            s.row,
            s.column,
            " ".join(s.words),
            s.row_span if look.rules in ("all", "open") else 1,  # without rules nobody can see it
            s.column_span,
            s.row < grid.n_header,
        )
        for s in grid.spots
    )
    sheet.add_table(TrueTable(sheet.page.number, (xs[0], ys[0], xs[-1], ys[-1]), cells, continues))
    return ys[-1]


def _edges(grid: Grid, x: float) -> list[float]:
    return [x + sum(grid.widths[:i]) for i in range(len(grid.widths) + 1)]


def _lines(grid: Grid, spot: Spot, xs: Sequence[float], style: Style, look: Look) -> list[list[str]]:
    face = style.bold if look.bold_header and spot.row < grid.n_header else style
    return broken(spot.words, face, xs[spot.column + spot.column_span] - xs[spot.column] - 8)


def _row_edges(grid: Grid, top: float, xs: Sequence[float], style: Style, look: Look) -> list[float]:
    heights = [style.leading + 2 * look.padding] * grid.n_rows
    for spot in grid.spots:
        if spot.row_span == 1:
            needed = len(_lines(grid, spot, xs, style, look)) * style.leading + 2 * look.padding
            heights[spot.row] = max(heights[spot.row], needed)
    ys = [top]
    for height in heights:
        ys.append(ys[-1] + height)
    return ys


def _draw_spot(
    sheet: Sheet, grid: Grid, spot: Spot, xs: Sequence[float], ys: Sequence[float], style: Style, look: Look
) -> None:
    is_header = spot.row < grid.n_header
    face = style.bold if look.bold_header and is_header else replace(style, justified=False)
    left, right = xs[spot.column] + 4, xs[spot.column + spot.column_span] - 4
    y = ys[spot.row] + look.padding + 0.8 * style.leading
    for line in _lines(grid, spot, xs, style, look):
        width = face.width(" ".join(line))
        start = left
        if spot.column_span > 1:
            start = (left + right - width) / 2
        elif grid.numeric[spot.column]:
            start = right - width
        sheet.line(start, y, line, face)
        y += style.leading


def _draw_rules(sheet: Sheet, grid: Grid, xs: Sequence[float], ys: Sequence[float], look: Look) -> None:
    if look.shaded_header and grid.n_header:
        sheet.shade((xs[0], ys[0], xs[-1], ys[grid.n_header]), 0.85)
    if look.rules == "none":
        return
    if look.rules == "shades":
        for row in range(grid.n_header, grid.n_rows, 2):
            sheet.shade((xs[0], ys[row], xs[-1], ys[row + 1]), 0.92)
        return
    if look.rules == "rows":
        for y in ys:
            sheet.rule(xs[0], y, xs[-1], y)
        return
    if look.rules == "few":
        for y in {ys[0], ys[grid.n_header], ys[-1]}:
            sheet.rule(xs[0], y, xs[-1], y)
        return
    inside = {(s.row + i, s.column + j): s for s in grid.spots for i in range(s.row_span) for j in range(s.column_span)}
    for row in range(grid.n_rows):
        for column in range(len(grid.widths)):
            here = inside.get((row, column))
            if row == 0 or here is None or inside.get((row - 1, column)) is not here:
                sheet.rule(xs[column], ys[row], xs[column + 1], ys[row])
            is_side = column == 0
            is_edge = here is None or inside.get((row, column - 1)) is not here
            if (is_side and look.rules == "all") or (not is_side and is_edge):
                sheet.rule(xs[column], ys[row], xs[column], ys[row + 1])
    sheet.rule(xs[0], ys[-1], xs[-1], ys[-1])
    if look.rules == "all":
        sheet.rule(xs[-1], ys[0], xs[-1], ys[-1])


def ruled(path: Path, rng: random.Random) -> TrueFile:
    """Tables with a rule around every cell, the frame at the sides now and then left out, between paragraphs."""
    return _tables(path, rng, "ruled tables", ("all", "all", "open"))


def unruled(path: Path, rng: random.Random) -> TrueFile:
    """Tables of aligned columns, with rules across, shades or nothing."""
    return _tables(path, rng, "unruled tables", ("none", "none", "few", "rows", "shades"))


def _tables(path: Path, rng: random.Random, kind: str, rules: Sequence[str]) -> TrueFile:
    sheet = Sheet(path, rng, shuffled=rng.random() < 0.3)
    style = replace(body_style(rng, rng.choice([8.5, 9.0, 10.0])), justified=False)
    for _ in range(2):
        sheet.begin()
        y = paragraph(sheet, 60, 70, 490, sentence(rng) + sentence(rng), style) + 10
        for _ in range(2):
            look = Look(
                rules=rng.choice(rules),
                padding=rng.choice([0.0, 1.5, 3.0, 4.5]),
                bold_header=rng.random() < 0.7,
                shaded_header=rng.random() < 0.3,
            )
            width = rng.choice([360.0, 430.0, 490.0])
            grid = make_grid(rng, style, width, rng.randrange(4, 9), rng.random() < 0.4, rng.random() < 0.35)
            if _row_edges(grid, y, _edges(grid, 60), style, look)[-1] > _LOWEST:
                break
            y = draw_grid(sheet, grid, 60, y, style, look) + 34
            y = paragraph(sheet, 60, y, 490, sentence(rng) + sentence(rng), style) + 14
        sheet.end()
    return sheet.finish(kind)


def continued(path: Path, rng: random.Random) -> TrueFile:
    """A table over three pages; then one at the end of the last and another on the next, with as many columns."""
    sheet = Sheet(path, rng)
    style = replace(body_style(rng, 9.0), justified=False)
    look = Look(rules=rng.choice(["all", "all", "none", "few"]), padding=3.0, bold_header=True)
    grid = make_grid(rng, style, 490, 90, multiline=False, merged=rng.random() < 0.2)
    repeats = rng.random() < 0.5
    start = grid.n_header
    for number in range(3):
        sheet.begin()
        sheet.line(60, 40, title(rng), style.scaled(0.85))
        y = 70.0
        if number == 0:
            while y < 400:
                y = paragraph(sheet, 60, y, 490, sentence(rng) + sentence(rng), style) + 10
        with_header = number == 0 or repeats
        stop = start + 8 if number == 2 else _stop(grid, start, with_header, y, style, look)
        part = grid.part(start, stop, with_header)
        start = stop
        y = draw_grid(sheet, part, 60, y, style, look, continues=number > 0) + 30
        if number == 2:
            y = paragraph(sheet, 60, y, 490, sentence(rng), style) + 12
            while y < 520:
                y = paragraph(sheet, 60, y, 490, sentence(rng) + sentence(rng), style) + 10
            other = make_grid(rng, style, 490, 6, multiline=False, merged=False)
            draw_grid(sheet, other, 60, y, style, look)
        sheet.line(300, 764, ["Page", str(number + 1)], style.scaled(0.85))
        sheet.end()
    sheet.begin()
    draw_grid(sheet, _renamed(rng, other), 60, 70, style, look)
    sheet.line(300, 764, ["Page", "4"], style.scaled(0.85))
    sheet.end()
    return sheet.finish("tables over pages")


def _stop(grid: Grid, start: int, with_header: bool, top: float, style: Style, look: Look) -> int:
    """The first row that does not fit the page."""
    n_header = grid.n_header if with_header else 0
    ys = _row_edges(grid.part(start, grid.n_rows, with_header), top, _edges(grid, 60), style, look)
    return start + sum(y <= _PAGE_END for y in ys[1:]) - n_header


def _renamed(rng: random.Random, grid: Grid) -> Grid:
    """A table of the same shape with other names of columns."""
    spots = [_named(rng, 0, s.column, 1) if s.row == 0 else s for s in grid.spots]
    return replace(grid, spots=tuple(spots))
