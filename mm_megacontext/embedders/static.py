"""Embedders of model2vec: a vector for each token, and nothing to compute but their mean."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from mm_megacontext.embedders.protocol import Vectors
from mm_megacontext.embedders.unit import to_length_one
from mm_megacontext.errors import MissingExtra, WeightsUnavailable

_DIGITS = 12


class StaticEmbedder:
    """A model of model2vec.

    Args:
        name: Of a directory, or of a model on the hub.

    Raises:
        MissingExtra: model2vec is not installed.
        WeightsUnavailable: It cannot be loaded.
    """

    def __init__(self, name: str) -> None:
        try:
            from model2vec import StaticModel
        except ModuleNotFoundError as error:
            raise MissingExtra("model2vec is not installed: pip install 'mm-megacontext[semantic]'") from error
        try:
            self._model: Any = StaticModel.from_pretrained(name)
        except (OSError, ValueError, KeyError) as error:
            raise WeightsUnavailable(f"{name}: no model of model2vec can be loaded: {error}") from error
        self.dim = int(self._model.dim)
        weights = hashlib.blake2b(np.ascontiguousarray(self._model.embedding).tobytes(), digest_size=_DIGITS // 2)
        weights.update(self._model.tokenizer.to_str().encode())
        self.id = f"model2vec-{weights.hexdigest()}"

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        if not texts:  # which the library refuses
            return np.zeros((0, self.dim), dtype=np.float32)
        return to_length_one(np.asarray(self._model.encode(list(texts)), dtype=np.float32))

    def embed_question(self, text: str) -> Vectors:
        return self.embed_passages([text])
