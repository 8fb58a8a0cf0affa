"""The Qwen-VL families: positions of time, height and width, and features of pictures that enter at several layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mm_megacontext.bases.gaussian_rope import positions_of_ids
from mm_megacontext.bases.hf.boxes import PIXELS, QWEN2, THOUSANDTHS
from mm_megacontext.bases.hf.embedded import Embedded
from mm_megacontext.bases.hf.family import Features, Inputs, SeesPictures
from mm_megacontext.positional import AXES, Positions

_ROWS = [AXES.index(axis) for axis in ("t", "y", "x")]


class Qwen2VL(SeesPictures):
    """A picture lies in the plane at one time; text goes on behind its longer side."""

    boxes = QWEN2

    def positions(self, model: Any, inputs: Inputs, types: Int[Tensor, " entries"]) -> Positions:
        ids, _ = model.model.get_rope_index(
            inputs["input_ids"], mm_token_type_ids=types[None], image_grid_thw=inputs.get("image_grid_thw")
        )
        found = positions_of_ids(ids)
        return Positions(found.mu[0], found.sigma[0])

    def position_ids(self, positions: Positions) -> Int[Tensor, "rows batch entries"]:
        return positions.mu[:, _ROWS].T[:, None].round().long()  # (3, 1, entries)


class Qwen25VL(Qwen2VL):
    """As Qwen2-VL, with boxes in pixels of the picture as it was resized."""

    boxes = PIXELS


class Qwen3VL(Qwen2VL):
    """Features are also added to what the first layers make of the pictures: the decoder takes them by hand."""

    boxes = THOUSANDTHS

    def features(self, model: Any, inputs: Inputs) -> Features:
        seen = self._seen(model, inputs)
        deep = torch.stack([self._flat(layer) for layer in seen.deepstack_features])
        return Features(self._flat(seen.pooler_output), deep)

    def logits(
        self, model: Any, whole: Embedded, begin: int, kept: Int[Tensor, " kept"], arguments: Mapping[str, Any]
    ) -> Float[Tensor, "kept vocabulary"]:
        part = whole.since(begin)
        seen = part.image >= 0
        deep = [] if part.deep is None or not bool(seen.any()) else [layer[seen] for layer in part.deep]
        pictures = {"visual_pos_masks": seen[None], "deepstack_visual_embeds": deep} if deep else {}
        decoder = model.get_decoder()
        hidden = decoder(inputs_embeds=part.vectors[None], **arguments, **pictures).last_hidden_state
        found: Tensor = model.get_output_embeddings()(hidden[0, kept])
        return found
