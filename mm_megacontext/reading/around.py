"""In which order to open what a question found: each hit with what stands around it, first near, then further."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest

from mm_megacontext.reading.paths import Paths
from mm_megacontext.tree.nodes import Node, NodeId, TreeReader

REACHES = (1, 8, 32, 128)
"""How far around a hit is opened, in nodes: for all hits the first, then for all the second …"""
FIRST_HITS = 3
"""Hits of which twice as much is opened at first; chosen on the dev split of real_documents."""
HITS_AT_ONCE = 16
"""Hits whose surroundings are read at once."""
MOST_TILES = 16
"""Tiles of a figure that comes with its caption."""


def in_order(
    hits: Sequence[NodeId], pictures: Sequence[NodeId], tree: TreeReader, paths: Paths, reads_images: bool
) -> Iterator[NodeId]:
    """Blocks and tiles in the order in which they shall be opened; some come more than once.

    Args:
        hits: Blocks of text, the most fitting first.
        pictures: Tiles, the most fitting first; one comes after each hit.
        tree: Where the surroundings are read.
        paths: Of the same tree.
        reads_images: Whether pictures that words belong to come with them.
    """
    near = _groups(hits, REACHES[0], tree, paths, reads_images)
    for group, tile in zip_longest(near, pictures):
        yield from group or ()
        if tile is not None:
            yield tile
    for reach in REACHES[1:]:
        yield from chain.from_iterable(_groups(hits, reach, tree, paths, False))


def _groups(
    hits: Sequence[NodeId], reach: int, tree: TreeReader, paths: Paths, with_pictures: bool
) -> Iterator[list[NodeId]]:
    """Each hit with the blocks around it, the nearest first, and with the pictures that it belongs to."""
    for begin in range(0, len(hits), HITS_AT_ONCE):
        batch = hits[begin : begin + HITS_AT_ONCE]
        paths.load(batch)
        around = [_around(hit, reach * (1 + (begin + i < FIRST_HITS)), paths) for i, hit in enumerate(batch)]
        ids = sorted({id for group in around for id in group})
        blocks = {node.id: node for node in tree.nodes(ids) if node.lod == 1 and node.modality == "text"}
        for group in around:
            own = [id for id in group if id in blocks]
            yield own + (_pictures_of(blocks[own[0]], tree) if with_pictures and own else [])


def _around(hit: NodeId, reach: int, paths: Paths) -> list[NodeId]:
    """The ids of what may be a block around a hit, itself first."""
    if paths.find(hit) is None:
        return []
    end = paths.end_of(hit)
    steps = chain.from_iterable((step, -step) for step in range(1, reach + 1))
    return [hit, *(NodeId(hit.source, hit.index + step) for step in steps if 0 <= hit.index + step <= end)]


def _pictures_of(block: Node, tree: TreeReader) -> list[NodeId]:
    """Tiles that a block links to: those its words stand on, or all of the figure it is the caption of."""
    tiles: list[NodeId] = []
    level = [node for node in tree.nodes(block.links) if node.modality == "image"]
    while level and len(tiles) < MOST_TILES:
        tiles += [node.id for node in level if node.lod == 1]
        level = tree.nodes([child for node in level for child in node.children])
    return tiles[:MOST_TILES]
