"""From a document to the rows of its gist tree, page by page, in post-order.

Text regions become blocks, figures and scans become quad-trees; regions stand under their page, pages are grouped
32-ary. Only one page, of a large figure a part, and the roots of unfinished groups are in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

import numpy as np

from mm_megacontext.document import Box, Document, Page, Region, Unit
from mm_megacontext.errors import ErrorCode, IngestError
from mm_megacontext.tree.blocks import Block, Tokenizer, cut_region, placed_elsewhere
from mm_megacontext.tree.links import PageRows
from mm_megacontext.tree.nodes import GROUP_ARITY, PATCH_PT, PATCH_PX, Moments, NodeRow, Written
from mm_megacontext.tree.parents import Gist, Gister, GistsOfFigures, Parents
from mm_megacontext.turned_frame import TurnedFrame, mapped


class Figures(GistsOfFigures, Protocol):
    """What building needs of vision: the quad-tree of a figure, a scan or a whole image, in post-order."""

    def rows(
        self, page: Page, region: Region, *, t: int, index_start: int, done: Sequence[NodeRow] = ()
    ) -> Iterator[NodeRow]:
        """Rows numbered from ``index_start``, root last, all at time ``t``; only those after the subtrees ``done``."""
        ...

    def thumbnail(self, page: Page, *, t: int, index: int) -> NodeRow | None:
        """The whole page as one tile; None where that would cost more than its figures."""
        ...


FIGURE_ROWS = 4096
"""Rows of a figure that are held back until it is known whether it can be read: 3 000 tiles, 50 megapixels. A larger
one is handed on as it comes; if it then fails, it cannot be left out any more."""
BATCH_ROWS = 256
"""Rows of a larger figure that are handed on together: what is not is lost when an ingest is killed."""

Batches = Generator[list[NodeRow], None, NodeRow | None]
"""Rows of a part of the tree in post-order, in batches; returns the part's root, or None if it holds nothing."""


def is_one_figure(document: Document) -> bool:
    """Whether a document is one page with one figure or scan and nothing else: what ``TreeBuilder`` can go on with."""
    if document.n_pages != 1:
        return False
    return [region.kind in ("figure", "scan") for page in document.pages() for region in page.regions] == [True]


def patch_size(unit: Unit) -> float:
    """Source units per unit of x and y positions."""
    return PATCH_PT if unit == "pt" else PATCH_PX


@dataclass(slots=True)
class Grouper:
    """Collects the tops of finished subtrees and closes groups of 32 as soon as another subtree follows.

    Closing late keeps post-order and never makes a group of one.
    """

    parent: Callable[[Sequence[NodeRow]], NodeRow]
    levels: list[list[NodeRow]] = field(default_factory=lambda: [[]])

    def room(self) -> list[NodeRow]:
        """Close every full level; call before the next subtree is numbered. Returns the new rows."""
        closed: list[NodeRow] = []
        level = 0
        while level < len(self.levels) and len(self.levels[level]) == GROUP_ARITY:
            closed.append(self._close(level))
            level += 1
        return closed

    def add(self, top: NodeRow) -> None:
        """Take the root of a finished subtree."""
        self.levels[0].append(top)

    def finish(self) -> tuple[list[NodeRow], list[NodeRow]]:
        """Close what is open below the highest level.

        Returns:
            The new rows, and the at most 32 tops that are left.
        """
        closed: list[NodeRow] = []
        for level in range(len(self.levels) - 1):
            if len(self.levels[level]) == 1:
                self.levels[level + 1].append(self.levels[level].pop())
            elif self.levels[level]:
                closed.append(self._close(level))
        return closed, self.levels[-1]

    def _close(self, level: int) -> NodeRow:
        row = self.parent(self.levels[level])
        if level + 1 == len(self.levels):
            self.levels.append([])
        self.levels[level + 1].append(row)
        self.levels[level] = []
        return row


@dataclass(slots=True)
class TreeBuilder:
    """Numbers and emits the rows of one source.

    Args:
        figures: Makes quad-trees, or None where no region has pixels (generated pages).
        on_block: Told of every text block with its row (training keeps track of evidence this way).
        on_problem: Told of a page (from 1) with a figure that cannot be read, which is left out; without it, the
            error is raised.
        running_titles: Whether headers and footers that come back on page after page are built in, too.
    """

    unit: Unit
    tokenizer: Tokenizer
    gister: Gister
    figures: Figures | None = None
    on_block: Callable[[NodeRow, Block], None] | None = None
    on_problem: Callable[[int, str, ErrorCode], None] | None = None
    running_titles: bool = False
    n_rows: int = 0
    t: int = 0
    last_header: tuple[str, _Header] = field(default_factory=lambda: ("", _Header()), repr=False)
    """The id and the names of columns of the table that came last."""
    _parents: Parents = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._parents = Parents(self.gister, self.figures)

    def build(
        self, document: Document, on_page: Callable[[Page], None] | None = None, written: Written | None = None
    ) -> Iterator[list[NodeRow]]:
        """Rows of the whole document in post-order, in batches; the last row of all is the root.

        Yields no row at all if the document holds nothing that can be read.

        Args:
            document: What to read.
            on_page: Told of every page before it is built.
            written: The first rows, if an earlier build of the same document made them; the ones that come are those
                after. Only for a document that ``is_one_figure``.

        Raises:
            IngestError: A figure cannot be read, and no ``on_problem`` is told, or part of it was handed on already.
        """
        if written is not None:
            self.n_rows = written.n_rows
        done = () if written is None else written.tops
        pages = Grouper(lambda rows: self._parent(rows, "pages"))
        for page in document.pages():
            if on_page is not None:
                on_page(page)
            if closed := pages.room():
                yield closed
            root = yield from self._page(page, done)
            if root is not None:
                pages.add(root)
        closed, tops = pages.finish()
        if len(tops) > 1:
            closed.append(self._parent(tops, "document"))
        if closed:
            yield closed

    def _page(self, page: Page, done: Sequence[NodeRow]) -> Batches:
        if [top.kind for top in done] == ["page"]:
            return done[0]
        regions, rows = Grouper(lambda group: self._parent(group, "group")), PageRows(page, FIGURE_ROWS)
        shown = [
            n for n, r in enumerate(page.regions) if r.hidden is None and (self.running_titles or not r.is_running)
        ]
        last_figure = max((n for n in shown if page.regions[n].kind == "figure"), default=None)
        for number in shown:
            yield from rows.add(regions.room())
            root = yield from self._held(rows, number, self._region(page, page.regions[number], done))
            if root is None:
                continue
            regions.add(root)
            if number == last_figure and self.unit == "pt":  # an image's own tree has the whole of it at its top
                yield from rows.add(regions.room())
                thumbnail = self._thumbnail(page, root.t_span[0])
                if thumbnail is not None:
                    yield from rows.add([thumbnail])
                    regions.add(thumbnail)
        closed, tops = regions.finish()
        if tops:
            closed.append(self._parent(tops, "page", bbox=(0.0, 0.0, *page.size)))
            yield from rows.add(closed)
        yield from rows.finish()
        return closed[-1] if tops else None

    @staticmethod
    def _held(rows: PageRows, number: int, batches: Batches) -> Batches:
        """The batches of a region after they went through ``rows``."""
        while True:
            try:
                batch = next(batches)
            except StopIteration as end:
                root: NodeRow | None = end.value
                return root
            yield from rows.add(batch, number)

    def _region(self, page: Page, region: Region, done: Sequence[NodeRow]) -> Batches:
        if region.kind in ("figure", "scan"):
            return (yield from self._figure(page, region, done))
        rows = self._text_rows(page, region)
        if rows:
            yield rows
        return rows[-1] if rows else None

    def _figure(self, page: Page, region: Region, done: Sequence[NodeRow]) -> Batches:
        if self.figures is None:
            return None
        rows = self.figures.rows(page, region, t=self.t, index_start=self.n_rows, done=done)
        try:
            batch = list(islice(rows, FIGURE_ROWS))
        except IngestError as error:
            if self.on_problem is None or done:
                raise
            self.on_problem(page.number, f"{region.kind}: {error}", error.code)
            return None
        root = done[-1] if done else None
        while batch:
            root = batch[-1]
            self.n_rows += len(batch)
            yield batch
            batch = list(islice(rows, BATCH_ROWS))
        self.t += root is not None
        return root

    def _thumbnail(self, page: Page, t: int) -> NodeRow | None:
        """The page as it looks, at the time of one of its figures: no word stands elsewhere on the timeline for it."""
        assert self.figures is not None, "a figure was built"
        try:
            row = self.figures.thumbnail(page, t=t, index=self.n_rows)
        except IngestError as error:
            if self.on_problem is None:
                raise
            self.on_problem(page.number, f"thumbnail: {error}", error.code)
            return None
        self.n_rows += row is not None
        return row

    def _text_rows(self, page: Page, region: Region) -> list[NodeRow]:
        frame = TurnedFrame.of(page.size, region.turn)
        blocks = cut_region(mapped(region, frame.upright) if region.turn else region, self.tokenizer)
        if not blocks:
            return []
        gists = self.gister.of_tokens([b.token_ids for b in blocks])
        rows: list[NodeRow] = []
        group = Grouper(lambda children: self._parent(children, region.kind))
        header = self._header_before(region)
        for block, gist in zip(blocks, gists, strict=True):
            rows += group.room()
            row = self._block_row(page.number, region, block, gist, header, frame)
            header = header.with_block(row.index, block.header)
            rows.append(row)
            group.add(row)
        closed, tops = group.finish()
        rows += closed
        if len(tops) > 1:
            rows.append(self._parent(tops, region.kind, bbox=region.bbox))
        if region.table is not None:
            self.last_header = (region.table.id, header)
        return rows

    def _header_before(self, region: Region) -> _Header:
        """The names of the columns of a table that began on an earlier page and does not repeat them; else none."""
        table, (last_id, header) = region.table, self.last_header
        goes_on = table is not None and table.continues and table.id == last_id and not table.n_repeated_rows
        return header if goes_on else _Header()

    def _block_row(
        self, page: int, region: Region, block: Block, gist: Gist, header: _Header, frame: TurnedFrame
    ) -> NodeRow:
        """The row of a block; text that is turned has the positions of upright text, and boxes on the page."""
        n = len(block.token_ids)
        scale = patch_size(self.unit)
        mu = np.empty((n, 3), dtype=np.float64)
        mu[:, 0] = self.t + np.arange(n)
        mu[:, 1] = (block.boxes[:, 0].astype(np.float64) + block.boxes[:, 2]) / (2 * scale)
        mu[:, 2] = (block.boxes[:, 1].astype(np.float64) + block.boxes[:, 3]) / (2 * scale)
        moments = Moments.of(mu)
        if region.turn:
            block = placed_elsewhere(block, frame.on_page)
        row = NodeRow(
            index=self.n_rows,
            first=self.n_rows,
            children=(),
            lod=1,
            modality="text",
            kind=region.kind,
            page=page,
            last_page=page,
            bbox=block.bbox,
            t_span=(self.t, self.t + n),
            n_leaves=n,
            mu=moments.mean,
            sigma=np.sqrt(moments.variance),
            gist=gist.astype(np.float16),
            text=block.text,
            context=f"{header.text} {block.row_name}".strip(),
            links=header.blocks,
            token_ids=block.token_ids.astype(np.int32),
            leaf_mu=mu,
            leaf_boxes=block.boxes,
            leaf_roles=block.roles,
        )
        self.n_rows += 1
        self.t += n
        if self.on_block is not None:
            self.on_block(row, block)
        return row

    def _parent(self, children: Sequence[NodeRow], kind: str, bbox: Box | None = None) -> NodeRow:
        row = self._parents.row(self.n_rows, children, kind, bbox)
        self.n_rows += 1
        return row


@dataclass(frozen=True, slots=True)
class _Header:
    """What names the columns of the blocks that follow: the words, and the blocks that hold them."""

    text: str = ""
    blocks: tuple[int, ...] = ()

    def with_block(self, index: int, words: str) -> _Header:
        return _Header(f"{self.text} {words}".strip(), (*self.blocks, index)) if words else self
