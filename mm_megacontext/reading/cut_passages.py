"""From a cut of the tree to what a reader of text is shown of it: passages of open blocks and tiles, and gaps."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import groupby
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import Box, Unit, union
from mm_megacontext.passages.context import Context
from mm_megacontext.passages.parts import Collapsed, Gap, Passage
from mm_megacontext.passages.words import PassageWord
from mm_megacontext.reading.base import BaseTokenizer
from mm_megacontext.reading.headings import Headings
from mm_megacontext.reading.leaf_words import words_of
from mm_megacontext.reading.mosaic import picture_of, touching
from mm_megacontext.reading.relevance import relevance
from mm_megacontext.reading.texts_below import TextsBelow
from mm_megacontext.reading.working_context import Entry, WorkingContext
from mm_megacontext.tree.nodes import COLLECTION, NodeId


class SourcePlace(Protocol):
    """What is told of a source besides its tree."""

    @property
    def uri(self) -> str: ...

    @property
    def unit(self) -> Unit: ...

    @property
    def root_id(self) -> NodeId: ...


@dataclass(frozen=True, slots=True)
class _Shown:
    """Open entries that become one passage."""

    entries: tuple[Entry, ...]


_Part = _Shown | list[Entry]


def show(
    cut: WorkingContext,
    scores: npt.NDArray[np.float64],
    question: str,
    tokenizer: BaseTokenizer,
    records: Mapping[int, SourcePlace],
    headings: Headings | None = None,
) -> Context:
    """The passages and gaps of a cut.

    Blocks of one region that follow each other are one passage, so are tiles that touch each other. What is not open
    and follows each other in one source is one gap, and so are whole sources that follow each other.

    Args:
        cut: What was opened.
        scores: (entries,) what focus thought of each.
        question: What was asked.
        tokenizer: Of the base whose tokens the leaves are.
        records: Sources by number.
        headings: Those near it, if they are known already, as those near a cut that opens more.
    """
    headings = headings or Headings.near(cut)
    texts = TextsBelow(cut)
    own = dict(zip((entry.id for entry in cut), scores.tolist(), strict=True))
    parts: list[Passage | Gap] = []
    n_passages = n_gaps = 0
    for part in _parts(cut, records):
        if isinstance(part, _Shown):
            n_passages += 1
            parts.append(_passage(f"p{n_passages}", part.entries, headings, tokenizer, records))
        else:
            n_gaps += 1
            nodes = tuple(_collapsed(entry, headings, texts, records) for entry in part)
            parts.append(Gap(id=f"g{n_gaps}", nodes=nodes))
    return Context(question=question, parts=tuple(_scored(parts, question, own)))


def _parts(cut: WorkingContext, records: Mapping[int, SourcePlace]) -> Iterator[_Part]:
    """Entries in order, in groups: what is shown together, and what is left out together."""
    regions = _regions(cut)
    wholes = {record.root_id for record in records.values()}
    pictures = {group[0].id: group for group in touching(cut)}
    in_pictures = {entry.id for group in pictures.values() for entry in group}

    def kind(entry: Entry) -> Hashable:
        if entry.id in in_pictures:
            return entry.id
        if entry.is_expanded:
            return regions[entry.id]
        is_whole = entry.id in wholes or entry.id.source == COLLECTION
        return COLLECTION if is_whole else entry.id.source

    for _, group in groupby(cut, key=lambda entry: (entry.is_expanded, kind(entry))):
        run = list(group)
        if run[0].id in pictures:
            yield _Shown(tuple(pictures[run[0].id]))
        elif run[0].id not in in_pictures:
            yield _Shown(tuple(run)) if run[0].is_expanded else run


def _regions(cut: WorkingContext) -> dict[NodeId, tuple[NodeId, int]]:
    """For each open block the region it belongs to, and its page."""
    above = {child: node for node in cut.opened.values() for child in node.children}
    found: dict[NodeId, tuple[NodeId, int]] = {}
    for entry in cut:
        if entry.is_expanded:
            region, parent = entry.node, above.get(entry.id)
            while parent is not None and parent.kind == entry.node.kind and parent.page == parent.last_page:
                region, parent = parent, above.get(parent.id)
            found[entry.id] = (region.id, entry.node.page)
    return found


def _passage(
    id: str,
    entries: Sequence[Entry],
    headings: Headings,
    tokenizer: BaseTokenizer,
    records: Mapping[int, SourcePlace],
) -> Passage:
    first = entries[0].node
    record = records[first.id.source]
    is_image = first.modality == "image"
    return Passage(
        id=id,
        source=record.uri,
        page=first.page,
        bbox=_rounded(union([entry.node.bbox for entry in entries])),
        unit=record.unit,
        kind="image" if is_image else first.kind,
        headings=headings.above(first.id),
        score=0.0,
        nodes=tuple(entry.id for entry in entries),
        find_words=tuple if is_image else cache(partial(_words, entries, tokenizer)),
        image=picture_of(entries) if is_image else None,
    )


def _words(entries: Sequence[Entry], tokenizer: BaseTokenizer) -> list[PassageWord]:
    return [word for entry in entries for word in words_of(entry, tokenizer)]


def _rounded(box: Box) -> Box:
    return (float(box[0]), float(box[1]), float(box[2]), float(box[3]))


def _collapsed(entry: Entry, headings: Headings, texts: TextsBelow, records: Mapping[int, SourcePlace]) -> Collapsed:
    node = entry.node
    is_one = node.first.source == node.last.source
    record = records[node.first.source]
    return Collapsed(
        source=record.uri if is_one else "",
        page=node.page,
        last_page=node.last_page,
        bbox=node.bbox if is_one else None,
        unit=record.unit,
        kind=node.kind,
        heading=headings.within(node) if is_one else "",
        lod=entry.lod,
        n_leaves=node.n_leaves,
        is_image=node.modality == "image",
        node=node.id,
        find_texts=partial(texts.of, node.id),
    )


def _scored(parts: Sequence[Passage | Gap], question: str, own: Mapping[NodeId, float]) -> Iterator[Passage | Gap]:
    """The parts, passages with how well they fit the question."""
    passages = [part for part in parts if isinstance(part, Passage)]
    strengths = np.array([max(own[node] for node in passage.nodes) for passage in passages])
    weakest = strengths.min(initial=np.inf)
    span = strengths.max(initial=0.0) - weakest  # where focus thinks the same of all, it says nothing
    priors = (strengths - weakest) / span if span > 0 else np.zeros(len(passages))
    texts, above = [p.text for p in passages], [" ".join(p.headings) for p in passages]
    fitting = iter(relevance(question, texts, above, priors).tolist())
    for part in parts:
        yield replace(part, score=next(fitting)) if isinstance(part, Passage) else part
