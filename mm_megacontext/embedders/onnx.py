"""Embedders that were exported to ONNX, with their ``tokenizer.json``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mm_megacontext.embedders.protocol import Vectors
from mm_megacontext.embedders.unit import to_length_one
from mm_megacontext.errors import MissingExtra, WeightsUnavailable

BATCH = 32
MOST_TOKENS = 512
"""Of a text; most models were trained on no more."""
_POOLED = ("sentence_embedding", "pooled_embeddings")
"""Outputs that are the vector of the text; of any other model the mean over its tokens is taken."""
_DIGITS = 12


class OnnxEmbedder:
    """A model in ONNX.

    Args:
        name: A directory with one ``*.onnx``, or ``model.onnx`` among several, and ``tokenizer.json``.

    Raises:
        MissingExtra: onnxruntime is not installed.
        WeightsUnavailable: It cannot be loaded.
    """

    def __init__(self, name: str) -> None:
        try:
            import onnxruntime
            from tokenizers import Tokenizer
        except ModuleNotFoundError as error:
            raise MissingExtra(f"{error.name} is not installed: pip install 'mm-megacontext[semantic]'") from error
        file, tokens = _files(Path(name))
        try:
            self._session: Any = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
            self._tokenizer: Any = Tokenizer.from_file(str(tokens))
        except Exception as error:  # both libraries raise classes of their own that derive from nothing narrower
            raise WeightsUnavailable(f"{name}: cannot be loaded: {error}") from error
        self._tokenizer.enable_truncation(MOST_TOKENS)
        self._tokenizer.enable_padding()
        self._inputs = {one.name for one in self._session.get_inputs()}
        outputs = [one.name for one in self._session.get_outputs()]
        self._output = next((output for output in outputs if output in _POOLED), outputs[0])
        self.id = (
            f"onnx-{hashlib.blake2b(file.read_bytes() + tokens.read_bytes(), digest_size=_DIGITS // 2).hexdigest()}"
        )
        self.dim = self.embed_question("dimensions").shape[1]

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        parts = [self._of_batch(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH)]
        return np.concatenate(parts) if parts else np.zeros((0, self.dim), dtype=np.float32)

    def embed_question(self, text: str) -> Vectors:
        return self._of_batch([text])

    def _of_batch(self, texts: Sequence[str]) -> Vectors:
        encoded = self._tokenizer.encode_batch(list(texts))
        mask = np.array([one.attention_mask for one in encoded], dtype=np.int64)
        every = {
            "input_ids": np.array([one.ids for one in encoded], dtype=np.int64),
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(mask),
        }
        (found,) = self._session.run([self._output], {name: every[name] for name in every if name in self._inputs})
        if found.ndim > 2:  # a vector for each token
            found = (found * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        return to_length_one(np.asarray(found, dtype=np.float32))


def _files(directory: Path) -> tuple[Path, Path]:
    models = sorted(directory.glob("**/*.onnx"))
    named = [file for file in models if file.name == "model.onnx"]
    tokens = directory / "tokenizer.json"
    if len(named or models) != 1 or not tokens.is_file():
        raise WeightsUnavailable(
            f"{directory}: needs one *.onnx, or one model.onnx, and a tokenizer.json; it has {len(models)} models and "
            f"{'a' if tokens.is_file() else 'no'} tokenizer"
        )
    return (named or models)[0], tokens
