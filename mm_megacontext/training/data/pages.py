"""Abstract pages: facts laid out as forms, tables and sentences, with a box for every word.

A page is made once, as ``document`` objects, and rendered three ways: straight into blocks (training), to
pixels and to real PDF files (end-to-end tests).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mm_megacontext.document import Box, Cell, Line, Page, Region, Table, Word, union
from mm_megacontext.training.data.facts import Fact, Vocabulary
from mm_megacontext.training.data.words import BUSINESS_WORDS

PAGE_WIDTH, PAGE_HEIGHT, MARGIN = 612.0, 792.0, 54.0
SENTENCES = (
    "The {key} is {value}.",
    "The {key} was set to {value}.",
    "According to the records, {key} equals {value}.",
    "{key} amounts to {value}.",
    "We note that the {key} is {value}.",
    "Its {key} has been {value} since then.",
    "The value of {key} is {value}.",
    "For {key}, the agreed entry is {value}.",
    "A {key} of {value} applies.",
    "The {key} is {value}, as agreed before.",
    "Please note the {key} of {value} for this year.",
    "Our {key} will be {value} and nothing else.",
)
FILLER = """
    the of and to in is that for it was on are as with his they at be this from have or by one had not but
    what all were when we there can an your which their said if do will each about how up out them then she
    many some so these would other into has more her two like him see time could no make than first been its
    who now people my made over did down only way find use may water long little very after words called just
    where most know
""".split()


@dataclass(frozen=True, slots=True)
class PageConfig:
    """How much a page holds.

    Attributes:
        n_facts: Facts a page states at most; the page may end earlier.
        filler: Chance of a paragraph without facts after each region.
    """

    n_facts: int = 16
    filler: float = 0.25


@dataclass(slots=True)
class GeneratedPage:
    """A page, the facts it states, and the words (by identity) that state them."""

    page: Page
    facts: list[Fact]
    value_words: dict[int, int]
    """id(Word) of every value word → index into ``facts``."""
    key_words: dict[int, list[int]]
    """id(Word) of every key or header word → the facts it belongs to."""

    def forget(self, n_facts: int) -> None:
        """Take back all but the first ``n_facts`` facts."""
        del self.facts[n_facts:]
        self.value_words = {word: fact for word, fact in self.value_words.items() if fact < n_facts}
        known = {word: [f for f in facts if f < n_facts] for word, facts in self.key_words.items()}
        self.key_words = {word: facts for word, facts in known.items() if facts}


@dataclass(slots=True)
class _Sheet:
    """A column of the page that is being written, top to bottom."""

    x0: float
    x1: float
    y: float
    font: float
    pitch: float

    def word(self, text: str, x: float, y: float | None = None) -> Word:
        top = self.y if y is None else y
        return Word(text, (x, top, x + 0.52 * self.font * len(text), top + self.font * 1.15))

    def words(self, texts: Sequence[str], x: float, y: float | None = None) -> list[Word]:
        out: list[Word] = []
        for text in texts:
            out.append(self.word(text, x, y))
            x = out[-1].bbox[2] + 0.3 * self.font
        return out

    @property
    def full(self) -> bool:
        return self.y > PAGE_HEIGHT - MARGIN - 8 * self.pitch

    @property
    def overflowed(self) -> bool:
        return self.y > PAGE_HEIGHT - MARGIN / 2


@dataclass(slots=True)
class PageWriter:
    """Writes pages one after the other for one document."""

    vocabulary: Vocabulary
    config: PageConfig = field(default_factory=PageConfig)

    def write(self, number: int) -> GeneratedPage:
        """One page of regions in reading order, in one column or two."""
        rng = self.vocabulary.rng
        out = GeneratedPage(Page(number, (PAGE_WIDTH, PAGE_HEIGHT), ()), [], {}, {})
        font = rng.uniform(8.0, 12.0)
        regions: list[Region] = []
        for x0, x1 in self._columns(rng):
            sheet = _Sheet(x0, x1, MARGIN + rng.uniform(0, 30), font, font * rng.uniform(1.25, 1.7))
            while not sheet.full and len(out.facts) < self.config.n_facts:
                n_facts = len(out.facts)
                written = list(self._region(sheet, out))
                if sheet.overflowed:
                    out.forget(n_facts)
                    break
                regions += written
                sheet.y += sheet.pitch * rng.uniform(0.6, 2.0)
        out.page = Page(number, (PAGE_WIDTH, PAGE_HEIGHT), tuple(regions), engine="generator")
        return out

    @staticmethod
    def _columns(rng: random.Random) -> list[tuple[float, float]]:
        if rng.random() < 0.75:
            return [(MARGIN, PAGE_WIDTH - MARGIN)]
        middle = PAGE_WIDTH / 2
        return [(MARGIN, middle - 12), (middle + 12, PAGE_WIDTH - MARGIN)]

    def _region(self, sheet: _Sheet, out: GeneratedPage) -> Iterator[Region]:
        rng = self.vocabulary.rng
        if rng.random() < 0.3:
            yield self._heading(sheet)
        left = self.config.n_facts - len(out.facts)
        wide = sheet.x1 - sheet.x0 > 300
        draw = rng.random()
        if draw < 0.28:
            yield from self._form(sheet, out, min(left, rng.randint(2, 8)))
        elif draw < 0.45:
            yield from self._form_above(sheet, out, min(left, rng.randint(1, 6)), 3 if wide else 1)
        elif draw < 0.75:
            yield self._table(sheet, out, rng.randint(2, 7), rng.randint(2, 5 if wide else 3))
        else:
            yield self._paragraph(sheet, out, min(left, rng.randint(1, 4)))
        if rng.random() < self.config.filler:
            sheet.y += sheet.pitch
            yield self._paragraph(sheet, out, 0)

    def _state(self, out: GeneratedPage, fact: Fact, key: Sequence[Word], value: Sequence[Word]) -> None:
        index = len(out.facts)
        out.facts.append(fact)
        for word in value:
            out.value_words[id(word)] = index
        for word in key:
            out.key_words.setdefault(id(word), []).append(index)

    def _heading(self, sheet: _Sheet) -> Region:
        texts = [self._filler_word().capitalize() for _ in range(self.vocabulary.rng.randint(1, 4))]
        line = Line(tuple(sheet.words(texts, sheet.x0)))
        sheet.y += sheet.pitch * 1.4
        return Region("heading", line.bbox, (line,), level=2)

    def _filler_word(self) -> str:
        rng = self.vocabulary.rng
        draw = rng.random()
        return (
            rng.choice(FILLER) if draw < 0.6 else rng.choice(BUSINESS_WORDS) if draw < 0.9 else self.vocabulary.word()
        )

    def _form(self, sheet: _Sheet, out: GeneratedPage, n: int) -> Iterator[Region]:
        """Key left of value, values aligned or right after their key; sometimes one region a line."""
        rng = self.vocabulary.rng
        colon = rng.choice((":", ":", ""))
        aligned = rng.random() < 0.6
        tab = sheet.x0 + (sheet.x1 - sheet.x0) * rng.uniform(0.45, 0.6)
        lines = []
        for _ in range(n):
            fact = Fact("form", self.vocabulary.key(), self.vocabulary.value())
            key = sheet.words([*fact.key[:-1], fact.key[-1] + colon], sheet.x0)
            end = key[-1].bbox[2] + (0.4 if colon else 1.5) * sheet.font
            value = sheet.words(fact.value, max(tab, end) if aligned else end)
            self._state(out, fact, key, value)
            lines.append(Line((*key, *value)))
            sheet.y += sheet.pitch
        yield from self._split("form" if rng.random() < 0.3 else "text", lines)

    def _split(self, kind: str, lines: list[Line]) -> Iterator[Region]:
        """One region, or as readers sometimes see it, several."""
        rng = self.vocabulary.rng
        step = len(lines) if rng.random() < 0.7 else rng.randint(1, max(1, len(lines)))
        for i in range(0, len(lines), max(step, 1)):
            part = tuple(lines[i : i + step])
            yield Region(kind, union([line.bbox for line in part]), part)  # type: ignore[arg-type]

    def _form_above(self, sheet: _Sheet, out: GeneratedPage, n: int, most_columns: int) -> Iterator[Region]:
        """Key above value, one to three side by side; read line by line or field by field."""
        rng = self.vocabulary.rng
        columns = rng.randint(1, most_columns)
        by_field = rng.random() < 0.5
        width = (sheet.x1 - sheet.x0) / columns
        lines: list[Line] = []
        for start in range(0, n, columns):
            fields = []
            for column in range(min(columns, n - start)):
                fact = Fact("form_above", self.vocabulary.key(longest=2), self.vocabulary.value())
                x = sheet.x0 + column * width
                key, value = sheet.words(fact.key, x), sheet.words(fact.value, x, sheet.y + sheet.pitch)
                self._state(out, fact, key, value)
                fields.append((key, value))
            if by_field:
                lines += [Line(tuple(part)) for pair in fields for part in pair]
            else:
                lines += [Line(tuple(w for f in fields for w in f[row])) for row in (0, 1)]
            sheet.y += sheet.pitch * rng.uniform(2.1, 2.6)
        yield from self._split("form" if rng.random() < 0.3 else "text", lines)

    def _table(self, sheet: _Sheet, out: GeneratedPage, n_rows: int, n_columns: int) -> Region:
        """A header row, a column of row names, values; a reader may have missed that it is a table."""
        rng = self.vocabulary.rng
        width = (sheet.x1 - sheet.x0) / n_columns
        xs = [sheet.x0 + i * width + rng.uniform(0, 6) for i in range(n_columns)]
        corner = (self._filler_word().capitalize(),)
        columns = [corner, *self.vocabulary.columns(n_columns - 1)]
        grid = [[sheet.words(texts, x) for texts, x in zip(columns, xs, strict=True)]]
        for _ in range(n_rows):
            sheet.y += sheet.pitch
            name = self.vocabulary.fresh(1 if width < 130 else rng.choice((1, 1, 2)))
            row = [sheet.words(name, xs[0])]
            for column, x in list(zip(columns, xs, strict=True))[1:]:
                value = self.vocabulary.value()
                words = sheet.words(value if len(value) == 1 or width > 90 else value[:1], x)
                fact = Fact("cell", name, tuple(w.text for w in words), column)
                self._state(out, fact, [*row[0], *grid[0][len(row)]], words)
                row.append(words)
            grid.append(row)
        sheet.y += sheet.pitch
        return self._table_region(grid)

    def _table_region(self, grid: list[list[list[Word]]]) -> Region:
        lines = [Line(tuple(w for cell in row for w in cell)) for row in grid]
        bbox = union([line.bbox for line in lines])
        if self.vocabulary.rng.random() < 0.25:
            return Region("text", bbox, tuple(lines))
        cells = [
            Cell(
                r,
                c,
                union([w.bbox for w in words]),
                (Line(tuple(words)),),
                "column_header" if r == 0 else "row_header" if c == 0 else "body",
            )
            for r, row in enumerate(grid)
            for c, words in enumerate(row)
        ]
        return Region("table", bbox, table=Table(tuple(cells), len(grid), len(grid[0])))

    def _paragraph(self, sheet: _Sheet, out: GeneratedPage, n_facts: int) -> Region:
        """Running text; ``n_facts`` of its sentences state a fact."""
        rng = self.vocabulary.rng
        texts: list[tuple[str, int | None, bool]] = []  # word, fact, is it of the value
        for _ in range(n_facts):
            fact = Fact("sentence", self.vocabulary.key(), self.vocabulary.value())
            texts += self._sentence(fact, len(out.facts))
            out.facts.append(fact)
            if rng.random() < 0.5:
                texts += self._filler_sentence()
        if not n_facts:
            for _ in range(rng.randint(1, 3)):
                texts += self._filler_sentence()
        lines = self._flow(sheet, out, texts)
        return Region("text", union([line.bbox for line in lines]), tuple(lines))

    def _sentence(self, fact: Fact, index: int) -> list[tuple[str, int | None, bool]]:
        out: list[tuple[str, int | None, bool]] = []
        for part in self.vocabulary.rng.choice(SENTENCES).split():
            if part.startswith("{key}"):
                out += [(w, index, False) for w in (*fact.key[:-1], fact.key[-1] + part[5:])]
            elif part.startswith("{value}"):
                out += [(w, index, True) for w in (*fact.value[:-1], fact.value[-1] + part[7:])]
            else:
                out.append((part, None, False))
        return out

    def _filler_sentence(self) -> list[tuple[str, int | None, bool]]:
        words = [self._filler_word() for _ in range(self.vocabulary.rng.randint(4, 14))]
        words[0], words[-1] = words[0].capitalize(), words[-1] + "."
        return [(w, None, False) for w in words]

    @staticmethod
    def _flow(sheet: _Sheet, out: GeneratedPage, texts: list[tuple[str, int | None, bool]]) -> list[Line]:
        lines: list[list[Word]] = [[]]
        x = sheet.x0
        for text, fact, is_value in texts:
            word = sheet.word(text, x)
            if word.bbox[2] > sheet.x1 and lines[-1]:
                sheet.y += sheet.pitch
                lines.append([])
                word = sheet.word(text, sheet.x0)
            x = word.bbox[2] + 0.3 * sheet.font
            lines[-1].append(word)
            if fact is not None and is_value:
                out.value_words[id(word)] = fact
            elif fact is not None:
                out.key_words.setdefault(id(word), []).append(fact)
        sheet.y += sheet.pitch
        return [Line(tuple(words)) for words in lines]


def page_box() -> Box:
    """The box of a generated page, in points."""
    return (0.0, 0.0, PAGE_WIDTH, PAGE_HEIGHT)
