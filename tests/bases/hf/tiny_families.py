"""Tiny random models of all families whose vectors are read, and prompts for them with a picture and without."""

from __future__ import annotations

from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    Gemma3Config,
    Gemma3TextConfig,
    Idefics3Config,
    InternVLConfig,
    LlavaConfig,
    LlavaOnevisionConfig,
    MixtralConfig,
    PretrainedConfig,
)

from tests.bases.tiny_transformers import IMAGE, N_TOKENS, TEXT, VISION_START, configs

SIDE = 16
"""Of a picture, in pixels."""
_TOWER = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": 4,
}
_GEMMA = TEXT | {
    "sliding_window": 6,
    "layer_types": ["sliding_attention", "full_attention"],
    "query_pre_attn_scalar": 24,
    "eos_token_id": None,
}
_SIGLIP = _TOWER | {"model_type": "siglip_vision_model", "vision_use_head": False}


def all_configs() -> dict[str, PretrainedConfig]:
    """One per family, by its ``model_type``."""
    known = {config.model_type: config for config in configs().values()}
    qwen2 = TEXT | {"model_type": "qwen2"}
    more = [
        MixtralConfig(**TEXT, num_local_experts=2, sliding_window=6),
        Gemma3TextConfig(**_GEMMA),
        Gemma3Config(
            text_config=_GEMMA,
            vision_config=_SIGLIP,
            mm_tokens_per_image=4,
            image_token_id=IMAGE,
            boi_token_id=VISION_START,
            eoi_token_id=58,
        ),
        Idefics3Config(text_config=TEXT | {"model_type": "llama"}, vision_config=_TOWER, image_token_id=IMAGE),
        LlavaConfig(
            text_config=TEXT | {"model_type": "llama"},
            vision_config=_TOWER | {"model_type": "clip_vision_model", "patch_size": 8},
            image_token_index=IMAGE,
        ),
        LlavaOnevisionConfig(
            text_config=qwen2,
            vision_config=_SIGLIP,
            image_token_id=IMAGE,
            image_grid_pinpoints=[[SIDE, SIDE], [SIDE, 2 * SIDE]],
            vision_feature_select_strategy="full",
        ),
        InternVLConfig(
            text_config=qwen2,
            vision_config=_TOWER | {"image_size": [SIDE, SIDE], "patch_size": [4, 4]},
            image_token_id=IMAGE,
            image_seq_length=4,
        ),
    ]
    return known | {config.model_type: config for config in more}


FAMILIES = tuple(all_configs())
SEEING = tuple(name for name, config in all_configs().items() if hasattr(config, "vision_config"))
READING = tuple(name for name in FAMILIES if name not in SEEING)


def build(family: str) -> Any:
    """A model with random weights, the same each time."""
    torch.manual_seed(0)
    config = all_configs()[family]
    auto = AutoModelForImageTextToText if family in SEEING else AutoModelForCausalLM
    model = auto.from_config(config, dtype=torch.float32).eval()
    for name, weight in model.named_parameters():
        if name.endswith("mm_input_projection_weight"):  # of Gemma 3, zero: pictures would all look the same
            torch.nn.init.normal_(weight, std=0.3)
    return model


def tokens(n: int, seed: int = 0) -> dict[str, Any]:
    """A prompt of text."""
    ids = torch.randint(4, 56, (1, n), generator=torch.Generator().manual_seed(seed))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def with_picture(family: str, seed: int = 0, before: int = 7, after: int = 9) -> dict[str, Any]:
    """A prompt with a picture in it, as the family's processor would make it."""
    noise = torch.Generator().manual_seed(seed)
    told: dict[str, Any] = {}
    n_placeholders = 4
    if family.startswith("qwen"):
        told["pixel_values"] = torch.randn(16, 3 * 2 * 4 * 4, generator=noise)
        told["image_grid_thw"] = torch.tensor([[1, 4, 4]])
    elif family in ("smolvlm", "idefics3"):
        told["pixel_values"] = torch.randn(1, 1, 3, SIDE, SIDE, generator=noise)
    elif family == "llava_onevision":
        told["pixel_values"] = torch.randn(1, 2, 3, SIDE, SIDE, generator=noise)
        told["image_sizes"] = torch.tensor([[SIDE, SIDE]])
        n_placeholders = 16 + 16 + 4  # the whole, its one tile, and the ends of the tile's rows
    else:
        told["pixel_values"] = torch.randn(1, 3, SIDE, SIDE, generator=noise)
    text = tokens(before + after, seed)["input_ids"]
    ids = torch.cat([text[:, :before], torch.full((1, n_placeholders), IMAGE), text[:, before:]], dim=1)
    told |= {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    types = (ids == IMAGE).long()
    if family.startswith("qwen"):
        told["mm_token_type_ids"] = types
    if family == "gemma3":
        told["token_type_ids"] = types
    return told


def prompt(family: str, seed: int = 0) -> dict[str, Any]:
    """With a picture where the family sees."""
    return with_picture(family, seed) if family in SEEING else tokens(20, seed)


assert N_TOKENS == 64
