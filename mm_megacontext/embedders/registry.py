"""Text embedders by name: ``KIND:NAME|DIR``, or a directory that says itself what kind it is of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from mm_megacontext.embedders.protocol import TextEmbedder
from mm_megacontext.errors import UnknownName
from mm_megacontext.registry import Registry

EMBEDDERS = Registry[Callable[[str], TextEmbedder]](
    "text embedder",
    group="mm_megacontext.text_embedders",
    built_in={
        "sentence-transformers": "mm_megacontext.embedders.sentence:SentenceEmbedder",
        "model2vec": "mm_megacontext.embedders.static:StaticEmbedder",
        "onnx": "mm_megacontext.embedders.onnx:OnnxEmbedder",
    },
    families=["as in sentence-transformers:NAME, or a directory"],
)
"""By kind; an entry is called with the name or directory of the weights."""


_STATIC = "StaticEmbedding"
"""The module of sentence-transformers that is a model of model2vec."""


def open_embedder(name: str | Path) -> TextEmbedder:
    """The embedder of a name.

    Args:
        name: ``KIND:NAME|DIR``, where the kind is in ``EMBEDDERS``, or a directory.

    Raises:
        UnknownName: There is no such kind, or nothing tells which kind a directory is of.
        MissingExtra: The library that loads it is not installed.
        WeightsUnavailable: It cannot be loaded.
    """
    kind, colon, place = str(name).partition(":")
    if colon and kind in EMBEDDERS:
        return EMBEDDERS.get(kind)(place)
    directory = Path(name)
    if not directory.is_dir():
        raise EMBEDDERS.unknown(str(name))
    return EMBEDDERS.get(_kind_of(directory))(str(directory))


def _kind_of(directory: Path) -> str:
    """What a directory holds, by the files that each library writes."""
    modules = _json(directory / "modules.json")
    if isinstance(modules, list):  # model2vec writes the same file, so that sentence-transformers can load it, too
        kinds = [str(one.get("type", "")) for one in modules if isinstance(one, dict)]
        return "model2vec" if any(kind.endswith(_STATIC) for kind in kinds) else "sentence-transformers"
    config = _json(directory / "config.json")
    if isinstance(config, dict) and config.get("model_type") == "model2vec":
        return "model2vec"
    if any(directory.glob("**/*.onnx")):
        return "onnx"
    raise UnknownName(
        f"{directory}: not seen to be a text embedder (no modules.json, no model2vec, no *.onnx); say its kind, as in "
        "sentence-transformers:DIR"
    )


def _json(file: Path) -> object:
    """What a file holds; None where there is none, or nothing that is JSON."""
    try:
        found: object = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found
