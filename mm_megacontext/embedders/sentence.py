"""Embedders of sentence-transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mm_megacontext.digests import digest
from mm_megacontext.embedders.protocol import Vectors
from mm_megacontext.errors import MissingExtra, WeightsUnavailable

BATCH = 64


class SentenceEmbedder:
    """A model of sentence-transformers, with the prompts that it has for questions and passages.

    Args:
        name: Of a directory, or of a model on the hub.

    Raises:
        MissingExtra: sentence-transformers is not installed.
        WeightsUnavailable: It cannot be loaded.
    """

    def __init__(self, name: str) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ModuleNotFoundError as error:
            raise MissingExtra(
                "sentence-transformers is not installed: pip install 'mm-megacontext[semantic]'"
            ) from error
        try:
            self._model: Any = SentenceTransformer(name)
        except (OSError, ValueError, RuntimeError) as error:
            raise WeightsUnavailable(f"{name}: no model of sentence-transformers can be loaded: {error}") from error
        self.dim = len(self._model.encode_query("dimensions"))
        self.id = f"sentence-transformers-{digest([self._model], {'dim': self.dim})}"

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        return self._vectors(self._model.encode_document, texts)

    def embed_question(self, text: str) -> Vectors:
        return self._vectors(self._model.encode_query, [text])

    def _vectors(self, encode: Any, texts: Sequence[str]) -> Vectors:
        found = encode(list(texts), batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(found, dtype=np.float32).reshape(len(texts), self.dim)
