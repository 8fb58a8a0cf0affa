"""``hf:MODEL``: a chat model of transformers reads passages, through its own chat template and processor."""

from __future__ import annotations

from typing import Any

import torch

from mm_megacontext.bases.hf.loading import Loaded, load
from mm_megacontext.bases.hf.prompts import inputs_of
from mm_megacontext.bases.replies import read_reply
from mm_megacontext.errors import InvalidReader
from mm_megacontext.passages.context import Context
from mm_megacontext.reading.base import Reading
from mm_megacontext.tree.nodes import Modality

GREEDY = {"do_sample": False, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0}
"""The likeliest token at each step, whatever a model's own settings are: answers repeat what the passages say."""


class HfReader:
    """Satisfies ``TextReader``: any causal or image-text-to-text model of transformers.

    Args:
        model: A directory that ``save_pretrained`` wrote, or a name that the hub or its cache has.
        images: Whether crops of pictures are shown; by default to models that see.
        max_tokens: The longest reply.
        loaded: A model that is loaded already, in the place of ``model``.
        options: For ``from_pretrained``: ``dtype``, ``device_map``, ``quantization_config``, ``revision`` …

    Raises:
        InvalidReader: The model cannot be loaded, or does not see and shall.
        MissingExtra: transformers, or what this model needs, is not installed.
    """

    is_calibrated = False
    budget_unit = "tokens"

    def __init__(
        self,
        model: str = "",
        *,
        images: bool | None = None,
        max_tokens: int = 256,
        loaded: Loaded | None = None,
        **options: Any,
    ) -> None:
        if loaded is None and not model:
            raise InvalidReader("name the model, as in hf:./directory or hf:org/model")
        self._loaded = loaded or load(model, options)
        if images and not self._loaded.sees:
            raise InvalidReader(f"hf:{self._loaded.name} reads text alone; leave images out")
        self._images = self._loaded.sees if images is None else images
        self._max_tokens = max_tokens
        self.modalities: tuple[Modality, ...] = ("text", "image") if self._images else ("text",)

    def __repr__(self) -> str:
        return f"<HfReader {self.id} on {self._loaded.device}>"

    @property
    def id(self) -> str:
        return f"hf:{self._loaded.name}"

    def cost(self, context: Context) -> int:
        """Tokens of the whole prompt, counted by the model's own tokenizer and processor."""
        return int(inputs_of(self._loaded, context, images=self._images)["input_ids"].shape[1])

    @torch.inference_mode()
    def read(self, context: Context) -> Reading:
        """The likeliest reply, token by token; see ``TextReader.read``."""
        loaded = self._loaded
        inputs = inputs_of(loaded, context, images=self._images)
        n = int(inputs["input_ids"].shape[1])
        loaded.check_length(n, self._max_tokens)
        told = {name: value.to(loaded.device) if hasattr(value, "to") else value for name, value in inputs.items()}
        said = loaded.model.generate(**told, max_new_tokens=self._max_tokens, **GREEDY, **self._ends())
        text = loaded.tokenizer.decode(said[0, n:], skip_special_tokens=True)
        return read_reply(text, [part.id for part in context.parts])

    def _ends(self) -> dict[str, Any]:
        """What stands behind the end; only a token of the model's own avoids a warning."""
        config, tokenizer = self._loaded.model.generation_config, self._loaded.tokenizer
        pad = next(
            (id for id in (config.pad_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id) if id is not None), None
        )
        return {} if pad is None else {"pad_token_id": pad}
