"""The parts of a context: passages, and gaps where something is not shown.

One coordinate frame, as everywhere: origin top left, y down, boxes in the unit of the source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath
from typing import Any

from PIL import Image

from mm_megacontext.document import Box, Unit
from mm_megacontext.passages.images import data_url
from mm_megacontext.passages.tables import table_rows
from mm_megacontext.passages.words import PassageWord, is_in_lines, joined_lines
from mm_megacontext.tree.nodes import NodeId

LINES_COUNT = frozenset(("code", "form", "list"))
"""Kinds of passages in which the ends of lines say something."""


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A region of a page, or that part of it which is open; or a piece of a picture.

    Attributes:
        id: "p1", "p2" … in reading order; what a reader cites.
        source: Uri.
        page: From 1.
        bbox: In ``unit``.
        kind: Of the region: "text", "heading", "table", …; "image" for a piece of a picture.
        headings: Texts of the headings it stands below, the outermost first.
        score: How well it fits the question, in [0, 1].
        nodes: The blocks or tiles it was made of.
        find_words: Gives its words; asked once, when they are needed.
        image: The pixels, of a piece of a picture, else None.
    """

    id: str
    source: str
    page: int
    bbox: Box
    unit: Unit
    kind: str
    headings: tuple[str, ...]
    score: float
    nodes: tuple[NodeId, ...]
    find_words: Callable[[], Sequence[PassageWord]] = field(default=tuple, repr=False, compare=False)
    image: Image.Image | None = field(default=None, repr=False, compare=False)
    lod: int = 0

    @cached_property
    def words(self) -> tuple[PassageWord, ...]:
        """Words with their boxes, in the order in which they are read; none of a picture."""
        return tuple(self.find_words())

    @cached_property
    def rows(self) -> list[list[str]]:
        """Of a table: its rows of cells; none of what is no table."""
        return table_rows(self.words) if self.kind == "table" else []

    @cached_property
    def text(self) -> str:
        """All words; a table has a line for each row, with " | " between its cells."""
        if self.kind == "table":
            return "\n".join(" | ".join(row) for row in self.rows)
        if self.kind in LINES_COUNT or is_in_lines(self.words):
            return joined_lines(self.words)
        return " ".join(word.text for word in self.words)

    @property
    def place(self) -> str:
        """File and page, for people."""
        return f"{file_name(self.source)}, page {self.page}"

    def to_json(self, *, words: bool = False, images: bool = False) -> dict[str, Any]:
        """Plain JSON values.

        Args:
            words: Whether every word comes with its box.
            images: Whether pixels come along, as the data URL of a PNG.
        """
        told: dict[str, Any] = {
            "id": self.id,
            "source": self.source,
            "page": self.page,
            "bbox": rounded(self.bbox),
            "unit": self.unit,
            "kind": self.kind,
            "headings": list(self.headings),
            "text": self.text,
            "lod": self.lod,
            "score": round(self.score, 4),
            "image": None if self.image is None else {"width": self.image.width, "height": self.image.height},
        }
        if words:
            told["words"] = [{"text": word.text, "bbox": rounded(word.bbox)} for word in self.words]
        if images and self.image is not None:
            told["image"]["url"] = data_url(self.image)
        return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Collapsed:
    """A node that is not shown, only known to be there.

    Attributes:
        source: Uri; empty where it covers several sources.
        page, last_page: From 1; of several sources, those of the first and the last one.
        bbox: Of what it covers on its first page; None where it covers several sources.
        kind: Of the node.
        heading: The first heading in it, as far as that is known, else the one it stands below; may be empty.
        lod: At which it stands in the working context, 1 or more.
        n_leaves: Tokens of text or patches of images below it.
        is_image: Whether these are patches alone.
        node: Its id.
        find_texts: Gives the texts of the blocks below it in order, or nothing where it is large; asked when needed.
    """

    source: str
    page: int
    last_page: int
    bbox: Box | None
    unit: Unit
    kind: str
    heading: str
    lod: int
    n_leaves: int
    is_image: bool
    node: NodeId
    find_texts: Callable[[], Sequence[str]] = field(default=tuple, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "page": self.page,
            "last_page": self.last_page,
            "bbox": None if self.bbox is None else rounded(self.bbox),
            "unit": self.unit,
            "kind": self.kind,
            "heading": self.heading,
            "lod": self.lod,
            "leaves": self.n_leaves,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Nodes that follow each other in one source, or whole sources, not shown: one line of what a reader sees.

    Attributes:
        id: "g1", "g2" … in reading order.
        nodes: At least one.
    """

    id: str
    nodes: tuple[Collapsed, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """Uris, as far as nodes are of one source."""
        return tuple(dict.fromkeys(node.source for node in self.nodes if node.source))

    @property
    def pages(self) -> tuple[int, int]:
        """First and last page."""
        return self.nodes[0].page, max(node.last_page for node in self.nodes)

    @property
    def headings(self) -> tuple[str, ...]:
        """Headings in it, each once."""
        return tuple(dict.fromkeys(node.heading for node in self.nodes if node.heading))

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "nodes": [node.to_json() for node in self.nodes]}


def file_name(source: str) -> str:
    """The name of a file on one line, whatever it is called."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in PurePath(source).name)


def rounded(box: Box) -> list[float]:
    """A box for JSON: hundredths of a unit are finer than anybody reads a page."""
    return [round(edge, 2) for edge in box]
