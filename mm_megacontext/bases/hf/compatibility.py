"""Whether a model of transformers reads vectors as it reads its own tokens: what ``mmctx port-model`` tries.

Every check asks the model itself for the oracle: its logits for the same prompt, its ``generate``, one context alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from mm_megacontext.bases.hf.boxes import BoxFormat
from mm_megacontext.bases.hf.decoder import Decoder
from mm_megacontext.bases.hf.embedded import Embedded
from mm_megacontext.bases.hf.embedding_reader import HfEmbeddingReader
from mm_megacontext.bases.hf.families import family_of
from mm_megacontext.bases.hf.loading import Loaded
from mm_megacontext.bases.hf.packed import prefill
from mm_megacontext.bases.hf.prompts import inputs_of
from mm_megacontext.bases.hf.reader import GREEDY
from mm_megacontext.bases.hf.refocus import Refocus
from mm_megacontext.document import Box, Unit
from mm_megacontext.errors import first_words
from mm_megacontext.passages.context import Context
from mm_megacontext.passages.parts import Collapsed, Gap, Passage
from mm_megacontext.passages.words import PassageWord
from mm_megacontext.tree.nodes import NodeId

SAME = {torch.float32: 1e-4, torch.float16: 0.02, torch.bfloat16: 0.15}
"""How far logits of the same entries may lie apart, in standard deviations of all logits but at least in logits, by
precision: their sums come in another order."""
N_NEW = 16
"""Tokens that are generated."""
N_SIZES = 200
"""Sizes of pictures whose boxes are written and read again."""
HALF_PATCH = 14.0
"""Pixels of the picture as the model sees it: no family makes one vector of less than 28 by 28."""

_UNIT: Unit = "pt"
_BOX: Box = (0.0, 0.0, 100.0, 10.0)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried.

    Attributes:
        name: What must hold.
        passed: Whether it does.
        detail: What was measured, or what went wrong.
    """

    name: str
    passed: bool
    detail: str


def check_all(loaded: Loaded) -> Iterator[Check]:
    """Try one thing after the other; what raises an error has not passed.

    Raises:
        UnsupportedModel: The model is of no family that takes vectors.
    """
    family_of(loaded.model.config)
    tried = _Tried(loaded)
    for name, check in tried.checks():
        try:
            with torch.inference_mode():
                passed, detail = check()
        except Exception as error:  # the code of any model may raise anything
            passed, detail = False, first_words(error)
        yield Check(name, passed, detail)


class _Tried:
    """The checks of one model."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._reader = HfEmbeddingReader(loaded=loaded)
        self._decoder = Decoder(loaded.model)

    def checks(self) -> Iterator[tuple[str, Callable[[], tuple[bool, str]]]]:
        """Names, and what is done."""
        yield "a context at LOD 0 gives the model's own logits", lambda: self._own_logits(_TEXT)
        if self._loaded.sees:
            yield "so does one with a picture", lambda: self._own_logits(_SEEN)
        yield "what is generated is what generate gives", self._generates
        yield "gists can have a spread, and it counts", self._spreads
        yield "a gist changes nothing before it", self._is_causal
        yield "contexts in one forward equal them one by one", self._packs
        yield "what was read before need not be read again", self._refocuses
        if (form := self._decoder.family.boxes) is not None:
            yield "boxes are read as they were written", lambda: _boxes(form)

    def _own_logits(self, context: Context) -> tuple[bool, str]:
        own = self._loaded.model(**self._inputs(context)).logits[0]
        return self._compare(self._logits(self._reader.embed(context)), own)

    def _generates(self) -> tuple[bool, str]:
        context = _SEEN if self._loaded.sees else _TEXT
        inputs, whole = self._inputs(context), self._reader.embed(context)
        options = {"max_new_tokens": N_NEW, "pad_token_id": 0, **GREEDY}
        own = self._loaded.model.generate(**inputs, **options)[0, inputs["input_ids"].shape[1] :].tolist()
        own = [token for token in own if token not in self._loaded.ends]
        found = self._decoder.generate(whole, N_NEW, self._loaded.ends)
        n = next((i for i, (a, b) in enumerate(zip(found, own, strict=False)) if a != b), min(len(found), len(own)))
        return found == own, f"{n} of {len(own)} tokens"

    def _spreads(self) -> tuple[bool, str]:
        if not self._decoder.has_spreads:
            return False, "its phases cannot be replaced; read it with gists='none'"
        few, many = (self._logits(self._with_gist(words))[-1] for words in ("one two", 60 * "one two "))
        off = float((few - many).abs().max())
        return off > 0, f"logits move by {off:.2g}"

    def _is_causal(self) -> tuple[bool, str]:
        near, far = self._with_gist("one two three"), self._with_gist("seven seas")
        n = near.common(far)
        before, other = self._logits(near), self._logits(far)
        same, detail = self._compare(before[:n], other[:n])
        moved = float((before[-1] - other[-1]).abs().max())
        return same and moved > 0, f"{detail} before it, {moved:.2g} behind"

    def _packs(self) -> tuple[bool, str]:
        contexts = [self._reader.embed(_TEXT), self._with_gist("one two three"), self._reader.embed(_OTHER)]
        if self._loaded.sees:
            contexts.append(self._reader.embed(_SEEN))
        alone = torch.stack([self._logits(context)[-1] for context in contexts])
        together = torch.stack([logits for logits, _ in prefill(self._decoder, contexts)])
        return self._compare(together, alone)

    def _refocuses(self) -> tuple[bool, str]:
        refocus = Refocus(self._decoder)
        steps = [self._reader.embed(context) for context in (_TEXT, _OTHER, _TEXT)]
        equal = [refocus.generate(step, N_NEW, ()) == self._decoder.generate(step, N_NEW, ()) for step in steps]
        return all(equal) and refocus.reused > 0, f"{refocus.reused} of {len(steps[-1])} entries reused"

    def _with_gist(self, words: str) -> Embedded:
        node = Collapsed(
            source="a.txt", page=2, last_page=2, bbox=_BOX, unit=_UNIT, kind="text", heading="", lod=1, n_leaves=9,
            is_image=False, node=NodeId(1, 1), find_texts=lambda: (words,),
        )  # fmt: skip
        context = Context(question=_TEXT.question, parts=(*_TEXT.parts, Gap(id="g1", nodes=(node,))))
        return HfEmbeddingReader(loaded=self._loaded, gists="mean").embed(context)

    def _inputs(self, context: Context) -> dict[str, Tensor]:
        device = self._loaded.device
        return {name: value.to(device) for name, value in inputs_of(self._loaded, context, images=True).items()}

    def _logits(self, whole: Embedded) -> Tensor:
        return self._decoder.logits(whole, kept=torch.arange(len(whole)))

    def _compare(self, found: Tensor, own: Tensor) -> tuple[bool, str]:
        off = float((found - own).abs().max()) / max(1.0, float(own.float().std()))
        return off <= SAME.get(own.dtype, 0.0), f"off by {off:.2g} at most"


def _boxes(form: BoxFormat) -> tuple[bool, str]:
    drawn = torch.rand(N_SIZES, 6, generator=torch.Generator().manual_seed(0)).tolist()
    worst = 0.0
    for width, height, *edges in drawn:
        size = (28 + int(4000 * width), 28 + int(4000 * height))
        shrunk = min(1.0, 1024 / max(size))
        resized = (max(28, round(size[0] * shrunk / 28) * 28), max(28, round(size[1] * shrunk / 28) * 28))
        (x0, x1), (y0, y1) = sorted(edges[:2]), sorted(edges[2:])
        box = (x0 * size[0], y0 * size[1], x1 * size[0], y1 * size[1])
        found = form.read(form.write(box, size, resized), size, resized)
        scales = 2 * (resized[0] / size[0], resized[1] / size[1])
        off = [abs(a - b) * s for a, b, s in zip(found or (), box, scales, strict=found is not None)]
        worst = max(worst, *off) if off else float("inf")
    return worst <= HALF_PATCH, f"{form.name}: off by {worst:.2g} px at most, in {N_SIZES} sizes"


def _passage(id: str, text: str, image: Image.Image | None = None) -> Passage:
    words = [PassageWord(word, _BOX, "text", False) for word in text.split()]
    return Passage(
        id=id, source="a.txt", page=1, bbox=_BOX, unit=_UNIT, kind="text" if image is None else "image", headings=(),
        score=0.5, nodes=(NodeId(1, 0),), find_words=lambda: words, image=image,
    )  # fmt: skip


_RENT = _passage("p1", "The monthly rent is 1,480 EUR and is due on the third working day.")
_TEXT = Context(question="What is the rent?", parts=(_RENT, _passage("p2", "Pets are allowed.")))
_OTHER = Context(question="Are pets allowed?", parts=_TEXT.parts)
_PICTURE = Image.linear_gradient("L").resize((96, 64)).convert("RGB")
_SEEN = Context(question="What is shown?", parts=(_RENT, _passage("p2", "", _PICTURE)))
