"""Text that runs up, down or upside down: which words of a page belong to one such piece, and that piece as a page.

A whole page on its side is one piece, whatever stands upright in its margins. Else words of one turn that stand close
are one, if they have several lines: tables and figures' tables printed sideways. Single lines, such as the names of a
chart's axes, stay what they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from mm_megacontext.document import Box, union
from mm_megacontext.layout.engines.form_values import is_inside
from mm_megacontext.layout.engines.protocol import RawPage, RawWord, clip_box
from mm_megacontext.layout.page.figures import clusters, joined
from mm_megacontext.turned_frame import TurnedFrame

_MOST = 0.5  # of a page's letters: then the page is on its side
_MIN_LINES, _MIN_WORDS = 2, 4
_NEXT_LINE_EM = 0.6
_REACH_ALONG_EM, _REACH_ACROSS_EM = 8.0, 1.5  # cells of one row may be far apart
_FRAME_EM = 1.0  # rules around words


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a page that is turned.

    Attributes:
        bbox: On the page.
        page: It alone, upright, as large as the turned page.
        frame: Where that lies on the page.
        is_page: Whether most of the page is this.
    """

    bbox: Box
    page: RawPage
    frame: TurnedFrame
    is_page: bool


def split_turned(page: RawPage, tables: Sequence[Box]) -> tuple[RawPage, list[Piece]]:
    """What stands upright on a page, and the pieces that are turned.

    Args:
        page: Its visible words.
        tables: Of upright text; what is turned in them belongs to them.
    """
    turns = Counter[int]()
    for word in page.words:
        turns[word.turn] += len(word.text)
    if not any(turns[turn] for turn in (1, 2, 3)):
        return page, []
    turn, n_letters = turns.most_common(1)[0]
    if turn and n_letters > _MOST * turns.total():
        words = [word for word in page.words if word.turn == turn]
        rest = replace(page, words=[w for w in page.words if w.turn != turn], rules=[], images=[], drawings=[])
        shown = [word.box for word in words] + page.images + page.drawings
        return rest, [_piece(replace(page, words=words), union(shown), turn, is_page=True)]
    pieces: list[Piece] = []
    for turn in (1, 2, 3):
        words = [w for w in page.words if w.turn == turn and not any(is_inside(w.box, table) for table in tables)]
        pieces += [_part(page, group, turn) for group in _groups(words, page.size)]
    taken = {id(word) for piece in pieces for word in page.words if _is_of(word, piece)}
    boxes = [piece.bbox for piece in pieces]
    rules = [rule for rule in page.rules if not any(is_inside(rule, box) for box in boxes)]
    return replace(page, words=[word for word in page.words if id(word) not in taken], rules=rules), pieces


def _is_of(word: RawWord, piece: Piece) -> bool:
    return word.turn * 90.0 == piece.frame.turn and is_inside(word.box, piece.bbox)


def _groups(words: Sequence[RawWord], size: tuple[float, float]) -> list[list[RawWord]]:
    """Words that stand close, in groups of several lines."""
    reaches = [clip_box(_reach(word, _REACH_ALONG_EM, _REACH_ACROSS_EM), size) for word in words]
    areas = joined([box for box, _ in clusters([reach for reach in reaches if reach is not None], size)])
    groups = [[word for word in words if is_inside(word.box, area)] for area in areas]
    return [group for group in groups if len(group) >= _MIN_WORDS and _n_lines(group) >= _MIN_LINES]


def _n_lines(words: Sequence[RawWord]) -> int:
    """How many lines words of one turn are, told by where they stand: engines may call all of them one."""
    middles = sorted((w.y0 + w.y1 if w.turn == 2 else w.x0 + w.x1) / 2 for w in words)
    size = median(word.size for word in words)
    return 1 + sum(after - before > _NEXT_LINE_EM * size for before, after in pairwise(middles))


def _reach(word: RawWord, along: float, across: float) -> Box:
    """The box of a word with so many ems before and behind it, and at its sides."""
    dx, dy = along * word.size, across * word.size
    if word.turn != 2:
        dx, dy = dy, dx
    return (word.x0 - dx, word.y0 - dy, word.x1 + dx, word.y1 + dy)


def _part(page: RawPage, words: list[RawWord], turn: int) -> Piece:
    """A piece of some words, and of the rules that are drawn around and between them."""
    box = union([_reach(word, _FRAME_EM, _FRAME_EM) for word in words])
    rules = [rule for rule in page.rules if is_inside(rule, box)]
    bbox = union([*(word.box for word in words), *rules])
    return _piece(replace(page, words=words, rules=rules, images=[], drawings=[]), bbox, turn, is_page=False)


def _piece(page: RawPage, bbox: Box, turn: int, is_page: bool) -> Piece:
    frame = TurnedFrame.of(page.size, 90.0 * turn)
    words = [_upright(word, frame) for word in page.words]
    rules, images, drawings = ([*map(frame.upright, boxes)] for boxes in (page.rules, page.images, page.drawings))
    return Piece(bbox, RawPage(page.number, frame.turned_size, words, rules, images, drawings), frame, is_page)


def _upright(word: RawWord, frame: TurnedFrame) -> RawWord:
    x0, y0, x1, y1 = frame.upright(word.box)
    return word._replace(x0=x0, y0=y0, x1=x1, y1=y1, upright=True, turn=0)
