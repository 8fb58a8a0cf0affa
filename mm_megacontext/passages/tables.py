"""The rows and cells of a table, found again from the boxes of its words.

Words of a table come row by row, in a row cell by cell, and in a cell line by line. What begins left of what came
before it, or in the same column with a gap, is a new row.
"""

from __future__ import annotations

from collections.abc import Sequence

from mm_megacontext.passages.words import PassageWord, is_below, segments

ROW_GAP = 0.6
"""White space between two lines of one column that makes them two rows, in heights of a line: in a cell, lines stand
closer."""


def table_rows(words: Sequence[PassageWord]) -> list[list[str]]:
    """Cells row by row; a row that lacks a cell has an empty text there.

    Args:
        words: Of one table, in reading order.

    Returns:
        Rows that all have the same number of cells.
    """
    found = list(segments(words))
    columns = _columns(found)
    rows: list[list[str]] = []
    before: tuple[int, list[PassageWord]] | None = None
    for segment in found:
        column = _column_of(segment, columns)
        if before is None or _begins_row(column, segment, *before):
            rows.append([""] * len(columns))
        rows[-1][column] = f"{rows[-1][column]} {' '.join(word.text for word in segment)}".strip()
        before = (column, segment)
    return rows


def _columns(found: Sequence[list[PassageWord]]) -> list[tuple[float, float]]:
    """Ranges of x that no segment of a body crosses; a title above several columns does not join them."""
    spans = sorted((segment[0].bbox[0], segment[-1].bbox[2]) for segment in _narrow(found))
    columns: list[tuple[float, float]] = []
    for left, right in spans:
        if columns and left < columns[-1][1]:
            columns[-1] = (columns[-1][0], max(columns[-1][1], right))
        else:
            columns.append((left, right))
    return columns


def _narrow(found: Sequence[list[PassageWord]]) -> list[list[PassageWord]]:
    """The segments that do not stand above two others of one line, as titles over several columns do."""
    lefts = [segment[0].bbox[0] for segment in found if segment[0].role != "column_header"]
    kept = []
    for segment in found:
        left, right = segment[0].bbox[0], segment[-1].bbox[2]
        begin_inside = {round(x) for x in lefts if left < x < right}
        if segment[0].role != "column_header" or len(begin_inside) < 2:
            kept.append(segment)
    return kept or list(found)


def _column_of(segment: Sequence[PassageWord], columns: Sequence[tuple[float, float]]) -> int:
    """The first column that a segment shares some of its width with, else the nearest."""
    left, right = segment[0].bbox[0], segment[-1].bbox[2]

    def distance(column: int) -> float:
        return max(columns[column][0] - right, left - columns[column][1], 0.0)

    return min(range(len(columns)), key=distance)


def _begins_row(column: int, segment: Sequence[PassageWord], last: int, before: Sequence[PassageWord]) -> bool:
    if column != last:
        return column < last
    word, above = segment[0], before[-1]
    height = above.bbox[3] - above.bbox[1]
    return not is_below(word, above) or word.bbox[1] - above.bbox[3] > ROW_GAP * height
