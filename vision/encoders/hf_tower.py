"""Vision models of transformers, and the vision towers of its vision-language models."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel, ImageProcessingMixin

from mm_megacontext.errors import UnsupportedModel, WeightsUnavailable
from mm_megacontext.vision.encoders.preprocess import Preprocess
from mm_megacontext.vision.encoders.registry import TowerOptions
from mm_megacontext.vision.encoders.tower import TILE_PX, Tower, choose_side, drop_prefix, why_not
from mm_megacontext.vision.encoders.weights import loading
from mm_megacontext.weights import seeded

_RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Numbers of Pillow, which image processors store."""
_TOWER_NAMES = ("vision_tower", "visual", "vision_model", "vision_encoder", "image_tower")
"""What transformers calls the part of a model that sees (``PreTrainedModel.get_encoder`` of version 5)."""
_OF_RANDOM = Preprocess((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic")
"""For random weights of a config that comes without an image processor: there is nothing they were trained with."""


def load(model: str, options: TowerOptions) -> Tower:
    """The vision model in ``model``, or the vision tower of the vision-language model there.

    Features are its last hidden state without class and register tokens; of towers that merge patches (Qwen-VL and
    those built like it), what they merge them to.

    Args:
        model: A directory with config.json, or a name on the Hub.
        options: Weights (True: those of ``model``; False: random ones of its config) and input size.

    Raises:
        ValueError: ``options.pretrained`` is a path: that belongs into the name.
        WeightsUnavailable: There is no such model, or its weights are not whole.
        UnsupportedModel: It takes other inputs than images, or gives no map of features.
    """
    spec = f"hf:{model}"
    if not isinstance(options.pretrained, bool):
        raise ValueError(f"{spec}: the path of the weights is the name; pass pretrained=True or pretrained=False")
    net = _pretrained(spec, model) if options.pretrained else _random(spec, model, options.seed)
    takes = inspect.signature(net.forward).parameters
    preprocess = _preprocess(spec, model, is_random=not options.pretrained)
    if "grid_thw" in takes:
        return _merging_tower(spec, net, options, preprocess)
    if "pixel_values" in takes:
        return _plain_tower(spec, net, options, preprocess)
    raise UnsupportedModel(f"{spec}: {type(net).__name__} takes {', '.join(takes)}, and no images")


def catalogue() -> dict[str, list[str]]:
    """Nothing: transformers has no list of models; any directory or name on the Hub will do."""
    return {}


def _pretrained(spec: str, model: str) -> Any:
    with loading(spec, True):
        whole, info = AutoModel.from_pretrained(model, output_loading_info=True)
    prefix, net = _find_tower(whole)
    missing = sorted(key for key in info["missing_keys"] if key.startswith(prefix))
    if missing:
        raise WeightsUnavailable(
            f"{spec}: its checkpoint does not hold {len(missing)} of its weights, {missing[0]} among them; "
            "pass pretrained=False for random weights"
        )
    return net.float()


def _find_tower(whole: Any) -> tuple[str, Any]:
    """The part of a model that sees, with its name in it; the model itself if nothing in it is called so."""
    found = (one for one in whole.named_modules() if one[0].rpartition(".")[2] in _TOWER_NAMES)
    return next(found, ("", whole))


def _random(spec: str, model: str, seed: int) -> Any:
    try:
        config = AutoConfig.from_pretrained(model)
    except (OSError, ValueError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise WeightsUnavailable(
            f"{spec}: no config there ({first_line}); pass a directory with config.json"
        ) from error
    with seeded(seed):
        return AutoModel.from_config(getattr(config, "vision_config", config)).float()


def _preprocess(spec: str, model: str, *, is_random: bool) -> Preprocess:
    try:
        found, _ = ImageProcessingMixin.get_image_processor_dict(model)
    except OSError as error:
        if is_random:
            return _OF_RANDOM
        raise WeightsUnavailable(
            f"{spec}: no preprocessor_config.json says how its images are normalised; put the model's own there"
        ) from error
    mean, std = (tuple(found.get(key) or (0.5, 0.5, 0.5)) for key in ("image_mean", "image_std"))
    resample = found.get("resample", 3)
    return Preprocess(mean, std, _RESAMPLE.get(resample, str(resample)))


def _plain_tower(spec: str, net: Any, options: TowerOptions, preprocess: Preprocess) -> Tower:
    """A model that takes images of a fixed or of any size."""
    patch = _square(net.config.patch_size)
    own = _square(getattr(net.config, "image_size", TILE_PX))
    wanted = choose_side(spec, patch, options.input_px)
    resampled = {"interpolate_pos_encoding": True}
    extra = resampled if "interpolate_pos_encoding" in inspect.signature(net.forward).parameters else {}

    def feature_map(images: Tensor) -> Tensor:
        how = extra if images.shape[-1] != own else {}
        found: Tensor = net(pixel_values=images, **how).last_hidden_state
        if found.dim() == 4:
            return found.permute(0, 2, 3, 1)
        return drop_prefix(found, (images.shape[-1] // patch,) * 2)

    side = own if why_not(net, feature_map, wanted) else wanted
    if options.input_px not in (None, side):
        raise ValueError(f"{spec} takes images of {own} pixels only, input_px is {options.input_px}")
    return Tower(
        spec=f"hf:{net.config.model_type}", module=net, feature_map=feature_map, input_px=side, preprocess=preprocess
    )


def _merging_tower(spec: str, net: Any, options: TowerOptions, preprocess: Preprocess) -> Tower:
    """A model that takes patches of images of any size and merges squares of them, as Qwen2-VL and its successors."""
    config = net.config
    patch, merge, frames = config.patch_size, config.spatial_merge_size, config.temporal_patch_size
    unit = patch * merge
    side = choose_side(spec, unit, options.input_px)
    n = side // unit

    def feature_map(images: Tensor) -> Tensor:
        # The order of Qwen2VLImageProcessor: squares of merged patches row by row, and in each its patches row by row.
        squares = images.reshape(len(images), 3, n, merge, patch, n, merge, patch).permute(0, 2, 5, 3, 6, 1, 4, 7)
        flat = squares[:, :, :, :, :, :, None].expand(*squares.shape[:6], frames, patch, patch)
        patches = flat.reshape(len(images) * (n * merge) ** 2, -1)
        grid = torch.tensor([[1, n * merge, n * merge]] * len(images), device=images.device)
        made = net(patches, grid_thw=grid)
        merged: Tensor = made if isinstance(made, Tensor) else made.pooler_output  # of transformers 4, or of 5
        return merged.reshape(len(images), n, n, -1)

    return Tower(
        spec=f"hf:{net.config.model_type}", module=net, feature_map=feature_map, input_px=side, preprocess=preprocess
    )


def _square(size: Any) -> int:
    """The side of a size that configs give as one number or two."""
    return int(size if isinstance(size, int) else size[0])
