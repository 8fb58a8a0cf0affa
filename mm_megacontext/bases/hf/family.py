"""What differs between families of models of transformers, for those who give them vectors in the place of tokens.

``Family`` serves every decoder of text that has nothing peculiar: Llama 3 and SmolLM2, Mistral, Mixtral, Qwen2, Qwen3,
Gemma 3. The others derive from it and hold no more than their own differences.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mm_megacontext.bases.hf.boxes import GEMMA, INTERNVL, BoxFormat
from mm_megacontext.bases.hf.embedded import Embedded
from mm_megacontext.errors import UnsupportedModel
from mm_megacontext.positional import Positions

Inputs = Mapping[str, Any]
"""What a processor or tokenizer of transformers returns, with a batch of one."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What a vision tower makes of the pictures of a prompt, in the order of their placeholders.

    Attributes:
        vectors: One per placeholder.
        deep: What else is added to them behind each of the first layers, or None.
    """

    vectors: Float[Tensor, "placeholders dim"]
    deep: Float[Tensor, "layers placeholders dim"] | None = None


class Family:
    """Decoders with positions on one axis.

    Attributes:
        boxes: How the family writes boxes in words, if it was trained to.
    """

    boxes: BoxFormat | None = None

    def check(self, config: Any) -> None:
        """Refuse a member of the family that vectors cannot be given to.

        Raises:
            UnsupportedModel: And why.
        """
        text = config.get_text_config()
        kinds = set(getattr(text, "layer_types", None) or ()) - {"full_attention", "sliding_attention"}
        if kinds:
            raise UnsupportedModel(
                f"{config.model_type} has layers of {', '.join(sorted(kinds))}: what they remember depends on all that "
                "was read before, and cannot be cut again; read it in chat mode (hf:)"
            )

    def placeholders(self, config: Any, ids: Int[Tensor, " entries"]) -> Bool[Tensor, " entries"]:
        """Where pictures stand."""
        return torch.zeros_like(ids, dtype=torch.bool)

    def features(self, model: Any, inputs: Inputs) -> Features:
        """What the pictures of the inputs become. Asked only where there are placeholders."""
        raise UnsupportedModel(f"{model.config.model_type} reads text alone")

    def positions(self, model: Any, inputs: Inputs, types: Int[Tensor, " entries"]) -> Positions:
        """Where the model itself puts the tokens; ``types`` is 1 for placeholders of pictures, else 0."""
        return Positions.tokens(len(types), device=types.device)

    def position_ids(self, positions: Positions) -> Int[Tensor, "*rows batch entries"]:
        """As a forward takes them; whole numbers."""
        return positions.mu[None, :, 0].round().long()

    def logits(
        self, model: Any, whole: Embedded, begin: int, kept: Int[Tensor, " kept"], arguments: Mapping[str, Any]
    ) -> Float[Tensor, "kept vocabulary"]:
        """One forward.

        Args:
            model: Of this family.
            whole: All that is read, what the cache holds already included.
            begin: What of ``whole`` the cache holds.
            kept: The new entries whose logits are wanted, counted from ``begin``.
            arguments: Of the forward besides vectors: positions, mask and cache.
        """
        part = whole.since(begin)
        told = {**arguments, **self.extras(whole, begin)}
        found: Tensor = model(inputs_embeds=part.vectors[None], logits_to_keep=kept, **told).logits[0]
        return found

    def extras(self, whole: Embedded, begin: int) -> dict[str, Any]:
        """Further arguments of the forward."""
        return {}


class SeesPictures(Family):
    """Pictures whose features stand in the place of tokens: SmolVLM, Idefics3, LLaVA, LLaVA-OneVision."""

    def placeholders(self, config: Any, ids: Int[Tensor, " entries"]) -> Bool[Tensor, " entries"]:
        found: Tensor = ids == config.image_token_id
        return found

    def features(self, model: Any, inputs: Inputs) -> Features:
        return Features(self._flat(self._seen(model, inputs).pooler_output))

    def _seen(self, model: Any, inputs: Inputs) -> Any:
        takes = inspect.signature(model.get_image_features).parameters
        given = {name: value for name, value in inputs.items() if name in takes}
        return model.get_image_features(**given, return_dict=True)

    @staticmethod
    def _flat(found: Any) -> Float[Tensor, "placeholders dim"]:
        """One row per placeholder, whether they come together, tile by tile, or picture by picture."""
        parts = found if isinstance(found, list | tuple) else [found]
        return torch.cat([part.reshape(-1, part.shape[-1]) for part in parts])


class InternVL(SeesPictures):
    """As the others, with boxes between tags."""

    boxes = INTERNVL


class Gemma3(SeesPictures):
    """Within a picture every entry sees all of it, so the model must be told which entries are one."""

    boxes = GEMMA

    def extras(self, whole: Embedded, begin: int) -> dict[str, Any]:
        types = (whole.image >= 0).long()
        return {"token_type_ids": types[None]} if bool(types[begin:].any()) else {}
