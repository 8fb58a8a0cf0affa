"""Tiny random models of transformers, one per family; imported only where transformers is installed."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    LlamaConfig,
    MistralConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen2_5_VLConfig,
    Qwen2Config,
    Qwen2VLConfig,
    Qwen3Config,
    Qwen3VLConfig,
    SmolVLMConfig,
)

N_TOKENS = 64
IMAGE, VISION_START = 60, 59
HEAD_DIM, THETA = 16, 10_000.0
SECTIONS = (4, 2, 2)
"""Pairs of time, height and width."""
TEXT: dict[str, Any] = {
    "vocab_size": N_TOKENS,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": HEAD_DIM,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,  # with the usual 0.02, attention would hardly depend on anything
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": None,
    "use_cache": True,
}
MULTIMODAL_TEXT = TEXT | {
    "rope_parameters": {"rope_type": "default", "rope_theta": THETA, "mrope_section": list(SECTIONS)}
}
VISION: dict[str, Any] = {"depth": 1, "hidden_size": 32, "num_heads": 2, "patch_size": 4, "in_channels": 3}
SPECIAL = {"vision_start_token_id": VISION_START, "image_token_id": IMAGE, "video_token_id": 61}


def configs(**changes: Any) -> dict[str, PretrainedConfig]:
    """One per family; what is changed concerns those that read text alone."""
    text = TEXT | changes
    qwen3_vision = VISION | {"out_hidden_size": 32, "intermediate_size": 32, "num_position_embeddings": 16}
    return {
        "llama": LlamaConfig(**text),
        "mistral": MistralConfig(**text),
        "qwen2": Qwen2Config(**text),
        "qwen3": Qwen3Config(**text),
        "qwen2-vl": Qwen2VLConfig(
            text_config=MULTIMODAL_TEXT, vision_config=VISION | {"embed_dim": 32, "mlp_ratio": 1}, **SPECIAL
        ),
        "qwen2.5-vl": Qwen2_5_VLConfig(
            text_config=MULTIMODAL_TEXT,
            vision_config=VISION | {"out_hidden_size": 32, "intermediate_size": 32, "fullatt_block_indexes": [0]},
            **SPECIAL,
        ),
        "qwen3-vl": Qwen3VLConfig(
            text_config=MULTIMODAL_TEXT, vision_config=qwen3_vision | {"deepstack_visual_indexes": [0]}, **SPECIAL
        ),
        "smolvlm": SmolVLMConfig(
            text_config=TEXT | {"model_type": "llama"},
            vision_config={
                "hidden_size": 32,
                "intermediate_size": 32,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "image_size": 16,
                "patch_size": 4,
            },
            image_token_id=IMAGE,
        ),
    }


FAMILIES = tuple(configs())
MULTIMODAL = ("qwen2-vl", "qwen2.5-vl", "qwen3-vl")


def build(family: str, dtype: torch.dtype = torch.float32, **changes: Any) -> PreTrainedModel:
    """A model with random weights, the same each time, as it would be loaded in ``dtype``."""
    torch.manual_seed(0)
    config = configs(**changes)[family]
    auto = AutoModelForImageTextToText if hasattr(config, "vision_config") else AutoModelForCausalLM
    model: PreTrainedModel = auto.from_config(config, dtype=dtype)
    return model.eval()


def cache_name(model: PreTrainedModel) -> str:
    """What the cache is called where a forward takes it and gives it back: ``past_key_values`` before 5.24."""
    return next(name for name in ("cache", "past_key_values") if name in inspect.signature(model.forward).parameters)
