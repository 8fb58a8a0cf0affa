"""Headers and footers that come back on page after page, and lines in the margins that do not.

A page alone cannot tell a running title from the last line of a text. What stands in a margin is a header or footer if
a page near it has the same words, numbers aside, or something else in the same place; otherwise it is text.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from mm_megacontext.layout.document import Box, Page, Region, RegionKind

NEAR_PAGES = 2
"""Before and after: running titles differ on left and right pages."""

_SAME_PLACE_PT = 2.0
_NUMBERS = re.compile(r"\d+|\b[ivxlc]+\b", re.IGNORECASE)
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
    before.append(page)
    if not own:
        return page
    regions = list(page.regions)
    for n, i in enumerate(own):
        regions[i] = _settled(regions[i], near if n < _MOST else ())
    return replace(page, regions=tuple(regions))


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
