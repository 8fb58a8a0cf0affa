"""Cutting regions into blocks. Oracle: the words themselves, tokenized one by one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mm_megacontext.document import Box, Cell, CellRole, Line, Region, RegionKind, Table, Word
from mm_megacontext.tree.blocks import BULLETS, LINE_START, ROLE_INDEX, ROLES, WIDE_GAP, Block, Tokenizer, cut_region
from mm_megacontext.tree.nodes import BLOCK_TOKENS, ROW_TOKENS
from tests.tiny import tokenizer


class PairTokenizer:
    """Two characters to a token, the id says which."""

    def encode_word(self, word: str) -> tuple[int, ...]:
        return tuple(sum(map(ord, word[i : i + 2])) for i in range(0, len(word), 2))

    def word_spans(self, word: str) -> tuple[tuple[int, int], ...]:
        return tuple((i, min(i + 2, len(word))) for i in range(0, len(word), 2))


TOKENIZERS: list[Tokenizer] = [PairTokenizer(), tokenizer()]
TEXT_KINDS: list[RegionKind] = ["text", "heading", "list", "form", "caption", "header", "footer", "formula", "code"]
CELL_ROLES: dict[CellRole, str] = {"body": "cell", "column_header": "column_header", "row_header": "row_header"}


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x, y = draw(st.integers(0, 60_000)) / 100, draw(st.integers(0, 80_000)) / 100
    return (x, y, x + draw(st.integers(0, 9_000)) / 100, y + draw(st.integers(1, 2_000)) / 100)


WORD_TEXTS = (
    st.text("abc12é日𝔄-.;!", min_size=1, max_size=8)
    | st.text("ab7", min_size=60, max_size=150)
    | st.sampled_from(sorted(BULLETS))
)
WORDS = st.builds(Word, WORD_TEXTS, boxes())
LINES = st.lists(WORDS, min_size=1, max_size=14).map(lambda words: Line(tuple(words)))


@st.composite
def text_regions(draw: st.DrawFn) -> Region:
    lines = tuple(draw(st.lists(LINES, max_size=8)))
    return Region(draw(st.sampled_from(TEXT_KINDS)), (0.0, 0.0, 612.0, 792.0), lines)


@st.composite
def tables(draw: st.DrawFn) -> Region:
    n_rows, n_columns = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    roles: list[CellRole] = ["body", "column_header", "row_header"]
    cells = tuple(
        Cell(row, column, draw(boxes()), tuple(draw(st.lists(LINES, max_size=2))), draw(st.sampled_from(roles)))
        for row in range(n_rows)
        for column in range(n_columns)
    )
    return Region("table", (0.0, 0.0, 612.0, 792.0), table=Table(cells, n_rows, n_columns))


REGIONS = text_regions() | tables()


@dataclass(frozen=True)
class Expected:
    """What the leaves of a word must say, and whether something ends with it at which a block had better end."""

    word: Word
    role: str
    starts: bool
    ends: bool


def row_sizes(region: Region, tokenizer: Tokenizer) -> dict[int, int]:
    """By the id of each word of a table, the tokens of its row; none of what is no table."""
    cells = [] if region.table is None else region.table.cells
    rows: dict[int, list[Word]] = {}
    for cell in cells:
        rows.setdefault(cell.row, []).extend(word for line in cell.lines for word in line.words)
    sizes = {row: sum(len(tokenizer.encode_word(word.text)) for word in words) for row, words in rows.items()}
    return {id(word): sizes[row] for row, words in rows.items() for word in words}


def expected_words(region: Region) -> list[Expected]:
    """The words of a region in reading order, straight from the definition."""
    if region.table is None:
        return [
            Expected(w, region.kind, starts_segment(line, i), i == len(line.words) - 1 or ends_sentence(w))
            for line in (without_bullet(line, region.kind) for line in region.lines)
            for i, w in enumerate(line.words)
        ]
    out: list[Expected] = []
    for row in range(region.table.n_rows):
        own = [
            Expected(w, CELL_ROLES[cell.role], i == 0, False)
            for cell in region.table.cells
            if cell.row == row
            for line in cell.lines
            for i, w in enumerate(line.words)
        ]
        out += [*own[:-1], *(replace(last, ends=True) for last in own[-1:])]
    return out


def without_bullet(line: Line, kind: RegionKind) -> Line:
    is_marked = kind == "list" and line.words[0].text in BULLETS
    return Line(tuple(word for i, word in enumerate(line.words) if i or not is_marked))


def starts_segment(line: Line, i: int) -> bool:
    if i == 0:
        return True
    before, word = line.words[i - 1], line.words[i]
    white = max(word.bbox[0] - before.bbox[2], before.bbox[0] - word.bbox[2])  # from the left or from the right
    return white > WIDE_GAP * (word.bbox[3] - word.bbox[1])


def ends_sentence(word: Word) -> bool:
    return word.text.endswith((".", "!", "?", '."', ".)", ";"))


def tokens_of(blocks: list[Block]) -> Iterator[tuple[int, int, Word]]:
    """(block, token in it, word) in reading order."""
    for number, block in enumerate(blocks):
        for i, word in enumerate(block.word_of_token.tolist()):
            yield number, i, block.words[word]


@settings(max_examples=120)
@given(REGIONS, st.sampled_from(TOKENIZERS))
def test_every_token_of_every_word_in_order(region: Region, tokenizer: Tokenizer) -> None:
    blocks = cut_region(region, tokenizer)
    expected = [i for own in expected_words(region) for i in tokenizer.encode_word(own.word.text)]
    assert [i for block in blocks for i in block.token_ids.tolist()] == expected
    rows = row_sizes(region, tokenizer)
    for block in blocks:
        most = max([rows.get(id(word), 0) for word in block.words])
        assert 1 <= len(block.token_ids) <= (most if BLOCK_TOKENS < most <= ROW_TOKENS else BLOCK_TOKENS)
        assert block.boxes.shape == (len(block.token_ids), 4)
        assert block.roles.shape == block.word_of_token.shape == block.token_ids.shape
        assert block.text == " ".join(word.text for word in block.words)


@settings(max_examples=120)
@given(REGIONS, st.sampled_from(TOKENIZERS))
def test_boxes_of_a_words_tokens_make_up_its_box(region: Region, tokenizer: Tokenizer) -> None:
    blocks = cut_region(region, tokenizer)
    found: dict[int, list[list[float]]] = {}
    words = {id(own.word): own.word for own in expected_words(region)}
    for number, i, word in tokens_of(blocks):
        found.setdefault(id(word), []).append(blocks[number].boxes[i].tolist())
    assert found.keys() == words.keys()
    for key, parts in found.items():
        edges = np.array(parts, dtype=np.float32)
        whole = (*edges[:, :2].min(axis=0), *edges[:, 2:].max(axis=0))
        assert whole == tuple(np.array(words[key].bbox, dtype=np.float32))
        assert (edges[:, 0] <= edges[:, 2]).all()
        assert (np.diff(edges[:, 0]) >= 0).all(), "tokens go from left to right"


@settings(max_examples=120)
@given(REGIONS, st.sampled_from(TOKENIZERS))
def test_roles_and_line_starts(region: Region, tokenizer: Tokenizer) -> None:
    found = [role for block in cut_region(region, tokenizer) for role in block.roles.tolist()]
    expected = []
    for own in expected_words(region):
        n = len(tokenizer.encode_word(own.word.text))
        flags = [LINE_START if own.starts else 0] + [0] * (n - 1)
        expected += [ROLE_INDEX.get(own.role, 0) | flag for flag in flags]
    assert found == expected


@settings(max_examples=120)
@given(REGIONS, st.sampled_from(TOKENIZERS))
def test_a_word_that_fits_a_block_is_not_cut(region: Region, tokenizer: Tokenizer) -> None:
    blocks_of: dict[int, set[int]] = {}
    rows = row_sizes(region, tokenizer)
    for number, _, word in tokens_of(cut_region(region, tokenizer)):
        blocks_of.setdefault(id(word), set()).add(number)
    for own in expected_words(region):
        size = len(tokenizer.encode_word(own.word.text))
        is_in_short_row = rows.get(id(own.word), ROW_TOKENS + 1) <= ROW_TOKENS
        assert len(blocks_of[id(own.word)]) == (1 if is_in_short_row else -(-size // BLOCK_TOKENS))


@settings(max_examples=120)
@given(REGIONS, st.sampled_from(TOKENIZERS))
def test_a_block_ends_where_something_ends(region: Region, tokenizer: Tokenizer) -> None:
    """Inside a line only if none ends in the last two thirds of the block, and no sentence does; tables: below."""
    assume(region.table is None)
    ends = {id(own.word) for own in expected_words(region) if own.ends}
    blocks = cut_region(region, tokenizer)
    for block, following in itertools.pairwise(blocks):
        if id(block.words[-1]) in ends or len(tokenizer.encode_word(block.words[-1].text)) > BLOCK_TOKENS:
            continue
        filled = np.bincount(block.word_of_token).cumsum()
        late = [word for word, n in zip(block.words, filled, strict=True) if n >= BLOCK_TOKENS // 3]
        assert not any(id(word) in ends for word in late)
        n_next = len(tokenizer.encode_word(following.words[0].text))
        assert len(block.token_ids) + n_next > BLOCK_TOKENS, "and as late as it can"


def table_of(rows: list[list[str]]) -> Region:
    """A table with a cell for each text, of words that are parted by spaces."""
    cells = []
    for r, row in enumerate(rows):
        for c, text in enumerate(row):
            box = (100.0 * c, 10.0 * r, 100.0 * c + 90, 10.0 * r + 9)
            line = Line(
                tuple(Word(word, (box[0] + i, box[1], box[0] + i + 1, box[3])) for i, word in enumerate(text.split()))
            )
            cells.append(Cell(r, c, box, (line,)))
    return Region("table", (0.0, 0.0, 612.0, 792.0), table=Table(tuple(cells), len(rows), max(map(len, rows))))


@settings(max_examples=60)
@given(st.lists(st.integers(1, ROW_TOKENS // 2), min_size=1, max_size=12))
def test_rows_of_a_table_stay_whole(sizes: list[int]) -> None:
    """A row of up to 128 tokens is in one block, and blocks hold as many rows as fit."""
    rows = [
        [f"r{r:02}", " ".join(["abab"] * (size - 1))] if size > 1 else [f"r{r:02}x"] for r, size in enumerate(sizes)
    ]
    blocks = cut_region(table_of(rows), PairTokenizer())
    names = [[word.text[1:3] for word in block.words if word.text.startswith("r")] for block in blocks]
    assert [name for own in names for name in own] == [f"{r:02}" for r in range(len(sizes))], "every block begins a row"
    per_row = [
        sum(len(word) for cell in row for word in cell.split()) // 2 + any(len(w) % 2 for w in row) for row in rows
    ]
    at = 0
    for own, block in zip(names, blocks, strict=True):
        n = len(block.token_ids)
        assert n <= BLOCK_TOKENS or len(own) == 1
        at += len(own)
        if at < len(rows) and n >= BLOCK_TOKENS // 3:
            assert n + per_row[at] > BLOCK_TOKENS, "as many as fit"


def test_what_is_cut_off_a_row_knows_the_rows_name() -> None:
    long = " ".join(["abab"] * ROW_TOKENS)
    blocks = cut_region(table_of([["ORD 1050", long, "end"], ["ORD 1051", "short"]]), PairTokenizer())
    *cut, last = blocks
    assert [block.row_name for block in cut] == ["", *["ORD 1050"] * (len(cut) - 1)]
    assert len(cut) > ROW_TOKENS // BLOCK_TOKENS
    assert (last.row_name, last.text) == ("", "ORD 1051 short")


def test_a_sentence_end_is_preferred_to_a_line_end() -> None:
    texts = [["ab"] * 10, ["ab"] * 5 + ["a."] + ["ab"] * 4, ["ab"] * 10, ["ab"] * 10]
    lines = tuple(
        Line(tuple(Word(t, (10.0 * i, 20.0 * r, 10.0 * i + 9, 20.0 * r + 9)) for i, t in enumerate(row)))
        for r, row in enumerate(texts)
    )
    blocks = cut_region(Region("text", (0.0, 0.0, 99.0, 99.0), lines), PairTokenizer())
    assert [len(block.words) for block in blocks] == [16, 24]
    assert blocks[0].words[-1].text == "a."


def test_items_of_a_list_read_as_lines_without_their_bullets() -> None:
    def region(kind: RegionKind, bullet: str) -> Region:
        lines = []
        for y, text in enumerate(["Tenant: Ada", "Floor 3"]):
            words = [Word(bullet, (0, 20 * y, 5, 20 * y + 10))] if bullet else []
            words += [Word(w, (40 + 50 * i, 20 * y, 88 + 50 * i, 20 * y + 10)) for i, w in enumerate(text.split())]
            lines.append(Line(tuple(words)))
        return Region(kind, (0, 0, 140, 30), tuple(lines))

    (listed,) = cut_region(region("list", "\u2022"), PairTokenizer())
    (plain,) = cut_region(region("text", ""), PairTokenizer())
    assert (listed.text, listed.header) == (plain.text, "")
    assert listed.boxes.tolist() == plain.boxes.tolist()
    assert [role & LINE_START for role in listed.roles] == [role & LINE_START for role in plain.roles]
    (numbered,) = cut_region(region("list", "2."), PairTokenizer())
    assert (numbered.text, numbered.header) == ("2. Tenant: Ada 2. Floor 3", "")


def test_a_wide_gap_starts_a_segment() -> None:
    words = [Word("Rent", (0, 0, 40, 10)), Word("due", (44, 0, 70, 10)), Word("1,200", (150, 0, 190, 10))]
    (block,) = cut_region(Region("form", (0, 0, 190, 10), (Line(tuple(words)),)), PairTokenizer())
    starts = [bool(role & LINE_START) for role in block.roles.tolist()]
    assert starts == [True, False, False, False, True, False, False]


@settings(max_examples=60)
@given(tables())
def test_header_words_are_those_of_column_headers(region: Region) -> None:
    for block in cut_region(region, PairTokenizer()):
        roles = {
            w: role & ~LINE_START for w, role in zip(block.word_of_token.tolist(), block.roles.tolist(), strict=True)
        }
        own = [word.text for i, word in enumerate(block.words) if roles[i] == ROLE_INDEX["column_header"]]
        assert block.header == " ".join(own)


@pytest.mark.parametrize(
    ("texts", "header"),
    [
        (["Item  Price  Due", "Rent  900  May", "Water  20  June"], "Item Price Due"),
        (["Item  Price  Due", "Rent  900  May", "and so on"], "Item Price Due"),
        (["Item  Price  Due", "and so on", "and more"], ""),
        (["Items and their prices", "Rent  900  May", "Water  20  June"], ""),
        (["Item  Price  Due"], ""),
    ],
)
def test_lines_in_segments_have_a_header_too(texts: list[str], header: str) -> None:
    """A table that the reader did not see as one: its first line names the columns of the others."""
    lines = []
    for row, text in enumerate(texts):
        x, words = 0.0, []
        for segment in text.split("  "):
            for part in segment.split():
                words.append(Word(part, (x, 20.0 * row, x + 20, 20.0 * row + 10)))
                x += 23
            x += 60
        lines.append(Line(tuple(words)))
    blocks = cut_region(Region("text", (0.0, 0.0, 600.0, 99.0), tuple(lines)), PairTokenizer())
    assert " ".join(block.header for block in blocks).strip() == header


@pytest.mark.parametrize("kind", ["figure", "scan"])
def test_a_region_without_text_has_no_blocks(kind: RegionKind) -> None:
    assert cut_region(Region(kind, (0.0, 0.0, 10.0, 10.0)), PairTokenizer()) == []


def test_a_long_word_continues_without_starting_a_line() -> None:
    word = Word("x" * 140, (0.0, 0.0, 140.0, 10.0))
    blocks = cut_region(Region("text", word.bbox, (Line((word,)),)), PairTokenizer())
    assert [len(block.token_ids) for block in blocks] == [32, 32, 6]
    assert [bool(block.roles[0] & LINE_START) for block in blocks] == [True, False, False]
    assert blocks[1].boxes[0].tolist() == [64.0, 0.0, 66.0, 10.0]


def test_roles_leave_room_for_the_line_start_bit() -> None:
    assert len(ROLES) < LINE_START
    assert len(set(ROLES)) == len(ROLES)


def test_titles_of_several_columns_are_read_with_the_names_below_them() -> None:
    def cell(row: int, column: int, text: str, span: int = 1, height: int = 1) -> Cell:
        box = (60.0 * column, 12.0 * row, 60.0 * column + 30, 12.0 * row + 10)
        role: CellRole = "column_header" if row < 2 else "body" if column else "row_header"
        return Cell(row, column, box, (Line((Word(text, box),)),), role, height, span)

    cells = (
        cell(0, 0, "Plant", height=2), cell(0, 1, "2023", span=2), cell(0, 3, "2024", span=2),
        cell(1, 1, "Output"), cell(1, 2, "Scrap"), cell(1, 3, "Output"), cell(1, 4, "Scrap"),
        *(cell(2, i, text) for i, text in enumerate(["Arden", "510", "12", "560", "9"])),
    )  # fmt: skip
    (block,) = cut_region(Region("table", (0.0, 0.0, 300.0, 40.0), table=Table(cells, 3, 5)), tokenizer())
    header = "Plant 2023 Output 2023 Scrap 2024 Output 2024 Scrap"
    assert (block.header, block.text) == (header, f"{header} Arden 510 12 560 9")
