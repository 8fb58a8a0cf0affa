"""Characters that nobody sees or that show others in another order: told apart from what a page says.

Tags and variation selectors carry whole sentences that no font draws; overrides of direction show "000,584" as
"485,000"; fillers and characters without width look like nothing. What is left of a text is what a person sees; the
rest is given back as what it says, or as a count where it says nothing. Emoji, Indic, Persian and old Korean writing,
which need some of these characters, keep them.

    >>> told_apart("see\U000e0068\U000e0069n"), told_apart("\u202e000,584\u202c")
    (('seen', ('hi',)), ('485,000', ('000,584',)))
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from mm_megacontext.document import Cell, Document, HiddenReason, Line, Page, Region, Table, Word, union

WHY: HiddenReason = "not displayed"

_FLAG = r"\U0001f3f4[\U000e0030-\U000e007a]{2,6}\U000e007f"  # emoji of England, Scotland, Wales
_SUSPECT = re.compile(
    "[\U000e0000-\U000e007f\U000e0100-\U000e01ef\ufe00-\ufe0f\u202d\u202e\u3164\uffa0\u115f\u1160\u2800"
    "\u200b-\u200f\u2061-\u2064\u206a-\u206f\u180b-\u180e\ufff9-\ufffb\ufeff]"
)
_PARTS = re.compile(
    rf"(?P<flag>{_FLAG})"
    r"|(?P<tags>[\U000e0000-\U000e007f]+)"
    r"|(?P<selectors>[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,})"
    r"|(?P<override>[\u202d\u202e](?P<inner>[^\u202c\u202d\u202e]*)\u202c?)"
    r"|(?P<fillers>(?<![\u1100-\u11ff])[\u3164\uffa0\u115f\u1160]+(?![\u1100-\u11ff])"
    r"|(?<![\u2801-\u28ff])\u2800+(?![\u2801-\u28ff]))"
    r"|(?P<widthless>[\u200b-\u200f\u2061-\u2064\u206a-\u206f\u180b-\u180e\ufff9-\ufffb\ufeff]{4,})"
)
_TAG_BASE = 0xE0000
_RIGHT_TO_LEFT = "\u202e"


@lru_cache(maxsize=4096)
def told_apart(text: str) -> tuple[str, tuple[str, ...]]:
    """What a person sees of a text, and what else it says."""
    if _SUSPECT.search(text) is None:
        return text, ()
    seen: list[str] = []
    unseen: list[str] = []
    at = 0
    for match in _PARTS.finditer(text):
        seen.append(text[at : match.start()])
        at = match.end()
        kind = match.lastgroup if match.lastgroup != "inner" else "override"
        if kind == "flag":
            seen.append(match.group())
        elif kind == "tags":
            unseen.append(_of_tags(match.group()))
        elif kind == "selectors":
            unseen.append(_of_selectors(match.group()))
        elif kind == "override":
            inner, hidden = told_apart(match["inner"])
            turned = match.group().startswith(_RIGHT_TO_LEFT) and inner != inner[::-1]
            seen.append(inner[::-1] if turned else inner)
            unseen += [*hidden, *([inner] if turned else [])]
        else:
            unseen.append(f"{len(match.group())} x U+{ord(match.group()[0]):04X}")
            seen.append(" " if kind == "fillers" else "")
    seen.append(text[at:])
    return "".join(seen), tuple(part for part in unseen if part.strip())


def document_told_apart(document: Document) -> Document:
    """A document whose pages say what is seen, see ``page_told_apart``."""

    def pages() -> Iterator[Page]:
        for page in document.pages():  # one that is closed lets go of the document
            yield page_told_apart(page)

    return replace(document, open_pages=pages)


def page_told_apart(page: Page) -> Page:
    """A page whose words say what is seen; what else they say follows as hidden regions."""
    if not any(_SUSPECT.search(word.text) for region in page.regions for word in _words(region)):
        return page
    regions: list[Region] = []
    for region in page.regions:
        if region.hidden is not None:
            regions.append(region)
            continue
        kept, unseen = _region(region)
        regions += [kept] if kept is not None else []
        regions += [_hidden(word, texts) for word, texts in unseen]
    return replace(page, regions=tuple(_with_captions(page.regions, regions)))


_Unseen = list[tuple[Word, tuple[str, ...]]]


def _words(region: Region) -> list[Word]:
    lines = region.lines if region.table is None else [line for cell in region.table.cells for line in cell.lines]
    return [word for line in lines for word in line.words]


def _region(region: Region) -> tuple[Region | None, _Unseen]:
    if region.table is None:
        lines, unseen = _lines(region.lines)
        if not unseen and lines == region.lines:
            return region, []
        kept = replace(region, lines=lines, bbox=union([line.bbox for line in lines])) if lines else None
        return kept, unseen
    cells: list[Cell] = []
    found: _Unseen = []
    for cell in region.table.cells:
        lines, unseen = _lines(cell.lines)
        cells.append(replace(cell, lines=lines))
        found += unseen
    table: Table = replace(region.table, cells=tuple(cells))
    return replace(region, table=table), found


def _lines(lines: Sequence[Line]) -> tuple[tuple[Line, ...], _Unseen]:
    kept: list[Line] = []
    unseen: _Unseen = []
    for line in lines:
        words: list[Word] = []
        for word in _closed(line.words):
            text, hidden = told_apart(word.text)
            text = " ".join(text.split())
            if hidden:
                unseen.append((word, hidden))
            if text == word.text:
                words.append(word)
            else:  # the characters of the source are others
                words += [replace(word, text=part, span=None) for part in text.split()]
        if words:
            kept.append(Line(tuple(words)))
    return tuple(kept), unseen


def _closed(words: Sequence[Word]) -> list[Word]:
    """The words of a line; an override that goes on over several begins anew in each, and turns their order."""
    closed: list[Word] = []
    open_from: int | None = None
    for word in words:
        begins = word.text.rfind("\u202e")
        text = word.text if open_from is None else f"\u202e{word.text}"
        is_open = begins > word.text.rfind("\u202c") or (open_from is not None and "\u202c" not in word.text)
        closed.append(replace(word, text=text))
        if is_open and open_from is None:
            open_from = len(closed) - 1
        elif not is_open and open_from is not None:
            closed[open_from:] = _turned(closed[open_from:])
            open_from = None
    if open_from is not None:
        closed[open_from:] = _turned(closed[open_from:])
    return closed


def _turned(words: list[Word]) -> list[Word]:
    return [replace(word, text=other.text) for word, other in zip(words, reversed(words), strict=True)]


def _hidden(word: Word, texts: tuple[str, ...]) -> Region:
    x0, y0, _, _ = word.bbox
    point = (x0, y0, x0, y0)
    words = tuple(Word(part, point) for text in texts for part in text.split())
    return Region("text", point, (Line(words),), hidden=WHY)


def _with_captions(old: Sequence[Region], new: list[Region]) -> list[Region]:
    """The regions with the places of what captions belong to as they are now; figures and tables never go."""
    targets = [i for i, region in enumerate(old) if region.kind in ("figure", "table", "scan")]
    places = [i for i, region in enumerate(new) if region.kind in ("figure", "table", "scan")]
    moved = dict(zip(targets, places, strict=True))
    return [r if r.caption_of is None else replace(r, caption_of=moved.get(r.caption_of)) for r in new]


def _of_tags(text: str) -> str:
    return "".join(chr(ord(c) - _TAG_BASE) for c in text if 0x20 <= ord(c) - _TAG_BASE < 0x7F)


def _of_selectors(text: str) -> str:
    """What bytes say that are written as variation selectors: the first 16 are 0 to 15, the others go on from there."""
    data = bytes(ord(c) - 0xFE00 if ord(c) < 0x10000 else ord(c) - 0xE0100 + 16 for c in text)
    said = data.decode("utf-8", "ignore")
    readable = "".join(c for c in said if c.isprintable())
    return readable if readable.strip() else f"{len(text)} x U+{ord(text[0]):04X}"
