"""Which family a model of transformers is of, by the ``model_type`` of its configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mm_megacontext.bases.hf.family import Family
from mm_megacontext.errors import UnsupportedModel
from mm_megacontext.registry import Registry

_HERE = "mm_megacontext.bases.hf"
_TEXT = f"{_HERE}.family:Family"
_PICTURES = f"{_HERE}.family:SeesPictures"

FAMILIES = Registry[Callable[[], Family]](
    "family of models that read vectors",
    group="mm_megacontext.hf_families",
    built_in={
        **dict.fromkeys(("llama", "mistral", "mixtral", "qwen2", "qwen3", "gemma3_text"), _TEXT),
        **dict.fromkeys(("smolvlm", "idefics3", "llava", "llava_onevision"), _PICTURES),
        "internvl": f"{_HERE}.family:InternVL",
        "gemma3": f"{_HERE}.family:Gemma3",
        "qwen2_vl": f"{_HERE}.multi_axis:Qwen2VL",
        "qwen2_5_vl": f"{_HERE}.multi_axis:Qwen25VL",
        "qwen3_vl": f"{_HERE}.multi_axis:Qwen3VL",
    },
)
"""By ``model_type``; an entry is called without arguments."""

_BY_LAYER = "gives every layer an embedding of each token besides the first one, and a gist is no token"
_RECURRENT = "has layers that remember all they have read in one state, which cannot be cut again"

_WITH_STATES = (
    *("qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_next", "qwen4_exp", "lfm2", "lfm2_vl", "lfm3_vl", "mamba"),
    *("mamba2", "jamba", "bamba", "falcon_h1", "granitemoehybrid", "nemotron_h", "zamba2", "recurrent_gemma"),
)

REFUSED = {
    **dict.fromkeys(("gemma3n", "gemma3n_text", "gemma4", "gemma4_text"), _BY_LAYER),
    **dict.fromkeys(_WITH_STATES, _RECURRENT),
}
"""Why models of some ``model_type`` cannot be given vectors."""


def family_of(config: Any) -> Family:
    """The family of a model, told by its configuration.

    Raises:
        UnsupportedModel: No vectors can be given to it, or nobody has tried; the message says why, and what to do.

    Example:
        >>> from transformers import LlamaConfig
        >>> type(family_of(LlamaConfig())).__name__
        'Family'
    """
    kind = config.model_type
    if kind not in FAMILIES:
        why = REFUSED.get(kind, f"is of no known family: {', '.join(FAMILIES.names())}")
        raise UnsupportedModel(f"{kind} {why}; read it in chat mode (hf:)")
    family = FAMILIES.get(kind)()
    family.check(config)
    return family
