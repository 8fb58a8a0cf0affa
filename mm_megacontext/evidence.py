"""From what an answer was read from to evidence: boxes, source and page.

An embedding reader points at leaves, which become whole words or places in an image, or names entries that it read as
gists. A text reader names passages, in which the words of its answer are looked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mm_megacontext.answer import Evidence
from mm_megacontext.document import Unit, union
from mm_megacontext.passages.context import Context
from mm_megacontext.passages.parts import Gap, Passage
from mm_megacontext.passages.quoting import Span, bare, lines_of, longest_run, nearest, occurrences
from mm_megacontext.reading.base import BaseTokenizer, Citation, Pointed, Reading
from mm_megacontext.reading.question_words import FUNCTION_WORDS
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


def node_evidence(
    reading: Reading, context: WorkingContext, scores: npt.NDArray[np.float64], records: Mapping[int, SourceRecord]
) -> tuple[Evidence, ...]:
    """The entries that an embedding reader says it read as gists, the strongest first.

    Args:
        reading: Its ``nodes`` are entries of the context; those above whole sources have no place.
        context: The working context that was read.
        scores: (entries,) of the context's entries.
        records: Sources by number.
    """
    by_entry = {entry.id: float(score) for entry, score in zip(context, scores, strict=True)}
    found = []
    for entry in (context.by_id[id] for id in reading.nodes if id.source in records):
        node, record = entry.node, records[entry.id.source]
        score = reading.confidence * (1 + float(np.clip(by_entry[entry.id], -1, 1))) / 2
        found.append(Evidence(record.uri, node.page, node.bbox, record.unit, "", entry.lod, score, "node"))
    return tuple(sorted(found, key=lambda e: -e.score))


def cited_evidence(reading: Reading, context: Context) -> tuple[Evidence, ...]:
    """Evidence for an answer that was written: of each part that it cites, the words that say it, else all of the part.

    Of an answer that cites nothing, the passage that holds all of it is evidence if there is just one.

    Args:
        reading: Cites parts of the context; ids of others count for nothing.
        context: What was shown.
    """
    parts = {part.id: part for part in context.parts}
    cited = [(citation, parts[citation.part]) for citation in reading.cited if citation.part in parts]
    asked = frozenset(map(bare, context.question.split()))
    found: list[Evidence] = []
    for citation, part in cited:
        if isinstance(part, Gap):
            found += _gap_evidence(part)
        else:
            found += _quoted(part, _said_in(part, citation, reading.text, asked)) or [Evidence.of_passages([part])]
    if not cited:
        found += _uncited(reading.text, context, asked)
    return tuple(sorted(dict.fromkeys(found), key=lambda e: -e.score))


def _said_in(passage: Passage, citation: Citation, answer: str, asked: frozenset[str]) -> Span | None:
    """The words of a passage that say the answer: in the quotation, if there is one and it is there."""
    words = passage.words
    quoted = occurrences(words, citation.quote)
    within = nearest(quoted, words, asked) if quoted else None
    if exact := occurrences(words, answer, within):
        return nearest(exact, words, asked)
    return within or longest_run(words, answer, asked, FUNCTION_WORDS)


def _quoted(passage: Passage, span: Span | None) -> list[Evidence]:
    lines = [] if span is None else lines_of(passage.words, span)
    place = (passage.source, passage.page)
    return [Evidence(*place, line.bbox, passage.unit, line.text, 0, passage.score, "words") for line in lines]


def _uncited(answer: str, context: Context, asked: frozenset[str]) -> list[Evidence]:
    holding = [(passage, spans) for passage in context.passages if (spans := occurrences(passage.words, answer))]
    if len(holding) != 1:
        return []
    ((passage, spans),) = holding
    return _quoted(passage, nearest(spans, passage.words, asked))


def _gap_evidence(gap: Gap) -> list[Evidence]:
    """One piece for a gap: what it covers on its first page."""
    first = gap.nodes[0]
    boxes = [n.bbox for n in gap.nodes if n.bbox is not None and (n.source, n.page) == (first.source, first.page)]
    if not boxes:
        return []
    lod = max(node.lod for node in gap.nodes)
    return [Evidence(first.source, first.page, union(boxes), first.unit, "", lod, 0.0, "node")]


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
