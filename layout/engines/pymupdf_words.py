"""The words of a page of PyMuPDF, and how each of them is painted."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, NotRequired, TypedDict

from mm_megacontext.document import Box, HiddenReason, Rgb
from mm_megacontext.layout.engines.protocol import RawWord, clip_box, drawn_text, is_outside, quarter_turns
from mm_megacontext.layout.engines.pymupdf_frame import PageFrame
from mm_megacontext.layout.engines.pymupdf_library import pymupdf
from mm_megacontext.layout.engines.scripts import Part, scripted, with_scripts

WHITE_SPACE = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
"""What parts words; MuPDF by itself knows only the space and the no-break space."""
_RARE_SPACE = frozenset(WHITE_SPACE) - frozenset(map(chr, range(33))) - {"\u00a0"}

# Ligatures come expanded (flag left out). Images are read apart: the dictionary would copy or re-encode each of them.
# Vectors are collected only to know whether there are any; releases before 1.26 cannot, and are always asked for them.
COLLECT_VECTORS = getattr(pymupdf, "TEXTCOLLECT_VECTORS", 0)
# Nothing is cut at the page's edge: what lies outside is told apart and not lost.
_TOLD = pymupdf.TEXTFLAGS_WORDS & ~pymupdf.TEXT_PRESERVE_LIGATURES & ~pymupdf.TEXT_MEDIABOX_CLIP
# Releases before 1.26 do not know of ActualText.
_GLYPHS = _TOLD | getattr(pymupdf, "TEXT_IGNORE_ACTUALTEXT", 0)
_FLAGS = _GLYPHS | COLLECT_VECTORS

_BOLD = 16  # span flag
_BOLD_CHARACTER = 8  # bold by its weight, not by its font's name
_FILLED, _INKED, _CLIPPING = 16, 16 | 32, 64  # filled or stroked; only cutting out what is painted next


class Span(TypedDict):
    """A run of text in one font, as PyMuPDF's dictionaries hold it; what older releases lack is not required."""

    text: str
    font: str
    size: float
    flags: int
    color: int
    origin: tuple[float, float]
    bbox: Box
    char_flags: NotRequired[int]
    alpha: NotRequired[int]


class TextLine(TypedDict):
    """A line of such spans."""

    spans: list[Span]
    dir: tuple[float, float]
    wmode: int
    bbox: Box


class Block(TypedDict):
    """Lines that stand together, a picture or a drawing."""

    type: int
    bbox: Box
    lines: NotRequired[list[TextLine]]


FoundWord = tuple[float, float, float, float, str, int, int, int]
"""Box, text, numbers of block, line and word."""


class TextOfPage(NamedTuple):
    """What stands on a page: blocks, and the words on their lines, in one order."""

    blocks: list[Block]
    words: list[FoundWord]


def read_text(page: Any) -> TextOfPage:
    """The glyphs of a page of PyMuPDF, wherever they stand."""
    text_page = page.get_textpage(clip=pymupdf.INFINITE_RECT(), flags=_FLAGS)
    blocks: list[Block] = text_page.extractDICT()["blocks"]
    return TextOfPage(blocks, _extract_words(text_page, blocks))


def words_of(text: TextOfPage, frame: PageFrame) -> list[RawWord]:
    """The words of a page and how they are painted."""
    return _words(text.words, _Looks(text.blocks, frame), frame)


def plain_words(page: Any, frame: PageFrame) -> list[RawWord]:
    """The words of a page without a look at how they are painted."""
    return _plain_words(page, _GLYPHS, frame)


def told_words(page: Any, frame: PageFrame) -> list[RawWord] | None:
    """The words as ActualText says them; None where the page has none, or this release does not know of it."""
    if _TOLD == _GLYPHS or not _may_have_actual_text(page):
        return None
    return _plain_words(page, _TOLD, frame)


def _may_have_actual_text(page: Any) -> bool:
    """Whether ActualText may stand on a page: in its content, or out of sight in what this draws or refers to."""
    own, _ = page.parent.xref_get_key(page.xref, "Resources")
    properties, _ = page.parent.xref_get_key(page.xref, "Resources/Properties")
    is_plain = own != "null" and properties == "null" and not page.get_xobjects()
    return not is_plain or b"ActualText" in page.read_contents()


def _extract_words(text_page: Any, blocks: list[Block]) -> list[FoundWord]:
    """The words of a text page; looking for rare white space takes three times as long, where there is none."""
    texts = (span["text"] for block in blocks for line in block.get("lines", ()) for span in line["spans"])
    has_rare = any(not text.isascii() and not _RARE_SPACE.isdisjoint(text) for text in texts)
    words: list[FoundWord] = text_page.extractWORDS(WHITE_SPACE if has_rare else None)
    return words


def _plain_words(page: Any, flags: int, frame: PageFrame) -> list[RawWord]:
    """The words of a page, wherever they stand, without a look at how they are painted."""
    found = page.get_textpage(clip=pymupdf.INFINITE_RECT(), flags=flags).extractWORDS(WHITE_SPACE)
    return _words(found, _Looks([], frame), frame)


def _words(found: list[FoundWord], looks: _Looks, frame: PageFrame) -> list[RawWord]:
    width, height = frame.size
    words: list[RawWord] = []
    place = (-1, -1)
    look = _PLAIN
    for x0, y0, x1, y1, text, block_no, line_no, _ in found:
        middle = ((x0 + x1) / 2, (y0 + y1) / 2)
        if (block_no, line_no) != place:
            place = (block_no, line_no)
            look = looks.of(*middle) or _PLAIN._replace(size=y1 - y0)
        hidden = look.unpainted_at(*middle) if look.unpainted else None
        ink, apart = look.inks[0][1:] if len(look.inks) == 1 else look.ink_at(*middle)
        if frame.turn is not None or not (x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height):
            box = frame.turned((x0, y0, x1, y1))
            if not all(map(math.isfinite, box)):
                continue
            if is_outside(box, frame.size):
                hidden = "outside the page"
            else:
                box = clip_box(box, frame.size) or box
            x0, y0, x1, y1 = box
        if not (text.isascii() and text.isprintable()):
            text = drawn_text(text)
            if not text:
                continue
        line = block_no << 16 | line_no
        word = RawWord(
            x0, y0, x1, y1, text, look.size, look.bold, look.upright, line, hidden, None, ink, apart, look.turn
        )
        if look.raised:
            words += with_scripts(word, look.raised)
        else:
            words.append(word)
    return words


class _Look(NamedTuple):
    """How a line looks.

    Attributes:
        size: Font size, that of its longest span.
        bold: Whether all of it is.
        upright: Whether it stands so.
        unpainted: Boxes, before rotation, of its spans that leave no ink, and why.
        inks: Boxes, before rotation, of its spans; the colour of their ink; whether they are painted apart.
        turn: Quarter turns clockwise that it is turned by.
        raised: What stands above or below it, as the page shows it.
    """

    size: float
    bold: bool
    upright: bool
    unpainted: tuple[tuple[Box, HiddenReason], ...]
    inks: tuple[tuple[Box, Rgb | None, bool], ...] = ()
    turn: int = 0
    raised: tuple[Part, ...] = ()

    def unpainted_at(self, x: float, y: float) -> HiddenReason | None:
        """Why the span that holds the point leaves no ink, if that is so."""
        return next((why for (x0, y0, x1, y1), why in self.unpainted if x0 <= x <= x1 and y0 <= y <= y1), None)

    def ink_at(self, x: float, y: float) -> tuple[Rgb | None, bool]:
        """The ink of the span that holds the point, and whether it is painted apart."""
        for (x0, y0, x1, y1), ink, apart in self.inks:
            if x0 <= x <= x1 and y0 <= y <= y1:
                return ink, apart
        return None, False


_PLAIN = _Look(0.0, False, True, ())


class _Looks:
    """The lines of the dictionary, gone through in step with the words.

    The two are in the same order; their block numbers differ, since only one of them counts vector graphics.
    """

    def __init__(self, blocks: list[Block], frame: PageFrame) -> None:
        self._lines = [line for block in blocks for line in block.get("lines", ()) if line["spans"]]
        self._next = 0
        self._frame = frame

    def of(self, x: float, y: float) -> _Look | None:
        """The look of the next line that holds the point, or None where none does."""
        for at in range(self._next, len(self._lines)):
            x0, y0, x1, y1 = self._lines[at]["bbox"]
            if x0 <= x <= x1 and y0 <= y <= y1:
                self._next = at + 1
                return self._look(self._lines[at])
        return None

    def _look(self, line: TextLine) -> _Look:
        spans = line["spans"]
        raised = scripted([self._part(span, line["dir"]) for span in spans]) if len(spans) > 1 else ()
        dx, dy = line["dir"]
        if self._frame.turn is not None:
            a, b, c, d, _, _ = self._frame.turn
            dx, dy = dx * a + dy * c, dx * b + dy * d
        bold = all(s["flags"] & _BOLD or s.get("char_flags", 0) & _BOLD_CHARACTER for s in spans if s["text"].strip())
        unpainted = tuple((s["bbox"], why) for s in spans if (why := _unpainted(s)) is not None)
        size = max(spans, key=lambda s: len(s["text"]))["size"]
        inks = tuple((s["bbox"], *_ink(s)) for s in spans)
        if len({ink[1:] for ink in inks}) == 1:
            inks = inks[:1]
        is_level = line["wmode"] == 0
        turn = quarter_turns(math.degrees(math.atan2(dy, dx))) if is_level else 0
        return _Look(size, bold, dx > 0.9 and is_level, unpainted, inks, turn, raised)

    def _part(self, span: Span, direction: tuple[float, float]) -> Part:
        (dx, dy), (x, y) = direction, span["origin"]
        box = span["bbox"]
        ends = [box[0] * dx + box[1] * dy, box[2] * dx + box[3] * dy]
        return Part(self._frame.turned(box), span["text"], span["size"], dx * y - dy * x, min(ends), max(ends))


def _unpainted(span: Span) -> HiddenReason | None:
    """Why a span leaves no ink, if it leaves none; releases before 1.25.2 do not tell."""
    flags = span.get("char_flags", 0)
    if span.get("alpha", 255) or flags & _CLIPPING:
        return None
    return "transparent" if flags & _INKED else "not painted"


def _ink(span: Span) -> tuple[Rgb | None, bool]:
    """The colour that letters are filled with, where that is known, and whether they are painted apart."""
    flags = span.get("char_flags", 0)
    if flags & _CLIPPING:
        return None, True
    color = span["color"]
    return ((color >> 16 & 255, color >> 8 & 255, color & 255) if flags & _FILLED else None), False
