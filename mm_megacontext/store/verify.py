"""Checking all that a memory holds against what a gist tree must be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from mm_megacontext.errors import StoreError
from mm_megacontext.store.catalogue import SourceRecord
from mm_megacontext.store.checksums import Checksums
from mm_megacontext.store.durable import decoding
from mm_megacontext.store.identity import GistShape
from mm_megacontext.store.rows import MODALITIES, decode_leaves, decode_node, gists_of, padded, row_hash
from mm_megacontext.store.snapshot import Snapshot
from mm_megacontext.tree.nodes import UNIFORM, Moments, Node, PatchGrid

_BATCH = 1024
_ANY_WORD = "0"
_MAX_PER_SOURCE = 20
"""A damaged source would otherwise have a problem per node."""
MOMENT_TOLERANCE = 1e-5
"""Relative to the size of the positions: leaves are stored in float32, moments in float64."""
_COLUMNS = ["source", "node", "lod", "modality", "text", "gist", "record", "leaves", "hash"]


def verify(snapshot: Snapshot) -> list[str]:
    """Problems of a memory, as sentences; none if it is whole."""
    problems = [str(fallback) for fallback in snapshot.fallbacks]
    problems += [f"{record.uri}: some of its nodes are missing" for record in snapshot.broken.values()]
    problems += [f"{file}: is not as it was written" for file in Checksums(snapshot.path).damaged()]
    # A writer that was killed leaves the next number, and what the catalogue has forgotten; never one further on.
    ahead = sorted(number for number in snapshot.hidden if number > snapshot.last_number)
    if ahead and ahead != [snapshot.last_number + 1]:
        problems.append(f"{snapshot.path}: holds nodes of sources {ahead}, of which the catalogue knows nothing")
    try:
        snapshot.search_text(_ANY_WORD, 1, None)
    except StoreError as error:
        problems.append(str(error))
    for record in snapshot.records.values():
        found = source_problems(snapshot, record)
        problems += found[:_MAX_PER_SOURCE]
        if len(found) > _MAX_PER_SOURCE:
            problems.append(f"{record.uri}: {len(found) - _MAX_PER_SOURCE} more problems")
    return problems


def source_problems(snapshot: Snapshot, record: SourceRecord) -> list[str]:
    """Problems of one source."""
    return _SourceCheck(record, snapshot.shape).run(snapshot)


class _SourceCheck:
    """Walks one source in post-order with a stack of finished subtrees, so memory follows its depth."""

    def __init__(self, record: SourceRecord, shape: GistShape) -> None:
        self._record, self._shape = record, shape
        self._problems: list[str] = []
        self._finished: list[Node] = []

    def run(self, snapshot: Snapshot) -> list[str]:
        try:
            with decoding("its tree"):
                for node in self._nodes(snapshot):
                    self._check_node(node)
                self._check_root()
        except StoreError as error:
            self._problems.append(f"{self._record.uri}: {error}")
        return self._problems

    def _nodes(self, snapshot: Snapshot) -> Iterator[Node]:
        record = self._record
        for start in range(0, record.n_nodes, _BATCH):
            indexes = range(start, min(start + _BATCH, record.n_nodes))
            table = snapshot.take_rows([record.row_start + index for index in indexes], _COLUMNS)
            gists = gists_of(table, self._shape)
            for index, row, gist in zip(indexes, table.drop_columns(["gist"]).to_pylist(), gists, strict=True):
                if (node := self._decoded(index, row, gist)) is not None:
                    yield node

    def _decoded(self, index: int, row: dict[str, object], gist: npt.NDArray[np.float16]) -> Node | None:
        record, leaves, text = row["record"], row["leaves"], row["text"] or ""
        assert isinstance(record, bytes)
        assert leaves is None or isinstance(leaves, bytes)
        assert isinstance(text, str)
        if row_hash(text, record, leaves, gist) != row["hash"]:
            self._report(index, "its content does not match its hash")
            return None
        node = decode_node(self._record.number, record, gist, self._shape)
        columns = (row["source"], row["node"], row["lod"], row["modality"])
        expected = (*node.id, node.lod, MODALITIES.index(node.modality))
        if columns != expected or node.id.index != index or not text.endswith(node.text):
            self._report(index, "its columns and its record differ")
            return None
        if node.lod == 1:
            self._check_leaves(node, leaves)
        elif leaves is not None:
            self._report(index, "has leaves above LOD 1")
        return node

    def _check_node(self, node: Node) -> None:
        index = node.id.index
        if not np.isfinite(node.gist.astype(np.float32)).all():
            self._report(index, "its gist is not finite")
        if any(not 0 <= link.index < self._record.n_nodes for link in node.links):
            self._report(index, "links to a node that is not there")
        if node.children:
            n = min(len(node.children), len(self._finished))
            children = self._finished[len(self._finished) - n :]
            del self._finished[len(self._finished) - n :]
            self._check_family(node, children)
        elif node.first != node.id or not (node.lod == 1 or node.kind == UNIFORM):
            self._report(index, "covers nodes that are not its children")
        elif node.lod > 1:
            self._check_uniform(node)
        self._finished.append(node)

    def _check_family(self, node: Node, children: list[Node]) -> None:
        """The children tile the parent's range exactly, so every leaf is covered once."""
        index = node.id.index
        if tuple(child.id for child in children) != node.children or children[0].first != node.first:
            self._report(index, "its children are not the subtrees before it")
            return
        if node.lod <= max(child.lod for child in children):
            self._report(index, "is at no higher LOD than its children")
        if node.n_leaves != sum(child.n_leaves for child in children):
            self._report(index, f"counts {node.n_leaves} leaves, its children another number")
        spans = [child.t_span for child in children]
        if node.t_span[0] > min(span[0] for span in spans) or node.t_span[1] < max(span[1] for span in spans):
            self._report(index, "its time does not cover its children's")
        merged = Moments.merge([child.moments for child in children])
        self._check_moments(node, merged)

    def _check_uniform(self, node: Node) -> None:
        """What has no children covers exactly the patches of its pixels."""
        ref = node.pixels
        if ref is None or node.modality != "image":
            self._report(node.id.index, "has neither children nor pixels")
            return
        ends = (ref.x + ref.width, ref.y + ref.height)
        place = (ref.x, ref.y, ref.width, ref.height, ref.level)
        moments = PatchGrid(*place, *ends, unit=1.0, t=node.t_span[0]).moments()
        if node.n_leaves != moments.n:
            self._report(node.id.index, f"counts {node.n_leaves} leaves, its pixels are {moments.n} patches")
        self._check_moments(node, moments)

    def _check_leaves(self, node: Node, packed: bytes | None) -> None:
        index = node.id.index
        if packed is None:
            self._report(index, "its leaves are missing")
            return
        leaves = decode_leaves(packed)
        if len(leaves) != node.n_leaves or len(leaves) != len(leaves.boxes):
            self._report(index, f"counts {node.n_leaves} leaves and holds {len(leaves)}")
        elif not node.t_span[0] <= leaves.mu[:, 0].min() <= leaves.mu[:, 0].max() < node.t_span[1]:
            self._report(index, "its leaves are outside its time")
        else:
            self._check_moments(node, Moments.of(leaves.mu))

    def _check_moments(self, node: Node, moments: Moments) -> None:
        tolerance = MOMENT_TOLERANCE * (1 + np.abs(moments.mean) + np.sqrt(moments.variance))
        right = np.abs(node.mu - moments.mean) <= tolerance
        right &= np.abs(node.sigma - np.sqrt(moments.variance)) <= tolerance
        if not right.all():
            self._report(node.id.index, "mu or sigma is not that of what it covers")

    def _check_root(self) -> None:
        record = self._record
        if self._problems:
            return  # the stack is not what it would have been
        if len(self._finished) != 1:
            self._report(record.root, "does not cover the whole source")
            return
        root = self._finished[0]
        same = (root.n_leaves, root.t_span[1]) == (record.n_leaves, record.t_length)
        same &= all(
            np.array_equal(ours, theirs)
            for ours, theirs in (
                (padded(root.gist, self._shape), record.gist),
                (root.mu, record.mu),
                (root.sigma, record.sigma),
            )
        )
        if not same:
            self._report(record.root, "differs from the catalogue")

    def _report(self, index: int, problem: str) -> None:
        self._problems.append(f"{self._record.uri}: node {index} {problem}")
