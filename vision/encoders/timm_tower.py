"""Backbones of timm as towers: any model by name, transformers and convolutional ones alike."""

from __future__ import annotations

import functools
import itertools
import warnings
from typing import Any

import timm
import timm.data
import timm.models
from torch import Tensor, nn

from mm_megacontext.errors import UnsupportedModel
from mm_megacontext.vision.encoders.preprocess import Preprocess
from mm_megacontext.vision.encoders.registry import TowerOptions
from mm_megacontext.vision.encoders.tower import Tower, choose_side, why_not
from mm_megacontext.vision.encoders.weights import check_all_loaded, checkpoint, loading
from mm_megacontext.weights import seeded

_HARMLESS = ("torch.searchsorted", "Using a non-tuple sequence for multidimensional indexing")
"""What torch warns of while timm resamples the position biases of windows: that it is slow, and that it will one day
raise an error (the shapes would not fit)."""


def load(model: str, options: TowerOptions) -> Tower:
    """The backbone ``model``; its features are the last map of timm's ``forward_intermediates``, normalised.

    Of transformers that is ``forward_features`` without prefix tokens, of ConvNeXt and Swin all of it. EfficientNets
    and some others go on in ``forward_features`` and make another, wider map for their classifier.

    Args:
        model: A name of ``timm.list_models()``, with or without a tag of pretrained weights; or ``hf-hub:…`` or
            ``local-dir:…`` of timm.
        options: Weights and input size.

    Raises:
        ValueError: timm has no such model, or it cannot take ``options.input_px``.
        WeightsUnavailable: The weights cannot be had.
        UnsupportedModel: It has no map of features.
    """
    spec = f"timm:{model}"
    if ":" not in model and not timm.is_model(model):
        raise ValueError(f"timm has no model {model!r}; list those it has with: mmctx encoders 'timm:*'")
    net = _create(spec, model, options)
    if not hasattr(net, "forward_intermediates"):
        raise UnsupportedModel(f"{spec}: {type(net).__name__} has no forward_intermediates, so no map of features")
    config = timm.data.resolve_model_data_config(net)
    preprocess = Preprocess(tuple(config["mean"]), tuple(config["std"]), config["interpolation"])
    own = int(config["input_size"][-1])
    sides = [resize_input(spec, net, options.input_px, own)]
    if options.input_px is None and not hasattr(net, "set_input_size"):
        sides.append(own)
    for side, is_normalised in itertools.product(sides, (True, False)):
        feature_map = functools.partial(_last_map, net, is_normalised)
        reason = why_not(net, feature_map, side)
        if reason is None:
            known = f"timm:{net.pretrained_cfg['architecture']}" if ":" in model else spec
            return Tower(spec=known, module=net, feature_map=feature_map, input_px=side, preprocess=preprocess)
    tried = " or ".join(map(str, dict.fromkeys(sides)))
    raise UnsupportedModel(f"{spec} makes no map of features of images of {tried} pixels: {reason}")


def _last_map(net: Any, is_normalised: bool, images: Tensor) -> Tensor:
    """(batch, rows, columns, dim); a few models leave the normalisation to their classifier and refuse it here."""
    (last,) = net.forward_intermediates(
        images, indices=1, norm=is_normalised, output_fmt="NCHW", intermediates_only=True
    )
    features: Tensor = last.permute(0, 2, 3, 1)
    return features


def catalogue() -> dict[str, list[str]]:
    """Every model of timm, and the tags of its pretrained weights."""
    found: dict[str, list[str]] = {name: [] for name in timm.list_models()}
    for name in timm.list_pretrained():
        model, _, tag = name.partition(".")
        found.setdefault(model, []).append(tag)
    return found


def _create(spec: str, model: str, options: TowerOptions) -> Any:
    pretrained = options.pretrained
    if isinstance(pretrained, bool):
        return _create_seeded(spec, model, options, pretrained=pretrained)
    assert pretrained is not None
    path = checkpoint(spec, pretrained)
    with loading(spec, pretrained):
        if path.suffix == ".npz":  # of JAX, which each model of timm reads by itself
            overlay: dict[str, Any] = {"file": str(path), "custom_load": True}
        else:
            overlay = {"state_dict": timm.models.load_state_dict(str(path), weights_only=True)}
    net = _create_seeded(spec, model, options, pretrained=True, pretrained_cfg_overlay=overlay)
    check_all_loaded(spec, path, net, _create_seeded(spec, model, options, pretrained=False))
    return net


def _create_seeded(spec: str, model: str, options: TowerOptions, **how: Any) -> nn.Module:
    with seeded(options.seed), loading(spec, options.pretrained):
        net: nn.Module = timm.create_model(model, num_classes=0, **how)
    return net


def resize_input(spec: str, net: Any, wanted: int | None, own: int) -> int:
    """Prepare a model of timm for images of the size of tiles.

    Args:
        spec: Its name, for messages.
        net: The model.
        wanted: ``TowerOptions.input_px``.
        own: Side of the images it was made for.

    Returns:
        Side of the images it takes from now on.
    """
    side = choose_side(spec, int(net.feature_info[-1]["reduction"]), wanted)
    if hasattr(net, "set_input_size"):
        with warnings.catch_warnings():
            for message in _HARMLESS:
                warnings.filterwarnings("ignore", message, UserWarning)
            net.set_input_size(img_size=(side, side))
    elif (net.pretrained_cfg or {}).get("fixed_input_size", False) and side != own:
        if wanted is not None:
            raise ValueError(f"{spec} takes images of {own} pixels only, input_px is {wanted}")
        side = own
    return side
