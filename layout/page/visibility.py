"""Text that a person who looks at the page does not see: found, kept apart, and said why.

What is not painted, or off the page, the engine knows. All other words are looked for in a rendering of the page: where
no pixel of a word's box differs from the others, nothing can be read there, whether it is white on white, covered, cut
away or in a layer that is off. Where something else lies in the same place, what counts is what the word itself leaves
there, see ``ink``. The invisible text layer of a scan stays where the picture shows something.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

from mm_megacontext.document import Box, HiddenReason, Region
from mm_megacontext.layout.engines.protocol import Painted, RawPage, RawWord
from mm_megacontext.layout.lines.segments import find_rows, find_segments, line_of
from mm_megacontext.layout.page.ink import Ink
from mm_megacontext.layout.page.overlaps import Boxes, share_under

MIN_CONTRAST = 12
"""Of 255: what differs less from its surroundings is not seen."""
MIN_SIZE_PT = 1.0
SCAN_SHARE = 0.5
"""Of the page's area: an image of this size is a scan, and invisible text on it is its text layer."""

_COVERED = 0.9  # of a word's box, for an image to hide it
_BURIED = 0.4  # of a word's box that another one covers, for their ink to be told apart
_FREE = 0.3  # of a word's box that no other covers, for what is there to count
_MOST_TIMES = 2.0  # a line of a font is higher than its size; what is higher than this has a font that lies
_MIN_LETTER_PT = 0.2  # width of a letter: of a font of 1 pt even an i is wider
_INNER = 0.15  # of a word's box: rules of a table that touch it are not its ink

_TOO_SMALL: HiddenReason = "smaller than 1 pt"
_READABLE_PX = 5  # at one pixel a point

Hidden = dict[int, HiddenReason]
"""Why, by the index of the word."""


def split_hidden(page: RawPage) -> tuple[RawPage, tuple[Region, ...]]:
    """The page with the words that can be seen, and regions of those that cannot.

    Raises:
        ValueError: There is text and the engine cannot render the page.
    """
    hidden = find_hidden(page)
    if not hidden:
        return page, ()
    seen = [word for i, word in enumerate(page.words) if i not in hidden]
    return replace(page, words=seen), tuple(_regions([(page.words[i], why) for i, why in hidden.items()]))


def find_hidden(page: RawPage) -> Hidden:
    """The words of a page that nobody sees."""
    scans = [box for box in page.images if _area(box) >= SCAN_SHARE * page.size[0] * page.size[1]]
    hidden = {i: why for i, word in enumerate(page.words) if (why := _certainly(word, scans)) is not None}
    squeezed = [i for i, word in enumerate(page.words) if i not in hidden and _is_squeezed(word)]
    others = [i for i in range(len(page.words)) if i not in hidden]
    if not others:
        return hidden
    ink = Ink(page)
    hidden |= dict.fromkeys(_squeezed_away(page, ink, squeezed), _TOO_SMALL)
    others = [i for i in others if i not in squeezed]  # their boxes do not say where their ink is
    for i, box in zip(others, _ink_boxes(page, others), strict=True):
        if ink.contrast(box) < MIN_CONTRAST:
            hidden[i] = page.words[i].hidden or "no contrast"
    others = [i for i in others if i not in hidden]
    if not ink.tells_text:
        return hidden | _under_images(page, others, scans)
    return hidden | _without_layer(page, ink, _without_ink(page, ink, others), scans, others)


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


def _ink_boxes(page: RawPage, words: Sequence[int]) -> Iterator[Box]:
    """Where the ink of words would be; where something is drawn at a word's edge, without that edge."""
    boxes = [page.words[i].box for i in words]
    at_edge = Boxes([*page.rules, *page.drawings]).meet(boxes)
    return (_inner(box) if is_met else box for box, is_met in zip(boxes, at_edge, strict=True))


def _inner(box: Box) -> Box:
    x0, y0, x1, y1 = box
    inset = _INNER * min(y1 - y0, x1 - x0)
    return (x0 + inset, y0 + inset, x1 - inset, y1 - inset)


def _without_ink(page: RawPage, ink: Ink, words: Sequence[int]) -> Hidden:
    """Those of the words where something is seen, and that is not they."""
    boxes = [page.words[i].box for i in words]
    is_near = Boxes([*page.rules, *page.drawings, *page.images]).meet(list(_ink_boxes(page, words)))
    placed = [i for i in range(len(page.words)) if page.words[i].hidden is None]
    texts = Boxes([page.words[i].box for i in placed])
    order = cache(page.paint_order or list[Painted])
    hidden: Hidden = {}
    for i, near, among in zip(words, is_near, texts.meet(boxes, at_least=2), strict=True):
        word = page.words[i]
        if word.apart:
            continue
        above = [placed[n] for n in texts.touching(word.box)] if among or word.hidden else []
        above = [j for j in above if j != i and _is_buried(word, page.words[j])]
        if not (word.hidden or above or page.has_unlisted or near):
            continue
        if ink.of_text(word.box) < MIN_CONTRAST:
            is_under = word.hidden is None and _is_painted_over(word.box, order(), ("image",))
            hidden[i] = word.hidden or ("under an image" if is_under else "no contrast")
        elif word.hidden is not None and ink.of_text(_inner(word.box)) >= MIN_CONTRAST:
            hidden[i] = word.hidden  # what is seen is other text
        elif above:
            others = [page.words[j].box for j in above]
            is_covered = _is_painted_over(word.box, order(), ("cover", "image"), first=i < min(above))
            if is_covered or _is_lost(word, others, ink):
                hidden[i] = "no contrast"
    return hidden


def _is_buried(word: RawWord, other: RawWord) -> bool:
    """Whether so much of a word lies in the place of another text that the ink there may be that one's."""
    return word.text not in other.text and share_under(word.box, other.box) >= _BURIED


def _is_lost(word: RawWord, others: Sequence[Box], ink: Ink) -> bool:
    """Whether the text that is seen in a word's place is that of the others."""
    if word.ink is not None and ink.shows(word.ink, word.box) < MIN_CONTRAST:
        return True
    return ink.share_outside(word.box, others) >= _FREE and ink.of_text(word.box, others) < MIN_CONTRAST


def _without_layer(page: RawPage, ink: Ink, hidden: Hidden, scans: Sequence[Box], words: Sequence[int]) -> Hidden:
    """The hidden words but for the text layer of a scan: most of the page's text, where the picture shows something."""
    layer = [i for i in hidden if hidden[i] != "no contrast" and any(_lies_on(page.words[i].box, s) for s in scans)]
    seen = [i for i in words if i not in hidden]
    if sum(len(page.words[i].text) for i in layer) < sum(len(page.words[i].text) for i in seen):
        return hidden
    places = zip(layer, _ink_boxes(page, layer), strict=True)
    shown = {i for i, box in places if ink.beside_text(box) >= MIN_CONTRAST}
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


def _is_painted_over(box: Box, order: Sequence[Painted], by: Sequence[str], *, first: bool = False) -> bool:
    """Whether what covers was painted after the text in a place: the last one there, or the first that fits it."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    texts = [n for n, item in enumerate(order) if item.kind == "text" and _holds(item.box, x, y)]
    if not texts:
        return False
    own = texts[0] if first else texts[-1]
    return any(item.kind in by and share_under(_inner(box), item.box) >= _COVERED for item in order[own + 1 :])


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
