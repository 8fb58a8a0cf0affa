"""CSV and TSV taken apart record by record: tables, and what stands above them as text (RFC 4180, and what is usual).

The character between cells is the one that gives most records the same number of cells. Every word keeps its place in
the source: quotation marks around a cell are left out, and of two that stand for one, one becomes a blank.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from mm_megacontext.layout.text.markdown import Event, Gap, Rows, SourceText

DELIMITED_SUFFIXES = (".csv", ".tsv")

_DELIMITERS = ",;\t|"
_SAMPLE = 50  # records that the delimiter is told by
_LEAST_ALIKE = 0.6  # of them that must have the same number of cells
_ROWS_AT_ONCE = 500
_MOST_COLUMNS = 256
_MOST_LINES, _MOST_LETTERS = 200, 1 << 16  # of a record: a quotation mark that is never closed is one of the text
_WIDEST = 60  # letters of a column before its cells wrap
_HINT = re.compile(r"\ufeff?sep=(.)\s*$", re.IGNORECASE)
_DOUBLED = re.compile(r'""')
_NUMBER = re.compile(r"[^\w]*\d[\d.,:/\s'%-]*[^\w]*$")

Record = tuple[SourceText, ...]


def delimited_events(lines: Iterator[SourceText]) -> Iterator[Event]:
    """The regions of a file of records, as placed by the virtual page; one without any is text."""
    records = _records(lines)
    sample = list(islice(records, _SAMPLE))
    hint = _HINT.match(sample[0].text) if sample else None
    delimiter = hint[1] if hint else _delimiter([record.text for record in sample if record.text.strip()])
    everything = chain(sample[1:] if hint else sample, records)
    if delimiter is None:
        yield from (record if record.text.strip() else Gap() for record in everything)
        return
    block: list[Record] = []
    is_first = True
    for record in everything:
        cells = tuple(_cells(record, delimiter))
        is_blank = not any(cell.text.strip() for cell in cells)
        if is_blank or len(block) >= _ROWS_AT_ONCE:
            yield from _block(block, is_first)
            block, is_first = [], is_blank
        if is_blank:
            yield Gap()
        else:
            block.append(cells)
    yield from _block(block, is_first)


def _records(lines: Iterable[SourceText]) -> Iterator[SourceText]:
    """Lines, those of one record joined: a cell in quotation marks may go over several."""
    waiting: list[SourceText] = []
    n_marks = n_letters = 0
    for line in lines:
        waiting.append(line)
        n_marks += line.text.count('"')
        n_letters += len(line.text)
        if n_marks % 2 == 0:
            yield SourceText(waiting[0].offset, "".join(part.text for part in waiting))
        elif len(waiting) >= _MOST_LINES or n_letters >= _MOST_LETTERS:
            yield from waiting
        else:
            continue
        waiting, n_marks, n_letters = [], 0, 0
    yield from waiting


def _delimiter(texts: Sequence[str]) -> str | None:
    """What stands between cells, or None where nothing does."""
    best: tuple[float, int, str] | None = None
    for delimiter in _DELIMITERS:
        counts = Counter(sum(1 for _ in _spans(text, delimiter)) for text in texts)
        several = {n: times for n, times in counts.items() if 2 <= n <= _MOST_COLUMNS}
        if not several:
            continue
        n_cells, times = max(several.items(), key=lambda item: (item[1], item[0]))
        share = times / len(texts)
        if share >= _LEAST_ALIKE and (best is None or (share, n_cells) > best[:2]):
            best = (share, n_cells, delimiter)
    return None if best is None else best[2]


def _spans(text: str, delimiter: str) -> Iterator[tuple[int, int, bool]]:
    """Where the cells of a record are, and whether they stood in quotation marks."""
    end = len(text.rstrip("\r\n"))
    field = re.compile(rf'[ ]*"((?:[^"]|"")*)"[ ]*(?={re.escape(delimiter)}|$)|([^{re.escape(delimiter)}]*)', re.DOTALL)
    at = 0
    while True:
        match = field.match(text, at, end)
        assert match is not None, "the pattern matches nothing, too"
        yield (match.start(1), match.end(1), True) if match[1] is not None else (match.start(2), match.end(2), False)
        at = match.end() + 1
        if at > end:
            return


def _cells(record: SourceText, delimiter: str) -> Iterator[SourceText]:
    for start, end, is_quoted in _spans(record.text, delimiter):
        text = record.text[start:end]
        if is_quoted:
            text = _DOUBLED.sub(_one_mark, text)
        text = re.sub(r"[\r\n\t\f]", " ", text)
        lead = len(text) - len(text.lstrip())
        yield SourceText(record.offset + start + lead, text.strip())


def _one_mark(match: re.Match[str]) -> str:
    """One mark of two, and a blank on the side where there is one, so that no word is torn."""
    before = match.string[match.start() - 1 : match.start()]
    return ' "' if not before or before.isspace() else '" '


def _padded(row: Record, n_columns: int) -> Record:
    end = SourceText(row[-1].offset + len(row[-1].text), "")
    return (*row, *[end] * (n_columns - len(row)))


def _block(records: Sequence[Record], is_first: bool) -> Iterator[Event]:
    """A table without blank records in it, and what stands above it."""
    rows = list(records)
    n_columns = max((len(row) for row in rows), default=0)
    while rows and (n_columns == 1 or (is_first and sum(bool(cell.text) for cell in rows[0]) == 1)):
        yield next(cell for cell in rows.pop(0) if cell.text)
    if not rows:
        return
    padded = tuple(_padded(row, n_columns) for row in rows)
    has_header = is_first and len(rows) > 1 and all(c.text and not _NUMBER.match(c.text) for c in rows[0][1:])
    widths = [min(_WIDEST, max(3, *(len(row[i].text) for row in padded))) for i in range(n_columns)]
    yield Rows(padded, has_header, widths=tuple(widths))
