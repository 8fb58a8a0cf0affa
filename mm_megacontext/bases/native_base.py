"""The native base at work: packs a working context, reads it with a question, and generates the answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from mm_megacontext.bases.beside import ALL, View, Views
from mm_megacontext.bases.generation import Decoding, Generated, Generator
from mm_megacontext.bases.labelled import labelled_leaves
from mm_megacontext.bases.native import NativeModel
from mm_megacontext.bases.native_files import TINY_DIR, load_model, load_tokenizer, save_model
from mm_megacontext.bases.packing import Packed, pack
from mm_megacontext.bases.row_keys import is_of_other_row
from mm_megacontext.bases.table_rows import Leaf, LeafWords
from mm_megacontext.bases.tokenizer import ANSWER, QUESTION, WordTokenizer
from mm_megacontext.bases.wording import room, spellings
from mm_megacontext.digests import digest
from mm_megacontext.errors import IncompatibleGists, WeightsUnavailable
from mm_megacontext.reading.base import Pointed, Reading
from mm_megacontext.reading.question_words import missing_words
from mm_megacontext.reading.working_context import Entry
from mm_megacontext.tree.nodes import Modality
from mm_megacontext.vision.encoders import PatchEncoder

SURE = 0.98
"""Probability from which an answer counts although a word of the question is missing; chosen on the dev split."""
SURE_VIEW = 0.8
"""Probability from which an answer counts before more is read than it needs."""
LEAST_SURE = 0.4
LABELLED = 0.99
"""Probability of what is read by its label: 490 of 490 on the dev split of look-ups (95 %: from 0.992)."""
"""Probability below which no answer counts; on the dev split this refuses none that is right."""


class NativeBase:
    """A native model with its tokenizer; satisfies ``reading.base.Base``.

    Args:
        model: Trained weights.
        tokenizer: The tokenizer they were trained with.
        encoder: Makes embeddings of image patches; must give ``model.config.dim`` dimensions.
        device: Where to run.
        decoding: How answers are generated.

    Raises:
        IncompatibleGists: The encoder gives vectors of another length.
    """

    modalities: tuple[Modality, ...] = ("text",)
    """``mmctx-tiny`` was trained on text alone; what it was not trained to read it is not shown."""
    is_calibrated = True
    """Its bars were chosen on the dev split."""

    def __init__(
        self,
        model: NativeModel,
        tokenizer: WordTokenizer,
        encoder: PatchEncoder,
        device: str = "cpu",
        decoding: Decoding | None = None,
    ) -> None:
        if encoder.dim != model.config.dim:
            raise IncompatibleGists(
                f"the encoder {encoder.name} makes vectors of {encoder.dim}, the base {model.config.name} reads "
                f"vectors of {model.config.dim}: choose an encoder that makes these"
            )
        self.model = model.to(device).eval()
        self.tokenizer = tokenizer
        self.encoder = encoder
        self.device = torch.device(device)
        self.decoding = decoding or Decoding()
        self._leaf_words = LeafWords(tokenizer.decode, tokenizer.starts_word)

    @classmethod
    def from_pretrained(
        cls,
        directory: Path = TINY_DIR,
        device: str = "cpu",
        decoding: Decoding | None = None,
        encoder: PatchEncoder | None = None,
    ) -> NativeBase:
        """Load config, weights and tokenizer from a directory; by default ``mmctx-tiny`` of this package.

        Args:
            directory: Where they are.
            device: Where to run.
            decoding: How answers are generated.
            encoder: Makes embeddings of image patches; by default ``dct``, which the package was trained with.
        """
        from mm_megacontext.vision.encoders import create_encoder

        model, tokenizer = load_model(directory), load_tokenizer(directory)
        if tokenizer.vocab_size > model.config.vocab_size:
            raise WeightsUnavailable(
                f"the tokenizer in {directory} has {tokenizer.vocab_size} tokens, the base {model.config.vocab_size}: "
                "train it anew, or fetch it again"
            )
        encoder = encoder or create_encoder("dct", model.config.dim)
        return cls(model, tokenizer, encoder, device, decoding)

    def with_encoder(self, encoder: PatchEncoder) -> NativeBase:
        """The same weights with another encoder of image patches. Raises as the class does."""
        return NativeBase(self.model, self.tokenizer, encoder, str(self.device), self.decoding)

    def save_pretrained(self, directory: Path) -> None:
        """Write config.json, model.safetensors and tokenizer.json."""
        save_model(self.model, directory)
        self.tokenizer.save(directory / "tokenizer.json")

    @cached_property
    def id(self) -> str:
        """Name and a digest of all weights, the configuration and the tokenizer, as they were when first asked for."""
        settings = {"config": self.model.config.to_json(), "tokenizer": self.tokenizer.fingerprint}
        return f"{self.model.config.name}-{digest([self.model], settings)}"

    @property
    def dim(self) -> int:
        return self.model.config.dim

    @property
    def gist_slots(self) -> int:
        return self.model.config.gist_slots

    def embed_tokens(self, token_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        with torch.no_grad():
            ids = torch.from_numpy(np.asarray(token_ids, dtype=np.int64)).to(self.device)
            embedded: npt.NDArray[np.float32] = self.model.tokens(ids).cpu().numpy()
        return embedded

    def prompt_cost(self, question: str) -> int:
        """With room for the letter case in which the document may have the words of the question."""
        return len(self._prompt("")) + sum(room(word, self._n_tokens) for word in question.split())

    def read(self, entries: Sequence[Entry], question: str, t_end: float) -> Reading:
        """Generate as ``decoding`` says; refuse what rests on too little.

        If a word of the question stands nowhere in what was read of the page that is quoted, only an answer that the
        model is sure of counts: it may be a synonym, but mostly the document does not hold what was asked for. Nothing
        counts that is quoted from another row of a table than the one that a code in the question names.
        """
        leaves = labelled_leaves(entries, question, self._leaf_words)
        if leaves:
            return self._quoted(entries, leaves)
        reading = self._read_views(entries, question, t_end)
        missing = missing_words(question, _words(_on_quoted_pages(entries, reading.pointed)))
        is_invented = self.decoding.quotes_only and not reading.pointed
        is_doubtful = reading.confidence < (SURE if missing else LEAST_SURE)
        if is_invented or is_doubtful or is_of_other_row(question, entries, reading.pointed, self.tokenizer):
            return Reading("", False, (), reading.confidence)
        return reading

    def _n_tokens(self, word: str) -> int:
        return len(self.tokenizer.encode_word(word))

    def _prompt(self, question: str) -> list[int]:
        return [QUESTION, *self.tokenizer.encode(question), ANSWER]

    def pack(self, entries: Sequence[Entry], t_end: float, view: View = ALL) -> Packed:
        """Put what this base can read of the entries into arrays, as the ``view`` has it."""
        readable = [entry for entry in entries if entry.node.modality in (*self.modalities, "mixed")]
        return pack(readable, t_end, self.encoder, self.device, view)

    def _read_views(self, entries: Sequence[Entry], question: str, t_end: float) -> Reading:
        """Read without what the question tells apart from its answer; if that finds nothing sure, more of it."""
        readings: list[Reading] = []
        for view in Views(self._leaf_words).of(entries, question):
            readings.append(self._read_spellings(entries, question, self.pack(entries, t_end, view)))
            if readings[-1].found and readings[-1].confidence >= SURE_VIEW:
                break
        return max(readings, key=lambda reading: (reading.found, reading.confidence))

    def _quoted(self, entries: Sequence[Entry], leaves: Sequence[Leaf]) -> Reading:
        """An answer that is just these leaves."""
        held = {entry.id: entry.leaves for entry in entries if entry.leaves is not None}
        text = self.tokenizer.decode([int(held[node].token_ids[leaf]) for node, leaf in leaves])
        return Reading(text, True, tuple(Pointed(node, leaf, 1.0) for node, leaf in leaves), LABELLED)

    def _read_spellings(self, entries: Sequence[Entry], question: str, packed: Packed) -> Reading:
        """Read with the question as the leaves spell it; if that finds nothing, as they spell it elsewhere."""
        generator = Generator(self.model, packed, self.tokenizer.decode, self.decoding)
        for spelled in spellings(question, _words(entries), self._n_tokens):
            generated = generator.answer(self._prompt(spelled))
            if generated.said:
                break
        return self._reading(generated, packed)

    def _reading(self, generated: Generated, packed: Packed) -> Reading:
        ids = [one.token for one in generated.said]
        pointed = []
        for one in generated.said:
            if one.source is not None:
                origin = packed.origin[one.source]
                assert origin is not None, "only leaves can be copied"
                pointed.append(Pointed(*origin, one.mass))
        self._complete_word(ids, pointed, packed)
        return Reading(self.tokenizer.decode(ids), bool(ids), tuple(pointed), generated.confidence)

    def _complete_word(self, ids: list[int], pointed: list[Pointed], packed: Packed) -> None:
        """An answer that ends inside a quoted word, other than before its punctuation, gets the rest of the word."""
        if not pointed:
            return
        at = packed.origin.index((pointed[-1].node, pointed[-1].leaf))
        rest: list[int] = []
        for origin, token in zip(packed.origin[at + 1 :], packed.inputs.token_ids[0, at + 1 :].tolist(), strict=True):
            if origin is None or origin[0] != pointed[-1].node or self.tokenizer.starts_word(token):
                break
            rest.append(token)
        if rest and packed.inputs.token_ids[0, at] == ids[-1] and any(map(str.isalnum, self.tokenizer.decode(rest))):
            ids += rest
            pointed += [Pointed(pointed[-1].node, pointed[-1].leaf + 1 + i, pointed[-1].mass) for i in range(len(rest))]


def _on_quoted_pages(entries: Sequence[Entry], pointed: Sequence[Pointed]) -> list[Entry]:
    """The entries on the pages that an answer was quoted from."""
    quoted = {p.node for p in pointed}
    pages = {(e.id.source, e.node.page) for e in entries if e.id in quoted}
    return [e for e in entries if (e.id.source, e.node.page) in pages]


def _words(entries: Iterable[Entry]) -> Iterator[str]:
    """The words that are read leaf by leaf."""
    return (word for entry in entries if entry.leaves is not None for word in entry.node.text.split())
