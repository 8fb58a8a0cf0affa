"""Makes small trees for the tests of the store, and is the writer that they kill."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mm_megacontext.store.store import Identity, SourceInfo, Store
from mm_megacontext.tree.nodes import Moments, NodeRow, PixelRef

IDENTITY = Identity(base="tiny", gistnet="mean", encoder="none", dim=16, slots=1)
WORDS = ["harbour", "invoice", "running", "the", "copper", "1834", "total", "amount", "of", "signal", "Zürich", "lamp"]


def block_row(rng: np.random.Generator, index: int, t: int, *, text: str, page: int, identity: Identity) -> NodeRow:
    """A text block of 1 to 32 tokens, one unit of time each."""
    n = int(rng.integers(1, 33))
    mu = np.column_stack([t + np.arange(n), rng.uniform(0, 100, (n, 2)).astype(np.float32)]).astype(np.float64)
    moments = Moments.of(mu)
    return NodeRow(
        index=index,
        first=index,
        children=(),
        lod=1,
        modality="text",
        kind="text",
        page=page,
        last_page=page,
        bbox=(1.5, 2.5, 300.25, 40.0),
        t_span=(t, t + n),
        n_leaves=n,
        mu=moments.mean,
        sigma=np.sqrt(moments.variance),
        gist=rng.standard_normal((identity.slots, identity.dim)).astype(np.float16),
        text=text,
        links=(0,) if index else (),
        token_ids=rng.integers(0, 8000, n).astype(np.int32),
        leaf_mu=mu,
        leaf_boxes=rng.uniform(0, 600, (n, 4)).astype(np.float32),
        leaf_roles=rng.integers(0, 4, n).astype(np.uint8),
    )


def tile_row(rng: np.random.Generator, index: int, t: int, *, page: int, identity: Identity) -> NodeRow:
    """A tile of 8 by 8 patches at one moment."""
    y, x = np.divmod(np.arange(64), 8)
    mu = np.column_stack([np.full(64, t), x + 0.5, y + 0.5]).astype(np.float64)
    moments = Moments.of(mu)
    return NodeRow(
        index=index,
        first=index,
        children=(),
        lod=1,
        modality="image",
        kind="figure",
        page=page,
        last_page=page,
        bbox=(0.0, 0.0, 128.0, 128.0),
        t_span=(t, t + 1),
        n_leaves=64,
        mu=moments.mean,
        sigma=np.sqrt(moments.variance),
        gist=rng.standard_normal((identity.slots, identity.dim)).astype(np.float16),
        pixels=PixelRef(page, 0, 0, 0, 128, 128),
        token_ids=np.zeros(0, np.int32),
        leaf_mu=mu,
        leaf_boxes=np.column_stack([x * 16, y * 16, x * 16 + 16, y * 16 + 16]).astype(np.float32),
        leaf_roles=np.zeros(0, np.uint8),
    )


def parent_row(index: int, children: list[NodeRow], kind: str) -> NodeRow:
    """The node above ``children``, with their mean gist."""
    moments = Moments.merge([child.moments for child in children])
    modalities = {child.modality for child in children}
    return NodeRow(
        index=index,
        first=children[0].first,
        children=tuple(child.index for child in children),
        lod=1 + max(child.lod for child in children),
        modality=modalities.pop() if len(modalities) == 1 else "mixed",
        kind=kind,
        page=children[0].page,
        last_page=children[-1].last_page,
        bbox=(0.0, 0.0, 612.0, 792.0),
        t_span=(children[0].t_span[0], children[-1].t_span[1]),
        n_leaves=moments.n,
        mu=moments.mean,
        sigma=np.sqrt(moments.variance),
        gist=np.mean([child.gist for child in children], axis=0).astype(np.float16),
        token_ids=np.zeros(0, np.int32),
        leaf_mu=np.zeros((0, 3)),
        leaf_boxes=np.zeros((0, 4), np.float32),
        leaf_roles=np.zeros(0, np.uint8),
    )


def tree_rows(
    seed: int,
    n_pages: int = 3,
    blocks_per_page: int = 6,
    *,
    texts: list[str] | None = None,
    identity: Identity = IDENTITY,
) -> Iterator[list[NodeRow]]:
    """Rows of a document, a page at a time; ``texts`` are put into the first blocks."""
    rng = np.random.default_rng(seed)
    said = list(texts or [])
    index, t = 0, 0
    pages: list[NodeRow] = []
    for page in range(1, n_pages + 1):
        rows: list[NodeRow] = []
        for i in range(blocks_per_page):
            if i == 2:
                rows.append(tile_row(rng, index, t, page=page, identity=identity))
            else:
                text = said.pop(0) if said else " ".join(rng.choice(WORDS, 8))
                rows.append(block_row(rng, index, t, text=text, page=page, identity=identity))
            index, t = index + 1, rows[-1].t_span[1]
        rows.append(parent_row(index, rows, "page"))
        pages.append(rows[-1])
        index += 1
        yield rows
    if n_pages > 1:
        yield [parent_row(index, pages, "document")]


def source_info(uri: str, seed: int, n_pages: int = 3) -> SourceInfo:
    """The catalogue entry that belongs to ``tree_rows``."""
    sizes = [(612.0, 792.0)] * n_pages
    return SourceInfo(
        uri=uri, kind="pdf", unit="pt", n_pages=n_pages, content_hash=f"{seed:064x}", page_sizes=sizes, engine="test"
    )


def write_and_say(path: Path, seed: int, n_sources: int, log: Path) -> None:
    """Add, replace and forget sources in two writing sessions; write a line to ``log`` before and after each."""
    os.fsync = lambda fd: None  # what a killed process wrote, the system keeps
    rng = np.random.default_rng(seed)
    with log.open("a", buffering=1) as say:
        for _ in range(2):
            with Store.open(path, IDENTITY, mode="w") as store:
                for i in range(n_sources):
                    uri, version = f"doc-{rng.integers(0, 8)}", int(rng.integers(1, 4))
                    n_pages = version * 4
                    say.write(f"start {uri} {version} {n_pages}\n")
                    store.add_source(source_info(uri, version, n_pages), tree_rows(version, n_pages))
                    say.write(f"done {uri} {version} {n_pages}\n")
                    if i % 5 == 4:
                        say.write(f"forget {uri}\n")
                        store.forget(uri)
                        say.write(f"forgot {uri}\n")
                store.vacuum()
        say.write("finished\n")
