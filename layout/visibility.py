"""Text that a person who looks at the page does not see: found, kept apart, and said why.

What is not painted, or off the page, the engine knows. All other words are looked for in a rendering of the page: where
no pixel of a word's box differs from the others, nothing can be read there, whether it is white on white, covered, cut
away or in a layer that is off. Text below an image is told by the order of painting. The invisible text layer of a scan
stays where the picture shows something.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mm_megacontext.layout.document import Box, HiddenReason, Region
from mm_megacontext.layout.engines import Painted, RawPage, RawWord
from mm_megacontext.layout.segments import find_rows, find_segments, line_of

MIN_CONTRAST = 12
"""Of 255: what differs less from its surroundings is not seen."""
MIN_SIZE_PT = 1.0
SCAN_SHARE = 0.5
"""Of the page's area: an image of this size is a scan, and invisible text on it is its text layer."""

_COVERED = 0.9  # of a word's box, for an image to hide it
_INNER = 0.15  # of a word's box: rules of a table that touch it are not its ink

Boxes = npt.NDArray[np.float64]
"""(n, 4): x0, y0, x1, y1."""

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
    others = [i for i in range(len(page.words)) if i not in hidden]
    if not others:
        return hidden
    if page.raster is None:
        raise ValueError("the engine cannot render the page")
    grey, drawn = page.raster(1.0), _as_array([*page.rules, *page.drawings])
    for i in others:
        if _contrast(grey, _ink_box(page.words[i].box, drawn), page.size) < MIN_CONTRAST:
            hidden[i] = page.words[i].hidden or "no contrast"
    return hidden | _under_images(page, [i for i in others if i not in hidden], scans)


def _certainly(word: RawWord, scans: Sequence[Box]) -> HiddenReason | None:
    """Why a word is hidden, if that needs no look at the page."""
    if word.hidden is not None:
        is_text_layer = word.hidden == "not painted" and any(_share_under(word.box, scan) >= _COVERED for scan in scans)
        return None if is_text_layer else word.hidden
    along, across = word.x1 - word.x0, word.y1 - word.y0
    if not word.upright:
        along, across = across, along
    is_tiny = max(word.size, across, along / len(word.text)) < MIN_SIZE_PT  # some fonts lie about their size
    return "smaller than 1 pt" if is_tiny else None


def _ink_box(box: Box, drawn: Boxes) -> Box:
    """Where a word's ink would be; where something is drawn at its edge, without that edge."""
    x0, y0, x1, y1 = box
    if not ((drawn[:, 0] < x1) & (drawn[:, 2] > x0) & (drawn[:, 1] < y1) & (drawn[:, 3] > y0)).any():
        return box
    inset = _INNER * min(y1 - y0, x1 - x0)
    return (x0 + inset, y0 + inset, x1 - inset, y1 - inset)


def _contrast(grey: npt.NDArray[np.uint8], box: Box, size: tuple[float, float]) -> int:
    """Difference between the brightest and the darkest pixel of a box, 0 to 255."""
    height, width = grey.shape
    x0, x1 = int(box[0] * width / size[0]), round(box[2] * width / size[0])
    y0, y1 = int(box[1] * height / size[1]), round(box[3] * height / size[1])
    crop = grey[min(y0, height - 1) : max(y1, y0 + 1), min(x0, width - 1) : max(x1, x0 + 1)]
    return int(crop.max()) - int(crop.min())


def _under_images(page: RawPage, words: Sequence[int], scans: Sequence[Box]) -> Hidden:
    """Words that an image was painted over. That of a scan may hide its text layer: what it shows is read there."""
    pictures = _as_array([box for box in page.images if box not in scans])
    if not len(pictures) or page.paint_order is None:
        return {}
    inside = [i for i in words if (_shares_under(page.words[i].box, pictures) >= _COVERED).any()]
    if not inside:
        return {}
    order = page.paint_order()
    return {i: "under an image" for i in inside if _is_painted_over(page.words[i].box, order, scans)}


def _is_painted_over(box: Box, order: Sequence[Painted], scans: Sequence[Box]) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    own = max((n for n, item in enumerate(order) if item.kind == "text" and _holds(item.box, x, y)), default=None)
    if own is None:
        return False
    return any(
        item.kind == "image" and item.box not in scans and _share_under(box, item.box) >= _COVERED
        for item in order[own + 1 :]
    )


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


def _as_array(boxes: Sequence[Box]) -> Boxes:
    return np.array(boxes, dtype=np.float64).reshape(-1, 4)


def _share_under(box: Box, other: Box) -> float:
    """The share of ``box`` that ``other`` covers; 1 for a box without area inside it."""
    return float(_shares_under(box, _as_array([other]))[0])


def _shares_under(box: Box, others: Boxes) -> npt.NDArray[np.float64]:
    """The shares (n,) of ``box`` that each of the others covers; 1 for a box without area inside it."""
    width = np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0])
    height = np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1])
    area = _area(box)
    shares = width * height / area if area > 0 else np.ones(len(others))
    return np.where((width < 0) | (height < 0), 0.0, shares)
