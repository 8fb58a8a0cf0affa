"""Reading and writing the files of a native base: config.json, model.safetensors, tokenizer.json."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from mm_megacontext.bases.native import NativeModel
from mm_megacontext.bases.native_config import NativeConfig
from mm_megacontext.bases.tokenizer import WordTokenizer
from mm_megacontext.weights import load_module, save_module, telling

TINY_DIR = Path(__file__).parent / "weights"
"""``mmctx-tiny``, the base inside the package."""


def save_model(model: NativeModel, directory: Path) -> None:
    """Write config and weights; each file is replaced whole."""
    save_module(model, model.config.to_json(), directory)


def load_model(directory: Path) -> NativeModel:
    """The model of ``directory``, on the CPU, in evaluation mode. Raises as ``weights.load_module`` does."""
    return load_module(lambda config: NativeModel(NativeConfig.from_json(config)), directory)


def load_tokenizer(directory: Path) -> WordTokenizer:
    """The tokenizer of ``directory``. Raises WeightsUnavailable where it is damaged, FileNotFoundError."""
    file = directory / "tokenizer.json"
    if not file.is_file():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
    with telling(file):
        tokenizer = WordTokenizer.from_file(file)
        tokenizer.encode("a word")
        assert tokenizer.fingerprint
    return tokenizer
