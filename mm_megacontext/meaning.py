"""Search by meaning: the vectors of an embedder for all blocks of text of a memory, kept in step with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from mm_megacontext.embedders.protocol import TextEmbedder
from mm_megacontext.errors import StoreError
from mm_megacontext.ingest_report import ProgressEvent
from mm_megacontext.store.catalogue import SourceRecord
from mm_megacontext.store.store import Store
from mm_megacontext.store.vectors import VectorTable, vectors_of
from mm_megacontext.tree.nodes import NodeId, NodeRow

BATCH = 256
"""Texts that are embedded together."""
_NONE = np.zeros((0, 0), dtype=np.float32)


class Meaning:
    """Finds blocks that mean what a question asks, in whatever words.

    Args:
        store: The memory; open for writing to ``bring_up_to_date``.
        embedder: Makes the vectors.
    """

    def __init__(self, store: Store, embedder: TextEmbedder) -> None:
        self._store, self._embedder = store, embedder
        self._vectors = VectorTable(vectors_of(store.path, embedder.id), embedder.dim)

    @property
    def is_in_step(self) -> bool:
        """Whether what has vectors is just what the memory holds."""
        return self._vectors.sources() == {record.number for record in self._store.sources()}

    def check(self) -> None:
        """Raise StoreError if sources have no vectors yet."""
        missing = self._missing()
        if missing:
            raise StoreError(
                f"{self._store.path}: {len(missing)} sources ({missing[0].uri} first) have no vectors of "
                f"{self._embedder.id}; ingest them with this embedder"
            )

    def bring_up_to_date(self, on_progress: Callable[[ProgressEvent], None] | None = None) -> None:
        """Make the vectors of new sources, and drop those of sources that are gone."""
        missing = self._missing()
        for number, record in enumerate(missing, 1):
            nodes, texts = _texts(row for rows in self._store.rows_of(record.number) for row in rows)
            parts = [self._embedder.embed_passages(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH)]
            self._vectors.add(record.number, nodes, np.concatenate(parts) if parts else _NONE)
            if on_progress is not None:
                on_progress(ProgressEvent(record.uri, number, len(missing), record.n_pages, record.n_pages))
        gone = self._vectors.sources() - {record.number for record in self._store.sources()}
        if missing or gone:
            self._vectors.drop(sorted(gone))

    def search(self, question: str, k: int, within: Sequence[int] | None = None) -> list[tuple[NodeId, float]]:
        """Blocks nearest to the question, with their cosines, best first; of the sources ``within``, or of all."""
        numbers = [record.number for record in self._store.sources()]
        wanted = numbers if within is None else [number for number in numbers if number in within]
        return self._vectors.search(self._embedder.embed_question(question), k, wanted)

    def _missing(self) -> list[SourceRecord]:
        held = self._vectors.sources()
        return [record for record in self._store.sources() if record.number not in held]


def _texts(rows: Iterable[NodeRow]) -> tuple[list[int], list[str]]:
    """The blocks of text: which, and what they say with the names of their columns."""
    blocks = [row for row in rows if row.lod == 1 and row.modality == "text" and row.text]
    return [row.index for row in blocks], [f"{row.context} {row.text}".strip() for row in blocks]
