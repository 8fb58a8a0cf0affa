"""``hf-embed:MODEL``: a model of transformers reads passages as vectors, and what is not open as gists among them.

It reads the memory of any model: leaves are tokenised anew, and gists made anew, in the model's own space, of the texts
of what is not open. Where these are not read (pictures, whole documents) a line of words says what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args
from uuid import uuid4

import torch
from jaxtyping import Float
from torch import Tensor

from mm_megacontext.bases.hf.decoder import Decoder, Placement, cut_back
from mm_megacontext.bases.hf.embedded import Embedded
from mm_megacontext.bases.hf.family import Inputs
from mm_megacontext.bases.hf.gists import GIST, gist_token, mean_gist
from mm_megacontext.bases.hf.loading import Loaded, load
from mm_megacontext.bases.hf.prompts import inputs_of
from mm_megacontext.bases.hf.refocus import Refocus
from mm_megacontext.bases.replies import read_reply
from mm_megacontext.errors import InvalidReader
from mm_megacontext.passages.context import Context
from mm_megacontext.passages.parts import Collapsed, Gap
from mm_megacontext.passages.rendering import gap_line
from mm_megacontext.reading.base import Reading
from mm_megacontext.tree.nodes import Modality

Gists = Literal["none", "mean"]
"""What stands for text that is not open besides the line that says where it is."""


class HfEmbeddingReader:
    """Satisfies ``TextReader``. It remembers what it read last: of a context that begins alike only the rest is read.

    Args:
        model: A directory that ``save_pretrained`` wrote, or a name that the hub or its cache has.
        images: Whether crops of pictures are shown; by default to models that see.
        max_tokens: The longest reply.
        gists: Whether what is not open has gists.
        placement: Where entries stand behind gists.
        loaded: A model that is loaded already, in the place of ``model``; its tokenizer gets a token more.
        options: For ``from_pretrained``: ``dtype``, ``device_map``, ``quantization_config``, ``revision`` …

    Raises:
        InvalidReader: The model cannot be loaded, or an option does not fit it.
        UnsupportedModel: It is of no family that takes vectors; the message says why.
        MissingExtra: transformers, or what this model needs, is not installed.
    """

    is_calibrated = False
    budget_unit = "embeddings"

    def __init__(
        self,
        model: str = "",
        *,
        images: bool | None = None,
        max_tokens: int = 256,
        gists: Gists = "none",
        placement: Placement = "compact",
        loaded: Loaded | None = None,
        **options: Any,
    ) -> None:
        for name, value, known in (("gists", gists, Gists), ("placement", placement, Placement)):
            if value not in get_args(known):
                raise InvalidReader(f"{name} must be one of {', '.join(get_args(known))}, got {value!r}")
        if loaded is None and not model:
            raise InvalidReader("name the model, as in hf-embed:./directory or hf-embed:org/model")
        self._loaded = loaded or load(model, options)
        if images and not self._loaded.sees:
            raise InvalidReader(f"hf-embed:{self._loaded.name} reads text alone; leave images out")
        self._images = self._loaded.sees if images is None else images
        self._decoder = Decoder(self._loaded.model, placement=placement)
        if gists != "none" and not self._decoder.has_spreads:
            raise InvalidReader(
                f"hf-embed:{self._loaded.name}: the phases of this model cannot be replaced, so that its gists have no "
                "spread; ask with gists='none'"
            )
        self._refocus = Refocus(self._decoder)
        self._gists: Gists = gists
        self._gist_id = gist_token(self._loaded.tokenizer)
        self._mark = uuid4().hex  # keeps a gist's place in text; no document can know it
        self._max_tokens = max_tokens
        self.modalities: tuple[Modality, ...] = ("text", "image") if self._images else ("text",)

    def __repr__(self) -> str:
        return f"<HfEmbeddingReader {self.id} on {self._loaded.device}>"

    @property
    def id(self) -> str:
        return f"hf-embed:{self._loaded.name}/gists={self._gists}/placement={self._decoder.placement}"

    def cost(self, context: Context) -> int:
        """Embeddings of the whole prompt: tokens, parts of pictures, gists."""
        return len(self._prompt(context))

    def read(self, context: Context) -> Reading:
        """The likeliest reply, token by token; see ``TextReader.read``."""
        said = self._refocus.generate(self.embed(context), self._max_tokens, self._loaded.ends)
        return self._reading(said, context)

    @torch.inference_mode()
    def read_all(self, contexts: Sequence[Context]) -> list[Reading]:
        """As ``read`` of one after the other; what is before the replies is read in one packed forward."""
        from mm_megacontext.bases.hf.packed import prefill  # registers a way of attention with transformers

        embedded = [self.embed(context) for context in contexts]
        found = []
        for context, whole, (_, cache) in zip(contexts, embedded, prefill(self._decoder, embedded), strict=True):
            cut_back(cache, len(whole) - 1)  # the last entry is read again: it says what follows
            said = self._decoder.generate(whole, self._max_tokens, self._loaded.ends, cache)
            found.append(self._reading(said, context))
        return found

    @torch.inference_mode()
    def token_logprobs(self, context: Context, target: str) -> Float[Tensor, " tokens"]:
        """How likely the model would say a text, token by token; natural logarithms.

        The difference between two contexts says what one of them is worth to that text.

        Args:
            context: What is read before it.
            target: Any text; not empty.
        """
        ids = self._loaded.tokenizer(target, add_special_tokens=False, return_tensors="pt")["input_ids"][0]
        if not len(ids):
            raise ValueError("the target has no tokens; give a text that is not empty")
        before = self.embed(context)
        whole = before.followed_by(self._decoder.embed_tokens(ids))
        kept = torch.arange(len(before) - 1, len(whole) - 1)
        logprobs = self._decoder.logits(whole, kept=kept).float().log_softmax(dim=-1)
        return logprobs.gather(1, ids.to(logprobs.device)[:, None])[:, 0].cpu()

    @torch.inference_mode()
    def embed(self, context: Context) -> Embedded:
        """The entries that the model reads of a context.

        Raises:
            ReaderFailed: They are more than it was made for.
        """
        prompt, tokenizer = self._prompt(context), self._loaded.tokenizer
        self._loaded.check_length(len(prompt), self._max_tokens)
        gists = [mean_gist(self._decoder, tokenizer, node.find_texts()) for node in prompt.nodes]
        return self._decoder.embed(prompt.inputs, gists, self._gist_id)

    def _reading(self, said: Sequence[int], context: Context) -> Reading:
        text = self._loaded.tokenizer.decode(said, skip_special_tokens=True)
        return read_reply(text, [part.id for part in context.parts])

    def _prompt(self, context: Context) -> _Prompt:
        nodes: list[Collapsed] = []

        def line_of(gap: Gap) -> str:
            known = [] if self._gists == "none" else [node for node in gap.nodes if node.find_texts()]
            nodes.extend(known)
            return gap_line(gap) + (f", in short: {len(known) * self._mark}" if known else "")

        def finish(text: str) -> str:
            return text.replace(self._mark, GIST)

        inputs = inputs_of(self._loaded, context, images=self._images, line_of=line_of, finish=finish)
        return _Prompt(inputs, tuple(nodes))


@dataclass(frozen=True, slots=True, eq=False)
class _Prompt:
    """Inputs with places for gists, and the nodes that these are of, in order."""

    inputs: Inputs
    nodes: tuple[Collapsed, ...]

    def __len__(self) -> int:
        return int(self.inputs["input_ids"].shape[1])
