"""Links between the words and the pictures of one page: a caption and its figure, words and the tiles they stand on.

Both ends of a link must be built before either row can be written, so the rows of a page are held back until it ends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mm_megacontext.document import Page
from mm_megacontext.tree.nodes import NodeRow


@dataclass(slots=True)
class PageRows:
    """The rows of a page, in order, on their way to whoever writes them.

    Args:
        page: What is built.
        most: Rows that are held back. Those of a page with more go on as they come, and nothing on it is linked to a
            picture: it has a figure of fifty megapixels.
    """

    page: Page
    most: int
    _held: list[list[NodeRow]] = field(default_factory=list)
    _regions: dict[int, list[NodeRow]] = field(default_factory=lambda: defaultdict(list))
    _n_taken: int = 0

    def add(self, rows: list[NodeRow], region: int | None = None) -> Iterator[list[NodeRow]]:
        """Take the next rows, those of a region with its place on the page; yields what cannot be held any longer."""
        if not rows:
            return
        self._held.append(rows)
        self._n_taken += len(rows)
        if self._n_taken >= self.most:
            yield from self._held
            self._held, self._regions = [], defaultdict(list)
        elif region is not None:
            self._regions[region] += rows

    def finish(self) -> Iterator[list[NodeRow]]:
        """The rows that are held, with their links."""
        links = cross_modal_links(self.page, self._regions)
        for rows in self._held:
            yield [replace(row, links=(*row.links, *links[row.index])) if row.index in links else row for row in rows]


def cross_modal_links(page: Page, built: dict[int, list[NodeRow]]) -> dict[int, list[int]]:
    """Which rows of a page link to which, both ways.

    A caption's blocks link to the root of its figure, and all nodes of the figure to them. Other blocks link to the
    tiles that the middle of one of their tokens lies on, and these tiles to them.

    Args:
        page: The page.
        built: The rows of its regions, by their place on the page.

    Returns:
        Indexes of rows by the index of the row that links to them, ascending.
    """
    links: dict[int, set[int]] = defaultdict(set)
    pictures = {i: rows for i, rows in built.items() if rows and rows[-1].modality == "image"}
    for number, rows in built.items():
        blocks = [row for row in rows if row.lod == 1 and row.modality == "text"]
        target = page.regions[number].caption_of
        if target is not None and target in pictures:
            _link_caption(links, blocks, pictures[target])
        for picture in pictures.values():
            _link_places(links, blocks, picture)
    return {index: sorted(targets) for index, targets in links.items()}


def _link_caption(links: dict[int, set[int]], blocks: Sequence[NodeRow], figure: Sequence[NodeRow]) -> None:
    for block in blocks:
        links[block.index].add(figure[-1].index)
        for node in figure:
            links[node.index].add(block.index)


def _link_places(links: dict[int, set[int]], blocks: Sequence[NodeRow], picture: Sequence[NodeRow]) -> None:
    x0, y0, x1, y1 = picture[-1].bbox
    near = [b for b in blocks if b.bbox[0] < x1 and x0 < b.bbox[2] and b.bbox[1] < y1 and y0 < b.bbox[3]]
    if not near:
        return
    tiles = [row for row in picture if row.lod == 1]
    left, top, right, bottom = np.array([tile.bbox for tile in tiles]).T
    for block in near:
        x = block.leaf_boxes[:, [0, 2]].mean(axis=1)[:, None]
        y = block.leaf_boxes[:, [1, 3]].mean(axis=1)[:, None]
        is_on = (left <= x) & (x < right) & (top <= y) & (y < bottom)  # (tokens, tiles)
        for at in np.flatnonzero(is_on.any(axis=0)):
            links[block.index].add(tiles[at].index)
            links[tiles[at].index].add(block.index)
