"""Training batches for the lens: one cut and one question each, with the nodes that cover the evidence marked."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mm_megacontext.bases.tokenizer import WordTokenizer
from mm_megacontext.reading.lens_net import N_FEATURES, describe
from mm_megacontext.training.data.contexts import random_pieces
from mm_megacontext.training.data.corpus import Evidence, LookupDocument, make_document
from mm_megacontext.training.data.pages import PageConfig
from mm_megacontext.training.data.words import Split
from mm_megacontext.tree.nodes import NodeRow


@dataclass(frozen=True, slots=True, kw_only=True)
class LensDataConfig:
    """What the lens trains on.

    Attributes:
        pages: Document sizes to draw from.
        most_nodes: Nodes of a cut; batches are padded to it.
        question_length: Tokens of a question; longer ones are cut off.
    """

    pages: tuple[int, ...] = (1, 2, 4, 8, 24, 64)
    n_facts: tuple[int, int] = (6, 22)
    batch: int = 16
    most_nodes: int = 160
    question_length: int = 24


@dataclass(slots=True)
class LensBatch:
    """Arrays of one step, b cuts of n nodes and questions of m tokens.

    ``gist_ranges`` (b, n, 2) point into the corpus's tokens; ``positive`` (b, n) marks nodes that cover evidence.
    """

    gist_ranges: npt.NDArray[np.int64]
    features: npt.NDArray[np.float32]
    lods: npt.NDArray[np.int64]
    valid: npt.NDArray[np.bool_]
    positive: npt.NDArray[np.bool_]
    question_ids: npt.NDArray[np.int64]
    question_valid: npt.NDArray[np.bool_]


def open_some(
    rows: list[NodeRow], evidence: Evidence, most_nodes: int, rng: random.Random
) -> list[tuple[NodeRow, bool]]:
    """A cut with its expanded blocks: the way to the evidence opened more or less far, and other nodes at random."""
    cut: dict[int, bool] = {rows[-1].index: False}
    depth = rng.choice((1, 2, 3, 4, 9, 9, 9))
    for block in evidence.blocks:
        for _ in range(depth):
            node = next(i for i in cut if rows[i].first <= block <= i)
            if not _open(rows, cut, node, most_nodes):
                break
    for _ in range(rng.choice((0, 1, 4, 12, 40))):
        _open(rows, cut, rng.choice(list(cut)), most_nodes)
    return [(rows[i], cut[i]) for i in sorted(cut)]


def _open(rows: list[NodeRow], cut: dict[int, bool], node: int, most_nodes: int) -> bool:
    """Expand one node, if the cut stays small enough; says whether there is more to open below."""
    children = rows[node].children
    if not children:
        cut[node] = True
        return False
    if len(cut) + len(children) - 1 > most_nodes:
        return False
    del cut[node]
    cut.update(dict.fromkeys(children, False))
    return True


def lens_batches(
    tokenizer: WordTokenizer, config: LensDataConfig, seed: str, split: Split, *, n_batches: int, n_pages: int = 200
) -> tuple[npt.NDArray[np.int64], list[LensBatch]]:
    """Tokens of a small corpus of new documents, and batches drawn from it."""
    rng = random.Random(seed)
    pieces = random_pieces(tokenizer, rng, 400) if split == "train" else []
    documents: list[LookupDocument] = []
    while sum(d.rows[-1].last_page for d in documents) < n_pages:
        page = PageConfig(n_facts=rng.randint(*config.n_facts), filler=rng.choice((0.0, 0.25, 0.6)))
        size = rng.choice(config.pages)
        documents.append(make_document(tokenizer, f"lens-{seed}-{len(documents)}", split, size, page, pieces))
    offsets = np.cumsum([0, *(len(d.token_ids) for d in documents)])
    batches = []
    for _ in range(n_batches):
        batch = _empty(config)
        for b, i in enumerate(
            rng.choices(range(len(documents)), [d.rows[-1].last_page for d in documents], k=config.batch)
        ):
            _fill(batch, b, documents[i], int(offsets[i]), tokenizer, config, rng)
        batches.append(batch)
    return np.concatenate([d.token_ids for d in documents]), batches


def _empty(config: LensDataConfig) -> LensBatch:
    nodes, words = (config.batch, config.most_nodes), (config.batch, config.question_length)
    return LensBatch(
        gist_ranges=np.zeros((*nodes, 2), np.int64),
        features=np.zeros((*nodes, N_FEATURES), np.float32),
        lods=np.zeros(nodes, np.int64),
        valid=np.zeros(nodes, np.bool_),
        positive=np.zeros(nodes, np.bool_),
        question_ids=np.zeros(words, np.int64),
        question_valid=np.zeros(words, np.bool_),
    )


def _fill(
    batch: LensBatch,
    b: int,
    document: LookupDocument,
    offset: int,
    tokenizer: WordTokenizer,
    config: LensDataConfig,
    rng: random.Random,
) -> None:
    ((question, evidence),) = document.questions(rng, 1, 0.0)
    assert evidence is not None
    cut = open_some(document.rows, evidence, config.most_nodes, rng)
    n = len(cut)
    rows = [row for row, _ in cut]
    batch.gist_ranges[b, :n] = [(offset + row.t_span[0], offset + row.t_span[1]) for row in rows]
    batch.lods[b, :n] = [0 if is_open else row.lod for row, is_open in cut]
    batch.positive[b, :n] = [any(row.first <= block <= row.index for block in evidence.blocks) for row in rows]
    batch.valid[b, :n] = True
    batch.features[b, :n] = describe(
        n_leaves=np.array([row.n_leaves for row in rows]),
        mu=np.stack([row.mu for row in rows]),
        sigma=np.stack([row.sigma for row in rows]),
        is_expanded=np.array([is_open for _, is_open in cut]),
        is_image=np.zeros(n, np.bool_),
    )
    ids = tokenizer.encode(question.text)[: config.question_length]
    batch.question_ids[b, : len(ids)] = ids
    batch.question_valid[b, : len(ids)] = True
