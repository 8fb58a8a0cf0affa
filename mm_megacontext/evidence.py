"""From the leaves an answer was read from to evidence: whole words, or places in an image; boxes, source and page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mm_megacontext.answer import Evidence
from mm_megacontext.document import Unit
from mm_megacontext.reading.base import BaseTokenizer, Pointed
from mm_megacontext.reading.working_context import Entry, WorkingContext
from mm_megacontext.store.catalogue import SourceRecord
from mm_megacontext.tree.blocks import LINE_START
from mm_megacontext.tree.nodes import Leaves, NodeId


@dataclass(frozen=True, slots=True)
class _Quotation:
    """Consecutive leaves of one line of one block, whole words."""

    node: NodeId
    start: int
    stop: int
    mass: float


@dataclass(frozen=True, slots=True)
class _Place:
    """Leaves of one block or tile that are one piece of evidence."""

    node: NodeId
    leaves: list[int]
    mass: float


def collect_evidence(
    pointed: Sequence[Pointed],
    context: WorkingContext,
    scores: npt.NDArray[np.float64],
    tokenizer: BaseTokenizer,
    records: Mapping[int, SourceRecord],
) -> tuple[Evidence, ...]:
    """What an answer was read from, strongest first: mass of its tokens times how the lens rates their entry.

    Words are quoted whole. Patches of one tile are one place, the box around them, without text.

    Args:
        pointed: Leaves the answer's tokens were read from.
        context: The working context that was read.
        scores: (entries,) of the context's entries, in (-1, 1) or beyond where hinted at.
        tokenizer: Of the base that read.
        records: Sources by number.
    """
    by_entry = {entry.id: float(score) for entry, score in zip(context, scores, strict=True)}
    words = [p for p in pointed if context.by_id[p.node].node.modality == "text"]
    quotations = _merge([_whole_word(p, context.by_id[p.node], tokenizer) for p in words], context)
    places = [_Place(q.node, list(range(q.start, q.stop)), q.mass) for q in quotations]
    places += _seen([p for p in pointed if p not in words])
    out = []
    for place in places:
        entry = context.by_id[place.node]
        assert entry.leaves is not None
        boxes = entry.leaves.boxes[place.leaves].astype(np.float64)
        record = records[entry.id.source]
        unit: Unit = record.unit
        bbox = (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())
        is_text = len(entry.leaves.token_ids) > 0
        text = tokenizer.decode(entry.leaves.token_ids[place.leaves].tolist()) if is_text else ""
        score = place.mass * (1 + float(np.clip(by_entry[entry.id], -1, 1))) / 2
        out.append(Evidence(record.uri, entry.node.page, bbox, unit, text, entry.lod, score))
    return tuple(sorted(out, key=lambda e: -e.score))


def _whole_word(pointed: Pointed, entry: Entry, tokenizer: BaseTokenizer) -> _Quotation:
    leaves = entry.leaves
    assert leaves is not None, "only leaves can be pointed at"
    starts = [tokenizer.starts_word(int(i)) for i in leaves.token_ids]
    start = pointed.leaf
    while start > 0 and not starts[start]:
        start -= 1
    stop = pointed.leaf + 1
    while stop < len(leaves) and not starts[stop]:
        stop += 1
    return _Quotation(pointed.node, start, stop, pointed.mass)


def _merge(quotations: Sequence[_Quotation], context: WorkingContext) -> list[_Quotation]:
    """Join quotations that overlap, or follow each other on one line; the mass is their mean."""
    groups: list[list[_Quotation]] = []
    for quotation in sorted(quotations, key=lambda q: (q.node, q.start)):
        if groups and _continues(groups[-1], quotation, context):
            groups[-1].append(quotation)
        else:
            groups.append([quotation])
    return [_Quotation(g[0].node, g[0].start, max(q.stop for q in g), sum(q.mass for q in g) / len(g)) for g in groups]


def _seen(pointed: Sequence[Pointed]) -> list[_Place]:
    """One place for every tile with patches that were pointed at; the mass is their mean."""
    by_tile: dict[NodeId, list[Pointed]] = {}
    for one in pointed:
        by_tile.setdefault(one.node, []).append(one)
    return [
        _Place(node, sorted({p.leaf for p in own}), sum(p.mass for p in own) / len(own))
        for node, own in by_tile.items()
    ]


def _continues(group: Sequence[_Quotation], quotation: _Quotation, context: WorkingContext) -> bool:
    stop = max(q.stop for q in group)
    if quotation.node != group[0].node or quotation.start > stop:
        return False
    leaves = context.by_id[quotation.node].leaves
    assert leaves is not None
    return quotation.start < stop or not _starts_line(leaves, quotation.start)


def _starts_line(leaves: Leaves, index: int) -> bool:
    return bool(leaves.roles[index] & LINE_START)
