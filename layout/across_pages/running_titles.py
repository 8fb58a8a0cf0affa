"""Headers and footers that come back on page after page, and lines in the margins that do not.

A page alone cannot tell a running title from the last line of a text. What stands in a margin is a header or footer if
a page near it has the same words, numbers aside, or something else in the same place; otherwise it is text.

Pages with wide margins have theirs further in, where the text of others begins. There it takes more: the same words in
the same place, with numbers that differ as those of the pages do.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from mm_megacontext.document import Box, Page, Region, RegionKind

NEAR_PAGES = 2
"""Before and after: running titles differ on left and right pages."""

_SAME_PLACE_PT = 2.0
_NUMBERS = re.compile(r"\d+|\b[ivxlc]+\b", re.IGNORECASE)
_DIGITS = re.compile(r"\d{1,6}")
_FAR_SHARE = 0.14  # of the page's height: how far in running titles are looked for
_FAR_KINDS = ("text", "heading", "list")
_FAR_GAP = 0.8  # of its height: the white between it and the text
_MARGINS = ("header", "footer")
_MOST = 100  # regions in the margins of a page that are looked at: each is compared with all of the pages near it


def settle_running_titles(pages: Iterable[Page], n_pages: int) -> Iterator[Page]:
    """The pages, each as soon as the next ones are there, with running titles marked; lone lines become text.

    Args:
        n_pages: Of the whole document. That of one page keeps what looks like a header or footer, marked as no
            running title.
    """
    if n_pages == 1:
        yield from pages
        return
    before: deque[Page] = deque(maxlen=NEAR_PAGES)
    waiting: deque[Page] = deque()
    for page in pages:
        waiting.append(page)
        if len(waiting) > NEAR_PAGES:
            yield _next(before, waiting)
    while waiting:
        yield _next(before, waiting)


def _next(before: deque[Page], waiting: deque[Page]) -> Page:
    page = waiting.popleft()
    own = [i for i, region in enumerate(page.regions) if region.kind in _MARGINS and region.hidden is None]
    near = [title for other in (*before, *waiting) for title in _titles(other)] if own else []
    regions = list(page.regions)
    for n, i in enumerate(own):
        regions[i] = _settled(regions[i], near if n < _MOST else ())
    for i, kind in _far_titles(page, [*before, *waiting]):
        regions[i] = replace(regions[i], kind=kind, level=None, is_running=True)
    before.append(page)
    return replace(page, regions=tuple(regions))


def _far_titles(page: Page, near: Sequence[Page]) -> Iterator[tuple[int, RegionKind]]:
    """The indices of running titles that stand far in, and their kinds."""
    own = _far(page)
    others = [(region, other.number - page.number) for other in near for region in _far(other).values()] if own else []
    for i, region in own.items():
        if any(_comes_back(region, other, distance) for other, distance in others):
            yield i, "header" if region.bbox[3] <= page.size[1] / 2 else "footer"


def _far(page: Page) -> dict[int, Region]:
    """The lines near the top and bottom of a page that white parts from its text, by their index."""
    top, bottom = _FAR_SHARE * page.size[1], (1 - _FAR_SHARE) * page.size[1]
    text = {i: r for i, r in enumerate(page.regions) if r.hidden is None and r.kind not in _MARGINS}
    lines = {i: r for i, r in text.items() if r.kind in _FAR_KINDS and len(r.lines) == 1}
    near = {i: r for i, r in lines.items() if r.bbox[3] <= top or r.bbox[1] >= bottom}
    if len(text) < 2 or len(near) > _MOST:
        return {}
    return {
        i: r for i, r in near.items() if _is_apart(r.bbox, [other.bbox for j, other in text.items() if j != i], top)
    }


def _is_apart(box: Box, others: Sequence[Box], top: float) -> bool:
    """Whether there is white between a line and all that is nearer to the middle of the page."""
    _, y0, _, y1 = box
    gap = _FAR_GAP * (y1 - y0)
    if y1 <= top:
        return all(other[1] >= y1 + gap or other[3] <= y0 for other in others)
    return all(other[3] <= y0 - gap or other[1] >= y1 for other in others)


def _comes_back(region: Region, other: Region, distance: int) -> bool:
    """Whether a region ``distance`` pages on says the same in the same place, but for its page's number."""
    if not _are_in_one_place(region.bbox, other.bbox):
        return False
    numbers, others = (list(map(int, _DIGITS.findall(text))) for text in (region.text, other.text))
    if _DIGITS.sub("#", region.text) != _DIGITS.sub("#", other.text):
        return False
    return all(b - a in (0, distance) for a, b in zip(numbers, others, strict=True))


class _Title(NamedTuple):
    """What stands in a margin."""

    kind: RegionKind
    words: str
    box: Box

    @classmethod
    def of(cls, region: Region) -> _Title:
        return cls(region.kind, _words(region), region.bbox)

    def is_alike(self, other: _Title) -> bool:
        return self.kind == other.kind and (self.words == other.words or _are_in_one_place(self.box, other.box))


def _titles(page: Page) -> Iterator[_Title]:
    return islice((_Title.of(region) for region in page.regions if region.kind in _MARGINS), _MOST)


def _settled(region: Region, near: Sequence[_Title]) -> Region:
    title = _Title.of(region)
    if any(map(title.is_alike, near)):
        return replace(region, is_running=True)
    return replace(region, kind="text")


def _words(region: Region) -> str:
    return _NUMBERS.sub("#", region.text.casefold())


def _are_in_one_place(box: Box, other: Box) -> bool:
    """Whether two boxes stand on one line and begin, end or are centred alike."""
    marks = zip((box[0], box[2], (box[0] + box[2]) / 2), (other[0], other[2], (other[0] + other[2]) / 2), strict=True)
    on_line = abs(box[1] - other[1]) <= _SAME_PLACE_PT and abs(box[3] - other[3]) <= _SAME_PLACE_PT
    return on_line and any(abs(a - b) <= _SAME_PLACE_PT for a, b in marks)
