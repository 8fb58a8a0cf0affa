"""Text that a person who looks at the page does not see: found, kept apart, and said why.

What is not painted, or off the page, the engine knows. All other words are looked for in a rendering of the page: what
counts is the ink that a word itself leaves where it stands, see ``ink``, whether it is white on white, covered, cut
away, in a layer that is off, or something else lies in its place. Words that share their place with others, or that are
seen in part, are looked at letter by letter, see ``close_look``. The invisible text layer of a scan stays where the
picture shows something.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

from mm_megacontext.document import Box, HiddenReason, Region
from mm_megacontext.layout.engines.protocol import Painted, RawPage, RawWord
from mm_megacontext.layout.lines.segments import find_rows, find_segments, line_of
from mm_megacontext.layout.page.close_look import CloseLook, Parts, inner
from mm_megacontext.layout.page.ink import MIN_CONTRAST, Ink
from mm_megacontext.layout.page.overlaps import Boxes, share_under

MIN_SIZE_PT = 1.0
SCAN_SHARE = 0.5
"""Of the page's area: an image of this size is a scan, and invisible text on it is its text layer."""

_COVERED = 0.9  # of a word's box, for an image to hide it
_NEARLY_ALL, _MIN_SHARE, _NEARLY_NONE = 0.95, 0.5, 0.02  # of the ink of a word
_MIN_EXTENT = 0.25  # of the width and the height of a word's box, that its ink takes
_FREE = 0.3  # of a word's box that no other covers, for what is there to count
_MOST_TIMES = 2.0  # a line of a font is higher than its size; what is higher than this has a font that lies
_MIN_LETTER_PT = 0.2  # width of a letter: of a font of 1 pt even an i is wider

_TOO_SMALL: HiddenReason = "smaller than 1 pt"
_READABLE_PX = 5  # at one pixel a point

Hidden = dict[int, HiddenReason]
"""Why, by the index of the word."""


def split_hidden(page: RawPage) -> tuple[RawPage, tuple[Region, ...]]:
    """The page with the words that can be seen, and regions of those that cannot.

    Raises:
        ValueError: There is text and the engine cannot render the page.
    """
    looked = _look(page)
    if not looked.hidden and not looked.parts:
        return page, ()
    seen = [looked.parts.get(i, Parts(word, None)).seen for i, word in enumerate(page.words) if i not in looked.hidden]
    unseen = [(page.words[i], why) for i, why in looked.hidden.items()]
    unseen += [(part.unseen, "no contrast") for part in looked.parts.values() if part.unseen is not None]
    return replace(page, words=[word for word in seen if word is not None]), tuple(_regions(unseen))


def find_hidden(page: RawPage) -> Hidden:
    """The words of a page that nobody sees."""
    return _look(page).hidden


class _Looked(NamedTuple):
    """What is hidden of a page: whole words, and parts of others."""

    hidden: Hidden
    parts: dict[int, Parts]


def _look(page: RawPage) -> _Looked:
    scans = [box for box in page.images if _area(box) >= SCAN_SHARE * page.size[0] * page.size[1]]
    hidden = {i: why for i, word in enumerate(page.words) if (why := _certainly(word, scans)) is not None}
    squeezed = [i for i, word in enumerate(page.words) if i not in hidden and _is_squeezed(word)]
    others = [i for i in range(len(page.words)) if i not in hidden]
    if not others:
        return _Looked(hidden, {})
    ink = Ink(page)
    hidden |= dict.fromkeys(_squeezed_away(page, ink, squeezed), _TOO_SMALL)
    others = [i for i in others if i not in squeezed]  # their boxes do not say where their ink is
    if not ink.tells_text:
        hidden |= {i: "no contrast" for i in others if ink.contrast(page.words[i].box) < MIN_CONTRAST}
        return _Looked(hidden | _under_images(page, [i for i in others if i not in hidden], scans), {})
    found = _without_ink(page, ink, others)
    return _Looked(hidden | _without_layer(page, ink, found.hidden, scans, others), found.parts)


def _certainly(word: RawWord, scans: Sequence[Box]) -> HiddenReason | None:
    """Why a word is hidden, if that needs no look at the page."""
    if word.hidden is not None:
        is_text_layer = word.hidden == "not painted" and any(share_under(word.box, scan) >= _COVERED for scan in scans)
        return None if is_text_layer else word.hidden
    along, across = word.x1 - word.x0, word.y1 - word.y0
    if not word.upright:
        along, across = across, along
    size = max(word.size, along / len(word.text), across if across > _MOST_TIMES * word.size else 0.0)
    return _TOO_SMALL if size < MIN_SIZE_PT else None


def _is_squeezed(word: RawWord) -> bool:
    """Whether the box of a word is too flat, or too narrow for its letters, to be read."""
    along, across = word.x1 - word.x0, word.y1 - word.y0
    if not word.upright:
        along, across = across, along
    is_flat = across < MIN_SIZE_PT and word.size < MIN_SIZE_PT
    return is_flat or 0 < along < _MIN_LETTER_PT * _n_wide(word.text)  # fonts that say nothing of widths give 0


def _squeezed_away(page: RawPage, ink: Ink, squeezed: Sequence[int]) -> Iterator[int]:
    """Those of the words with such boxes that cannot be read: broken fonts lie about the size of what they show.

    What they show is larger than its box then. Where other text is close, it may be that one's and does not count.
    """
    texts = Boxes([word.box for word in page.words])
    for i in squeezed:
        x0, y0, x1, y1 = page.words[i].box
        reach = max(x1 - x0, y1 - y0) / (2 * len(page.words[i].text))
        wide = (x0 - reach, y0 - reach, x1 + reach, y1 + reach)
        among = [n for n in texts.touching(wide) if n != i and not _is_squeezed(page.words[n])]
        if among or not ink.tells_text or min(ink.text_size(wide)) < _READABLE_PX:
            yield i


def _n_wide(text: str) -> int:
    """Letters and digits, which take room, unlike marks that are put on others."""
    return sum(c.isalnum() for c in text)


def _without_ink(page: RawPage, ink: Ink, words: Sequence[int]) -> _Looked:
    """Those of the words where nothing is seen, or something that is not they, and those of which a part is seen."""
    look = None
    painted = [i for i in words if page.words[i].hidden is None]
    if page.letters is not None:
        look = CloseLook(page, page.letters, ink, painted)
    hidden: Hidden = {i: why for i in words if (why := page.words[i].hidden) is not None}
    parts: dict[int, Parts] = {}
    shown = ink.shown([page.words[i].box for i in painted])
    are_crowded = look.are_crowded() if look is not None else [False] * len(painted)
    for n, (i, is_crowded) in enumerate(zip(painted, are_crowded, strict=True)):
        others = look.others(i) if look is not None and is_crowded else []
        share = None if shown is None else shown[n]
        if share is not None and share >= _NEARLY_ALL and not others and not page.words[i].apart:
            continue
        part = _seen_of(page, ink, look, i, others, share)
        if part.seen is None:
            hidden[i] = "no contrast"
        elif part.unseen is not None:
            parts[i] = part
    return _Looked(_with_reasons(page, ink, hidden), parts)


def _seen_of(
    page: RawPage, ink: Ink, look: CloseLook | None, i: int, others: Sequence[int], share: float | None
) -> Parts:
    """What is seen of a word that may not be seen, or not whole.

    Args:
        page: Its page.
        ink: The page's pixels.
        look: The page's letters, where the engine tells them.
        i: The word.
        others: Words that share its place.
        share: How much is seen of the ink of all letters in its box; None where there should be none.
    """
    word = page.words[i]
    whole, nothing = Parts(word, None), Parts(None, word)
    if word.apart:
        stands_out = None if look is None else look.stands_out(i)
        return whole if (ink.contrast(word.box) >= MIN_CONTRAST if stands_out is None else stands_out) else nothing
    if share is None:
        return whole if _is_drawn(word, ink) else nothing
    if share <= _NEARLY_NONE and not others:
        return nothing
    part = None if look is None else look.parts(i, others)
    if part is not None:
        return part
    boxes = [page.words[j].box for j in others]
    if boxes and ink.share_outside(word.box, boxes) >= _FREE:
        return whole if ink.of_text(word.box, boxes) >= MIN_CONTRAST else nothing
    return whole if share >= _MIN_SHARE else nothing


def _is_drawn(word: RawWord, ink: Ink) -> bool:
    """Whether text is seen in a word's place, in about its size: of letters that the engine cannot paint alone."""
    columns, rows = ink.text_size(word.box, MIN_CONTRAST)
    least = _MIN_EXTENT if _n_wide(word.text) else 0.0
    return columns > 0 and columns >= least * (word.x1 - word.x0) and rows >= least * (word.y1 - word.y0)


def _with_reasons(page: RawPage, ink: Ink, hidden: Hidden) -> Hidden:
    """The same words; those that an image is seen instead of are under it."""
    unseen = [i for i, why in hidden.items() if why == "no contrast"]
    near = Boxes(page.images).meet([page.words[i].box for i in unseen])
    order = cache(page.paint_order or list[Painted])
    for i, is_near in zip(unseen, near, strict=True):
        box = page.words[i].box
        if is_near and ink.contrast(inner(box)) >= MIN_CONTRAST and _is_painted_over(box, order(), ("image",)):
            hidden[i] = "under an image"
    return hidden


def _without_layer(page: RawPage, ink: Ink, hidden: Hidden, scans: Sequence[Box], words: Sequence[int]) -> Hidden:
    """The hidden words but for the text layer of a scan: most of the page's text, where the picture shows something."""
    layer = [i for i in hidden if hidden[i] != "no contrast" and any(_lies_on(page.words[i].box, s) for s in scans)]
    seen = [i for i in words if i not in hidden]
    if sum(len(page.words[i].text) for i in layer) < sum(len(page.words[i].text) for i in seen):
        return hidden
    shown = {i for i in layer if ink.beside_text(inner(page.words[i].box)) >= MIN_CONTRAST}
    return {i: why for i, why in hidden.items() if i not in shown}


def _lies_on(box: Box, scan: Box) -> bool:
    return share_under(box, scan) >= _COVERED


def _under_images(page: RawPage, words: Sequence[int], scans: Sequence[Box]) -> Hidden:
    """Words that an image was painted over, as far as the order tells; that of a scan may hide its text layer."""
    pictures = [box for box in page.images if box not in scans]
    inside = [i for i in words if any(share_under(page.words[i].box, box) >= _COVERED for box in pictures)]
    if not inside or page.paint_order is None:
        return {}
    order = [item for item in page.paint_order() if item.box not in scans]
    return {i: "under an image" for i in inside if _is_painted_over(page.words[i].box, order, ("image",))}


def _is_painted_over(box: Box, order: Sequence[Painted], by: Sequence[str]) -> bool:
    """Whether what covers was painted after the last text in a place."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    texts = [n for n, item in enumerate(order) if item.kind == "text" and _holds(item.box, x, y)]
    if not texts:
        return False
    return any(item.kind in by and share_under(inner(box), item.box) >= _COVERED for item in order[texts[-1] + 1 :])


def _regions(hidden: Sequence[tuple[RawWord, HiddenReason]]) -> Iterator[Region]:
    """One region per reason and line."""
    by_reason: dict[HiddenReason, list[RawWord]] = defaultdict(list)
    for word, why in hidden:
        by_reason[why].append(word)
    for why, words in by_reason.items():
        for row in find_rows(find_segments(words)):
            line = line_of(row)
            yield Region("text", line.bbox, (line,), hidden=why)


def _holds(box: Box, x: float, y: float) -> bool:
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
