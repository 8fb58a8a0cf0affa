"""Embedders of three libraries. Oracle: each library's own results, and means worked out by hand."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from mm_megacontext.embedders import EMBEDDERS, open_embedder
from mm_megacontext.errors import UnknownName, WeightsUnavailable

WORDS = {"[UNK]": 0, "east": 1, "north": 2, "far": 3, "both": 4}
VECTORS = np.array([[0, 0], [1, 0], [0, 1], [3, 4], [1, 1]], dtype=np.float32)
GATHER = base64.b64decode(
    "CAg6rQEKKQoBdwoJaW5wdXRfaWRzEhFsYXN0X2hpZGRlbl9zdGF0ZSIGR2F0aGVyEgFnKjMIBQgCEAEiKAAAAAAAAAAAAACAPwAAAAAAAAAAAACA"
    "PwAAQEAAAIBAAACAPwAAgD9CAXdaHQoJaW5wdXRfaWRzEhAKDggHEgoKAxIBYgoDEgFuYikKEWxhc3RfaGlkZGVuX3N0YXRlEhQKEggBEg4KAxIB"
    "YgoDEgFuCgIIAkIECgAQDQ=="
)
"""A model in ONNX of one node, which gathers rows of ``VECTORS`` by ``input_ids`` into ``last_hidden_state``."""


def _tokenizer() -> Tokenizer:
    found = Tokenizer(WordLevel(WORDS, unk_token="[UNK]"))
    found.pre_tokenizer = Whitespace()
    return found


@pytest.fixture
def onnx(tmp_path: Path) -> Path:
    pytest.importorskip("onnxruntime")
    (tmp_path / "model.onnx").write_bytes(GATHER)
    _tokenizer().save(str(tmp_path / "tokenizer.json"))
    return tmp_path


@pytest.fixture
def static(tmp_path: Path) -> Path:
    model2vec = pytest.importorskip("model2vec")
    model2vec.StaticModel(VECTORS, _tokenizer()).save_pretrained(tmp_path)
    return tmp_path


def _check_directions(directory: Path) -> None:
    embedder = open_embedder(directory)
    assert embedder.dim == 2
    passages = embedder.embed_passages(["east", "north", "far", "east north north"])
    expected = np.array([[1, 0], [0, 1], [0.6, 0.8], [1 / 5**0.5, 2 / 5**0.5]])
    np.testing.assert_allclose(passages, expected, atol=1e-5)
    assert passages.dtype == np.float32
    np.testing.assert_allclose(embedder.embed_question("both"), [[0.5**0.5, 0.5**0.5]], atol=1e-5)
    assert embedder.embed_passages([]).shape == (0, 2)


def test_onnx_takes_the_mean_over_the_tokens_of_each_text(onnx: Path) -> None:
    _check_directions(onnx)


def test_model2vec_takes_the_mean_of_its_vectors(static: Path) -> None:
    _check_directions(static)


def test_an_id_names_the_weights(onnx: Path) -> None:
    before = open_embedder(f"onnx:{onnx}").id
    assert open_embedder(onnx).id == before
    (onnx / "model.onnx").write_bytes(GATHER.replace(np.float32(3).tobytes(), np.float32(5).tobytes()))
    assert open_embedder(onnx).id != before


def test_what_cannot_be_opened_says_why(onnx: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"is named 'nothing'.*model2vec, onnx, sentence-transformers"):
        open_embedder("nothing")
    (onnx / "model.onnx").write_bytes(b"none")
    with pytest.raises(WeightsUnavailable, match="cannot be loaded"):
        open_embedder(onnx)
    (onnx / "tokenizer.json").unlink()
    with pytest.raises(WeightsUnavailable, match=r"needs one \*\.onnx.*and no tokenizer"):
        open_embedder(onnx)
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(UnknownName, match="say its kind, as in sentence-transformers:DIR"):
        open_embedder(other)


def test_sentence_transformers_are_asked_as_their_library_does(tmp_path: Path) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    transformers.BertModel(config).save_pretrained(tmp_path / "bert")
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=_tokenizer(), unk_token="[UNK]", pad_token="[UNK]", model_max_length=32
    ).save_pretrained(tmp_path / "bert")
    made = sentence_transformers.SentenceTransformer(str(tmp_path / "bert"))
    made.save(str(tmp_path / "model"))
    embedder = open_embedder(tmp_path / "model")
    assert embedder.dim == 8
    np.testing.assert_allclose(
        embedder.embed_passages(["far north", "east"]), made.encode(["far north", "east"], normalize_embeddings=True)
    )
    np.testing.assert_allclose(np.linalg.norm(embedder.embed_question("both"), axis=1), 1, atol=1e-6)


def test_all_kinds_are_listed() -> None:
    assert EMBEDDERS.names() == ["model2vec", "onnx", "sentence-transformers"]
