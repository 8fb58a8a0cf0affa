"""A stored tree told again in other tokens and other gists: the same nodes, the same words, in the same places.

Of text, what is stored is enough. Of pictures, gists of another kind need the pixels; where the kind is the same they
stay.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import Page, Region, Unit
from mm_megacontext.errors import IngestError
from mm_megacontext.tree.blocks import LINE_START, Tokenizer
from mm_megacontext.tree.build import Figures, patch_size
from mm_megacontext.tree.nodes import Moments, NodeRow
from mm_megacontext.tree.parents import Gister, GistsOfFigures, Parents

THUMBNAIL = "thumbnail"
SAME_PLACE = 1e-3
"""In patches: positions nearer than this are those of the boxes."""

Rows = Callable[[], Iterable[NodeRow]]
"""All rows of a source in post-order, from the first whenever it is called."""


@dataclass(slots=True)
class Retelling:
    """Makes the rows of one source anew.

    Args:
        uri: Of the source, for messages.
        unit: Of its boxes.
        page_sizes: Width and height of each page.
        before: The tokenizer of the leaves that are stored.
        tokenizer: The one to tell them in.
        gister: Makes the gists of text.
        figures: Opens what reads pictures again and makes their gists, called where there are any; None to keep those
            that are stored.
        above_figures: Makes gists of the gists of figures; None if there are no figures.
    """

    uri: str
    unit: Unit
    page_sizes: npt.NDArray[np.float64]
    before: Tokenizer
    tokenizer: Tokenizer
    gister: Gister
    figures: Callable[[], Figures] | None
    above_figures: GistsOfFigures | None
    _times: _Timeline = field(init=False)
    _cut: tuple[str, int] = field(init=False)
    """A word that the block before holds the first tokens of, and how many."""

    def rows(self, stored: Rows) -> Iterator[list[NodeRow]]:
        """The new rows in post-order, in lists.

        Raises:
            IngestError: A picture cannot be read again, or is not what it was.
        """
        self._times, self._cut = _Timeline(), ("", 0)
        pictures = iter(_pictures(stored()) if self.figures is not None else ())
        picture = next(pictures, None)
        parents = Parents(self.gister, self.above_figures)
        waiting: list[NodeRow] = []
        again: Iterator[NodeRow] = iter(())
        for row in stored():
            if picture is None or row.index < picture.first:
                told = self._told(row, parents, waiting)
                waiting.append(_without_leaves(told))
                yield [told]
                continue
            if row.index == picture.first:
                again = self._read_again(picture)
            part = self._same_part(row, next(again, None))
            yield [part]
            if row.index == picture.index:
                waiting.append(_without_leaves(part))
                picture = next(pictures, None)

    def _told(self, row: NodeRow, parents: Parents, waiting: list[NodeRow]) -> NodeRow:
        if row.lod == 1 and row.modality == "text":
            return self._block(row)
        below = waiting[len(waiting) - len(row.children) :]
        del waiting[len(waiting) - len(row.children) :]
        if row.pixels is not None:
            return self._moved(row)
        return parents.row(row.index, below, row.kind, row.bbox)

    def _block(self, row: NodeRow) -> NodeRow:
        """A block in the new tokens, each with its share of the place of those that it takes the place of."""
        leaves = list(self._leaves(row))
        t = self._times.take(row.t_span, len(leaves))
        mu = np.array([(t + i, *leaf.place) for i, leaf in enumerate(leaves)], dtype=np.float64)
        token_ids = np.array([leaf.token for leaf in leaves], dtype=np.int64)
        (gist,) = self.gister.of_tokens([token_ids])
        moments = Moments.of(mu)
        return replace(
            row,
            t_span=(t, t + len(leaves)),
            n_leaves=len(leaves),
            mu=moments.mean,
            sigma=np.sqrt(moments.variance),
            gist=gist.astype(np.float16),
            token_ids=token_ids.astype(np.int32),
            leaf_mu=mu,
            leaf_boxes=np.array([leaf.box for leaf in leaves], dtype=np.float32),
            leaf_roles=np.array([leaf.role for leaf in leaves], dtype=np.uint8),
        )

    def _leaves(self, row: NodeRow) -> Iterator[_Leaf]:
        scale = patch_size(self.unit)
        middles = (row.leaf_boxes[:, :2].astype(np.float64) + row.leaf_boxes[:, 2:]) / (2 * scale)
        is_upright = bool(np.abs(middles - row.leaf_mu[:, 1:]).max() < SAME_PLACE)
        for piece in self._pieces(row):
            spans = self.tokenizer.word_spans(piece.word)
            tokens = list(zip(self.tokenizer.encode_word(piece.word), spans, strict=True))
            own = [(token, span) for token, span in tokens if piece.begin <= span[0] < piece.end]
            for number, (token, span) in enumerate(own or tokens[-1:]):
                box, place = piece.share(span, is_upright)
                if is_upright:
                    place = ((box[0] + box[2]) / (2 * scale), (box[1] + box[3]) / (2 * scale))
                yield _Leaf(token, box, place, piece.role & ~LINE_START if number else piece.role)

    def _pieces(self, row: NodeRow) -> Iterator[_Piece]:
        """The words of a block with the leaves that they are stored as."""
        ids = row.token_ids.tolist()
        at = 0
        for word in row.text.split(" "):
            encoded, spans = list(self.before.encode_word(word)), self.before.word_spans(word)
            skipped = self._cut[1] if self._cut[0] == word else 0
            if not _goes_on(encoded[skipped:], ids[at:]):
                raise IngestError(
                    f"page {row.page}: the words of a block are not those of its leaves; ingest the file again",
                    source=self.uri,
                    code="corrupt",
                )
            n = min(len(encoded) - skipped, len(ids) - at)
            yield _Piece(
                word,
                int(row.leaf_roles[at]),
                _edge(spans, skipped),
                _edge(spans, skipped + n),
                spans[skipped : skipped + n],
                row.leaf_boxes[at : at + n].astype(np.float64),
                row.leaf_mu[at : at + n, 1:],
            )
            at += n
            self._cut = (word, skipped + n) if skipped + n < len(encoded) else ("", 0)

    def _moved(self, row: NodeRow) -> NodeRow:
        """A node of a picture, as it is, at its new time."""
        t = self._times.at(row.t_span[0])
        later = t - row.t_span[0]
        return replace(
            row,
            t_span=(t, t + row.t_span[1] - row.t_span[0]),
            mu=row.mu + np.array([later, 0, 0]),
            leaf_mu=row.leaf_mu + np.array([later, 0, 0]),
            grid=None if row.grid is None else replace(row.grid, t=row.grid.t + later),
        )

    def _same_part(self, row: NodeRow, again: NodeRow | None) -> NodeRow:
        """A part of a picture that was read again, with what was known of it besides its pixels."""
        if again is None or (again.index, again.pixels, again.kind) != (row.index, row.pixels, row.kind):
            raise IngestError(
                f"page {row.page}: a picture is not cut as it was when it was ingested; ingest the file again",
                source=self.uri,
                code="source_changed",
            )
        return replace(again, links=row.links)

    def _read_again(self, root: NodeRow) -> Iterator[NodeRow]:
        assert self.figures is not None, "pictures are kept otherwise"
        figures = self.figures()
        t = self._times.at(root.t_span[0])
        width, height = self.page_sizes[root.page - 1].tolist()
        region = Region("figure", root.bbox)
        page = Page(root.page, (width, height), (region,))
        if root.kind != THUMBNAIL:
            yield from figures.rows(page, region, t=t, index_start=root.first)
        elif (row := figures.thumbnail(page, t=t, index=root.index)) is not None:
            yield row


@dataclass(frozen=True, slots=True)
class _Leaf:
    token: int
    box: tuple[float, ...]
    place: tuple[float, ...]
    role: int


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """A word of a block, or the part of one that is too long for it.

    Attributes:
        word: The whole word.
        begin, end: Characters of it that begin in this part.
        spans: Characters of it of each leaf that was.
        boxes, places: (leaves, 4) and (leaves, 2) of them.
    """

    word: str
    role: int
    begin: int
    end: int
    spans: tuple[tuple[int, int], ...]
    boxes: npt.NDArray[np.float64]
    places: npt.NDArray[np.float64]

    def share(self, span: tuple[int, int], is_upright: bool) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Box and place of some characters: of the leaves that held them, on the line where they begin.

        Of upright text, leaves that are held in part give the part; how other text runs is not known here.
        """
        end = max(span[1], span[0] + 1)  # a token may say that a word begins, and no more
        held = [i for i, (start, stop) in enumerate(self.spans) if start < end and span[0] < stop]
        held = held or [len(self.spans) - 1]
        top, bottom = self.boxes[held[0], [1, 3]]
        held = [i for i in held if top < self.boxes[i, [1, 3]].mean() < bottom] if is_upright else held
        boxes = np.array([self._part(i, span) if is_upright else self.boxes[i] for i in held])
        box = (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())
        return box, tuple(self.places[held].mean(axis=0).tolist())

    def _part(self, leaf: int, span: tuple[int, int]) -> npt.NDArray[np.float64]:
        (start, stop), (x0, y0, x1, y1) = self.spans[leaf], self.boxes[leaf].tolist()
        width = (x1 - x0) / max(stop - start, 1)
        first, last = max(span[0], start) - start, min(span[1], stop) - start
        return np.array([x0 + first * width, y0, x0 + last * width, y1])


def _edge(spans: Sequence[tuple[int, int]], token: int) -> int:
    """The first character that does not begin before a token; several tokens may be parts of one."""
    if token == len(spans):
        return spans[-1][1]
    return spans[token][0] + (token > 0 and spans[token - 1][0] == spans[token][0])


def _goes_on(encoded: list[int], ids: list[int]) -> bool:
    n = min(len(encoded), len(ids))
    return n > 0 and encoded[:n] == ids[:n]


def _pictures(rows: Iterable[NodeRow]) -> list[NodeRow]:
    """The roots of all pictures, in order."""
    roots: list[NodeRow] = []
    for row in rows:
        if row.modality == "image" and row.pixels is not None:
            while roots and roots[-1].index >= row.first:
                roots.pop()
            roots.append(_without_leaves(row))
    return roots


def _without_leaves(row: NodeRow) -> NodeRow:
    return replace(row, leaf_mu=row.leaf_mu[:0], leaf_boxes=row.leaf_boxes[:0], text="", context="")


class _Timeline:
    """Where the times of a source are when its blocks are longer or shorter than they were."""

    def __init__(self) -> None:
        self._was, self._is = [0], [0]

    def at(self, t: int) -> int:
        """The new time of what is no block of text."""
        last = bisect_right(self._was, t) - 1
        return self._is[last] + t - self._was[last]

    def take(self, span: tuple[int, int], length: int) -> int:
        """Begin a block of text that is ``length`` long from now on."""
        begin = self.at(span[0])
        self._was.append(span[1])
        self._is.append(begin + length)
        return begin
