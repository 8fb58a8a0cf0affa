"""Visual towers of open_clip: its own transformers and ResNets, and those it borrows from timm."""

from __future__ import annotations

from typing import Any

import open_clip
from torch import Tensor

from mm_megacontext.errors import UnsupportedModel, WeightsUnavailable
from mm_megacontext.vision.encoders.preprocess import Preprocess
from mm_megacontext.vision.encoders.registry import TowerOptions
from mm_megacontext.vision.encoders.timm_tower import resize_input
from mm_megacontext.vision.encoders.tower import Tower, choose_side
from mm_megacontext.vision.encoders.weights import checkpoint, loading
from mm_megacontext.weights import seeded

_SMALLEST_TEXT = {"context_length": 2, "vocab_size": 2, "width": 64, "heads": 1, "layers": 1}
"""Of random weights nobody needs the text side, which is as large as the visual one."""
_RESNET_STRIDE = 32


def load(model: str, options: TowerOptions) -> Tower:
    """The visual side of ``model``; its features are the last map before pooling, normalised as for it.

    Args:
        model: A name of ``open_clip.list_models()``.
        options: Weights and input size. ``pretrained`` may be a tag; True is enough where there is one tag only.

    Raises:
        ValueError: open_clip has no such model, or several weights for it, or it cannot take ``options.input_px``.
        WeightsUnavailable: The weights cannot be had.
        UnsupportedModel: It has no map of features.
    """
    spec = f"open_clip:{model}"
    config = open_clip.get_model_config(model)
    if config is None:
        raise ValueError(f"open_clip has no model {model!r}; list those it has with: mmctx encoders 'open_clip:*'")
    visual, side = _create_sized(spec, model, options, config)
    if not hasattr(visual, "forward_intermediates"):
        raise UnsupportedModel(f"{spec}: {type(visual).__name__} has no forward_intermediates, so no map of features")
    found = visual.preprocess_cfg
    preprocess = Preprocess(tuple(found["mean"]), tuple(found["std"]), found["interpolation"])

    def feature_map(images: Tensor) -> Tensor:
        made = visual.forward_intermediates(
            images, indices=1, normalize_intermediates=True, intermediates_only=True, output_fmt="NCHW"
        )
        features: Tensor = made["image_intermediates"][-1].permute(0, 2, 3, 1)
        return features

    return Tower(spec=spec, module=visual, feature_map=feature_map, input_px=side, preprocess=preprocess)


def catalogue() -> dict[str, list[str]]:
    """Every model of open_clip, and the tags of its pretrained weights."""
    return {name: list(open_clip.list_pretrained_tags_by_model(name)) for name in open_clip.list_models()}


def _create_sized(spec: str, model: str, options: TowerOptions, config: dict[str, Any]) -> tuple[Any, int]:
    """The visual side, and the side of the images it takes."""
    vision = config["vision_cfg"]
    if "timm_model_name" in vision:
        visual = _create(spec, model, options, config)
        return visual, resize_input(spec, visual.trunk, options.input_px, own=int(vision["image_size"]))
    if isinstance(vision["layers"], list):  # of a ResNet; maps of any size go through it
        return _create(spec, model, options, config), choose_side(spec, _RESNET_STRIDE, options.input_px)
    side = choose_side(spec, int(vision.get("patch_size", 16)), options.input_px)
    # Position embeddings of a transformer are resampled as they are loaded.
    return _create(spec, model, options, config, force_image_size=side), side


def _create(spec: str, model: str, options: TowerOptions, config: dict[str, Any], **changes: Any) -> Any:
    weights = None if options.pretrained is False else _weights(spec, model, options)
    if weights is None and "multimodal_cfg" not in config:
        changes["text_cfg"] = _SMALLEST_TEXT
    with seeded(options.seed), loading(spec, options.pretrained):
        return open_clip.create_model(model, pretrained=weights, **changes).visual


def _weights(spec: str, model: str, options: TowerOptions) -> str:
    """A tag or the path of a checkpoint."""
    tags = open_clip.list_pretrained_tags_by_model(model)
    if options.pretrained is True:
        if not tags:
            raise WeightsUnavailable(f"{spec} has no weights of its own; pass pretrained=PATH or pretrained=False")
        if len(tags) > 1:
            raise ValueError(f"{spec} has several weights; pass pretrained=TAG with one of: {', '.join(tags)}")
        return str(tags[0])
    assert options.pretrained is not None
    name = str(options.pretrained)
    return name if name in tags else str(checkpoint(spec, name))
