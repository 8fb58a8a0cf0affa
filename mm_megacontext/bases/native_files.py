"""Reading and writing the files of a native base: config.json, model.safetensors, tokenizer.json."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import load_file, save_file

from mm_megacontext.bases.native import NativeModel
from mm_megacontext.bases.native_config import NativeConfig
from mm_megacontext.bases.tokenizer import WordTokenizer

TINY_DIR = Path(__file__).parent / "weights"
"""``mmctx-tiny``, the base inside the package."""


def save_model(model: NativeModel, directory: Path) -> None:
    """Write config and weights; each file is replaced whole."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(model.config.to_json(), indent=2) + "\n", encoding="utf-8")
    partial = directory / "model.safetensors.partial"
    save_file({k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}, str(partial))
    partial.replace(directory / "model.safetensors")


def load_model(directory: Path) -> NativeModel:
    """The model of ``directory``, on the CPU, in evaluation mode."""
    config = NativeConfig.from_json(json.loads((directory / "config.json").read_text(encoding="utf-8")))
    model = NativeModel(config)
    model.load_state_dict(load_file(str(directory / "model.safetensors")))
    return model.eval()


def load_tokenizer(directory: Path) -> WordTokenizer:
    """The tokenizer of ``directory``."""
    return WordTokenizer.from_file(directory / "tokenizer.json")
