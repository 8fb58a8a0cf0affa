"""The native base at work: packs a working context, reads it with a question, and generates the answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from mm_megacontext.bases.base import Pointed, Reading
from mm_megacontext.bases.native import Inputs, Layer, LayerCache, NativeModel
from mm_megacontext.bases.native_files import TINY_DIR, load_model, load_tokenizer
from mm_megacontext.bases.tokenizer import ANSWER, END, NONE, PAD, QUESTION, WordTokenizer
from mm_megacontext.bases.wording import spellings
from mm_megacontext.blocks import LINE_START, ROLE_INDEX
from mm_megacontext.question_words import missing_words
from mm_megacontext.tree import Leaves, Modality, NodeId
from mm_megacontext.vision.encoders import PatchEncoder
from mm_megacontext.working_context import Entry

NOWHERE = 1e3
"""Spread of a question's x and y, in patches: it could stand anywhere on a page."""
MAX_ANSWER_TOKENS = 32
SURE = 0.98
"""Probability from which an answer counts although a word of the question is missing; chosen on the dev split."""
LEAST_SURE = 0.4
"""Probability below which no answer counts; on the dev split this refuses none that is right."""
LEAST_QUOTED = 0.1
"""Probability that one leaf must give a token for the token to count as copied from it."""
_SPECIAL = (PAD, QUESTION, ANSWER)


@dataclass(frozen=True, slots=True)
class Packed:
    """A working context and a question as one sequence.

    Attributes:
        inputs: Batch of one; the context's entries, then the prompt.
        n_context: How many of them are the context.
        origin: Which leaf each position of the context is, None for gists.
        copyable: (n_context,) bool, true at text leaves.
        t_end: Time at which the prompt begins.
    """

    inputs: Inputs
    n_context: int
    origin: tuple[tuple[NodeId, int] | None, ...]
    copyable: Tensor
    t_end: float


class NativeBase:
    """A native model with its tokenizer; satisfies ``bases.base.Base``.

    Args:
        model: Trained weights.
        tokenizer: The tokenizer they were trained with.
        encoder: Makes embeddings of image patches; must give ``model.config.dim`` dimensions.
        device: Where to run.
    """

    modalities: tuple[Modality, ...] = ("text",)
    """``mmctx-tiny`` was trained on text alone; what it was not trained to read it is not shown."""

    def __init__(
        self, model: NativeModel, tokenizer: WordTokenizer, encoder: PatchEncoder, device: str = "cpu"
    ) -> None:
        self.model = model.to(device).eval()
        self.tokenizer = tokenizer
        self.encoder = encoder
        self.device = torch.device(device)

    @classmethod
    def from_pretrained(cls, directory: Path = TINY_DIR, device: str = "cpu") -> NativeBase:
        """Load config, weights and tokenizer from a directory; by default ``mmctx-tiny`` of this package."""
        from mm_megacontext.vision.encoders import create_encoder

        model = load_model(directory)
        return cls(model, load_tokenizer(directory), create_encoder("dct", model.config.dim), device)

    @cached_property
    def id(self) -> str:
        """Name and a digest of the token embeddings, on which all gists depend."""
        weights = self.model.tokens.weight.detach().float().cpu().numpy()
        return f"{self.model.config.name}-{hashlib.sha256(weights.tobytes()).hexdigest()[:12]}"

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
        return len(self._prompt(question))

    def read(self, entries: Sequence[Entry], question: str, t_end: float) -> Reading:
        """Generate greedily until the end token, a repetition, or 32 tokens; refuse what rests on too little.

        If a word of the question stands nowhere in what was read of the page that is quoted, only an answer that the
        model is sure of counts: it may be a synonym, but mostly the document does not hold what was asked for.
        """
        reading = self._read_spellings(entries, question, t_end)
        missing = missing_words(question, _words(_on_quoted_pages(entries, reading.pointed)))
        if reading.confidence < (SURE if missing else LEAST_SURE):
            return Reading("", False, (), reading.confidence)
        return reading

    def _prompt(self, question: str) -> list[int]:
        return [QUESTION, *self.tokenizer.encode(question), ANSWER]

    def pack(self, entries: Sequence[Entry], question: str, t_end: float) -> Packed:
        """Put entries and question into arrays, in the format that the recipe trains on."""
        rows = _Rows(self.dim)
        readable = [entry for entry in entries if entry.node.modality in (*self.modalities, "mixed")]
        for form, run in groupby(readable, key=_form):
            match form:
                case "gist":
                    rows.add_gists(list(run))
                case "tokens":
                    rows.add_tokens(list(run))
                case "patches":
                    rows.add_patches(list(run), self.encoder)
        prompt = self._prompt(question)
        n, t = len(rows.origin), float(t_end) + 2
        rows.add_prompt(prompt, t)
        inputs = rows.inputs()
        is_leaf = ~inputs.is_vector[0, :n]
        return Packed(inputs.to(self.device), n, tuple(rows.origin), is_leaf.to(self.device), t)

    def _read_spellings(self, entries: Sequence[Entry], question: str, t_end: float) -> Reading:
        """Read with the question as the leaves spell it; if that finds nothing, as they spell it elsewhere."""
        with torch.inference_mode():
            for spelled in spellings(question, _words(entries), lambda word: len(self.tokenizer.encode_word(word))):
                reading = self._generate(self.pack(entries, spelled, t_end))
                if reading.found:
                    break
        return reading

    def _generate(self, packed: Packed) -> Reading:
        hidden, caches = self._forward(packed.inputs, None, None)
        context = hidden[:, : packed.n_context]
        context_ids = packed.inputs.token_ids[0, : packed.n_context]
        times = packed.inputs.mu[0, packed.n_context :, 0].tolist()
        state, confidence = hidden[:, -1:], 1.0
        ids: list[int] = []
        pointed: list[Pointed] = []
        unsaid = packed.copyable.clone()
        while len(ids) < MAX_ANSWER_TOKENS:
            probabilities, copied = self._next(state, context, context_ids, unsaid)
            token = int(probabilities.argmax())
            confidence *= float(probabilities[token])
            if token in (END, NONE):
                self._complete_word(ids, pointed, packed)
                break
            ids.append(token)
            source = _quoted(copied * (context_ids == token))
            if source is not None:
                origin = packed.origin[source]
                assert origin is not None, "only leaves can be copied"
                pointed.append(Pointed(*origin, float(copied[source])))
                unsaid[source] = False  # an answer quotes a leaf once
            if _repeats(ids):
                break
            step = self._said(token, source, packed, times)
            state, caches = self._forward(step, caches, times)
        return Reading(self.tokenizer.decode(ids), bool(ids), tuple(pointed), confidence)

    def _complete_word(self, ids: list[int], pointed: list[Pointed], packed: Packed) -> None:
        """An answer that ends inside a quoted word, other than before its punctuation, gets the rest of the word."""
        if not pointed:
            return
        at = packed.origin.index((pointed[-1].node, pointed[-1].leaf))
        rest: list[int] = []
        for origin, token in zip(packed.origin[at + 1 :], packed.inputs.token_ids[0, at + 1 :].tolist(), strict=False):
            if origin is None or origin[0] != pointed[-1].node or self.tokenizer.starts_word(token):
                break
            rest.append(token)
        if rest and packed.inputs.token_ids[0, at] == ids[-1] and any(map(str.isalnum, self.tokenizer.decode(rest))):
            ids += rest
            pointed += [Pointed(pointed[-1].node, pointed[-1].leaf + 1 + i, pointed[-1].mass) for i in range(len(rest))]

    def _said(self, token: int, source: int | None, packed: Packed, times: list[float]) -> Inputs:
        """A generated token as the next input: a quotation stands where its leaf stands, anything else after the rest.

        ``times`` gets the token's time.
        """
        rows = _Rows(self.dim)
        rows.add_prompt([token], packed.t_end + len(times))
        inputs = rows.inputs().to(self.device)
        if source is not None:
            inputs.mu[0, 0] = packed.inputs.mu[0, source]
            inputs.sigma[0, 0] = 0.0
        times.append(float(inputs.mu[0, 0, 0]))
        return inputs

    def _next(self, state: Tensor, context: Tensor, context_ids: Tensor, copyable: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities of the next token (vocab,), and what each entry of the context adds by copying."""
        generated = torch.softmax(self.model.vocabulary_logits(state)[0, 0].float(), dim=-1)
        generated[list(_SPECIAL)] = 0
        if not bool(copyable.any()):
            return generated, torch.zeros_like(context_ids, dtype=torch.float32)
        pointing, generating = self.model.copy_head(state, context, copyable[None])
        copied = pointing[0, 0].exp() * copyable
        return (generated * generating[0, 0].exp()).scatter_add(0, context_ids, copied), copied

    def _forward(
        self, inputs: Inputs, caches: list[LayerCache] | None, times: list[float] | None
    ) -> tuple[Tensor, list[LayerCache]]:
        """Hidden states of new entries, which see everything cached and themselves causally.

        With a cache, ``inputs`` is one generated token and ``times`` those of all tokens from the prompt to it.
        """
        x, at, taps = self.model.prepare(inputs)
        if times is not None:
            taps = torch.tensor([[_taps(times, taps.shape[-1])]], device=taps.device)
        updated: list[LayerCache] = []
        for i, layer in enumerate(self.model.layers):
            assert isinstance(layer, Layer)
            tail = self.model.empty_tail(x) if caches is None else caches[i].tail
            q, k, v, tail = layer.project(x, at, taps, tail)
            if caches is not None:
                k, v = torch.cat((caches[i].keys, k), dim=2), torch.cat((caches[i].values, v), dim=2)
            x = layer.finish(x, F.scaled_dot_product_attention(q, k, v, is_causal=caches is None))
            updated.append(LayerCache(k, v, tail))
        return self.model.norm(x), updated


class _Rows:
    """Collects the arrays of ``Inputs`` for one sequence."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.origin: list[tuple[NodeId, int] | None] = []
        self._parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in Inputs.__slots__}

    def add_gists(self, entries: Sequence[Entry]) -> None:
        slots = [entry.n_slots for entry in entries]
        vectors = np.concatenate([entry.node.gist for entry in entries]).astype(np.float32)
        self.origin += [None] * len(vectors)
        self._append(
            vectors=vectors,
            role="gist",
            lods=np.repeat([entry.lod for entry in entries], slots),
            mu=np.repeat([entry.node.mu for entry in entries], slots, axis=0),
            sigma=np.repeat([entry.node.sigma for entry in entries], slots, axis=0),
        )

    def add_tokens(self, entries: Sequence[Entry]) -> None:
        leaves = self._add_origins(entries)
        roles = np.concatenate([part.roles for part in leaves])
        self._append(
            ids=np.concatenate([part.token_ids for part in leaves]),
            role=roles & ~np.uint8(LINE_START),
            line_start=roles >= LINE_START,
            mu=np.concatenate([part.mu for part in leaves]),
        )

    def add_patches(self, entries: Sequence[Entry], encoder: PatchEncoder) -> None:
        leaves = self._add_origins(entries)
        pixels = np.concatenate([part.pixels for part in leaves if part.pixels is not None])
        mu = np.concatenate([part.mu for part in leaves])
        self._append(vectors=encode_patches(encoder, pixels), role="visual", mu=mu)

    def add_prompt(self, ids: Sequence[int], t: float) -> None:
        mu = np.zeros((len(ids), 3))
        mu[:, 0] = t + np.arange(len(ids))
        self._append(ids=np.array(ids), role="question", mu=mu, sigma=np.array([0.0, NOWHERE, NOWHERE]))

    def _add_origins(self, entries: Sequence[Entry]) -> list[Leaves]:
        leaves = [entry.leaves for entry in entries if entry.leaves is not None]
        for entry, own in zip(entries, leaves, strict=True):
            self.origin += [(entry.id, i) for i in range(len(own))]
        return leaves

    def _append(
        self,
        *,
        role: str | npt.NDArray[Any],
        mu: npt.NDArray[np.float64],
        sigma: npt.NDArray[np.float64] | float = 0.0,
        ids: npt.NDArray[Any] | int = 0,
        vectors: npt.NDArray[np.float32] | None = None,
        line_start: npt.NDArray[np.bool_] | int = 0,
        lods: npt.NDArray[Any] | int = 0,
    ) -> None:
        n = len(mu)
        parts: dict[str, npt.NDArray[Any]] = {
            "token_ids": np.full(n, ids, np.int64),
            "vectors": np.zeros((n, self.dim), np.float32) if vectors is None else vectors,
            "is_vector": np.full(n, vectors is not None),
            "roles": np.full(n, ROLE_INDEX[role] if isinstance(role, str) else role, np.int64),
            "line_start": np.full(n, line_start, np.int64),
            "lods": np.full(n, lods, np.int64),
            "mu": mu,
            "sigma": np.full((n, 3), sigma, np.float32),
        }
        for name, part in parts.items():
            self._parts[name].append(part)

    def inputs(self) -> Inputs:
        """A batch of one."""
        return Inputs(**{name: torch.from_numpy(np.concatenate(parts))[None] for name, parts in self._parts.items()})


def _form(entry: Entry) -> Literal["gist", "tokens", "patches"]:
    """How an entry is put before the model."""
    if entry.leaves is None:
        return "gist"
    return "tokens" if entry.leaves.pixels is None else "patches"


def encode_patches(encoder: PatchEncoder, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Embeddings (n, dim) of single patches (n, 3, 16, 16): laid out as tiles, encoded, taken out again."""
    n, channels, side, _ = pixels.shape
    per_tile = 64
    padded = np.zeros((-(-n // per_tile) * per_tile, channels, side, side), np.uint8)
    padded[:n] = pixels
    tiles = padded.reshape(-1, 8, 8, channels, side, side).transpose(0, 3, 1, 4, 2, 5)
    tiles = np.ascontiguousarray(tiles.reshape(-1, channels, 8 * side, 8 * side))
    encoded = np.asarray(encoder.encode(tiles), dtype=np.float32)
    return encoded.reshape(-1, encoded.shape[-1])[:n]


def _on_quoted_pages(entries: Sequence[Entry], pointed: Sequence[Pointed]) -> list[Entry]:
    """The entries on the pages that an answer was quoted from."""
    quoted = {p.node for p in pointed}
    pages = {(e.id.source, e.node.page) for e in entries if e.id in quoted}
    return [e for e in entries if (e.id.source, e.node.page) in pages]


def _words(entries: Iterable[Entry]) -> Iterator[str]:
    """The words that are read leaf by leaf."""
    return (word for entry in entries if entry.leaves is not None for word in entry.node.text.split())


def _taps(times: list[float], width: int) -> list[float]:
    """Which of the tokens before the last one are its direct predecessors on the timeline; see ``contiguity``."""
    return [float(k < len(times) and times[-1] - times[-1 - k] == k) for k in range(1, width + 1)]


def _quoted(mass: Tensor) -> int | None:
    """The entry that a token was copied from, unless it was made up from the vocabulary."""
    best = int(mass.argmax()) if len(mass) else 0
    return best if len(mass) and float(mass[best]) >= LEAST_QUOTED else None


def _repeats(ids: list[int]) -> bool:
    """Whether the last tokens say the same thing three times over."""
    return any(n * 3 <= len(ids) and ids[-n:] == ids[-2 * n : -n] == ids[-3 * n : -2 * n] for n in (2, 3, 4, 5))
