"""The native base reading contexts. Oracles: one long forward instead of a cache, and the training forward."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
import torch

from mm_megacontext.bases import generation, native_base
from mm_megacontext.bases.generation import Decoding, Generated, Generator, Said
from mm_megacontext.bases.native import Inputs
from mm_megacontext.bases.native_base import LEAST_SURE, SURE, NativeBase
from mm_megacontext.bases.native_state import State, read_on
from mm_megacontext.bases.packing import Packed, encode_leaves, pack_prompt
from mm_megacontext.bases.tokenizer import ANSWER, END, NONE, QUESTION
from mm_megacontext.reading.working_context import Entry, WorkingContext
from mm_megacontext.training.data import contexts
from mm_megacontext.training.data.contexts import Batch, ContextConfig, ContextMaker, Cut
from mm_megacontext.training.data.corpus import LookupDocument, make_document
from mm_megacontext.training.data.pages import PageConfig
from mm_megacontext.training.lookup_model import LookupTensors, gist_vectors, lookup_losses, to_tensors
from mm_megacontext.tree.nodes import Leaves, NodeId
from mm_megacontext.tree.text_gists import MeanTextGister
from mm_megacontext.vision.encoders import PatchEncoder, PatchVectors, TilePixels, create_encoder
from mm_megacontext.vision.gists.tile_gister import Gist, MeanPool, TileGister
from mm_megacontext.vision.quadtree.build import build_image_nodes, read_leaf_pixels
from mm_megacontext.vision.sources.frame import IMAGE_FRAME
from mm_megacontext.vision.sources.source import ArraySource
from tests.strategies import TreeBuilder
from tests.tiny import ALWAYS_COPIES, CONFIG, as_tree, random_base, random_model, tokenizer

CACHE_TOLERANCE = 1e-4
"""Hidden states of magnitude 1 in float32, attention sums in another order."""
STORED_GISTS = 2e-2
"""Nats per answer: stored gists are float16, those of training float32."""
SAME_GISTS = 2e-3
"""Nats per answer token of magnitude 10, float32."""


def document(base: NativeBase, seed: str = "parity", n_pages: int = 2) -> LookupDocument:
    gister = MeanTextGister(base.embed_tokens, base.dim)
    return make_document(tokenizer(), seed, "train", n_pages, PageConfig(n_facts=6), gister=gister)


def open_evidence(own: LookupDocument, n_facts: int, budget: int) -> Cut:
    """A cut that is open at the evidence of some facts, the rest left as gists."""
    cut = Cut.start(own.rows, budget)
    for evidence in own.evidence[:n_facts]:
        for block in evidence.blocks:
            assert cut.open_to(block)
    return cut


def entries_of(own: LookupDocument, cut: Cut) -> list[Entry]:
    tree = as_tree(own.rows)
    entries = []
    for row, is_open in cut.ordered():
        id = NodeId(1, row.index)
        (node,) = tree.nodes([id])
        entries.append(Entry(node, tree.leaves([id])[0] if is_open else None))
    return entries


def packed(base: NativeBase) -> Packed:
    own = document(base)
    return base.pack(entries_of(own, open_evidence(own, 3, 300)), own.rows[-1].t_span[1])


def prompt(base: NativeBase, question: str, start: Packed) -> Inputs:
    ids = [QUESTION, *tokenizer().encode(question), ANSWER]
    return pack_prompt(ids, start.t_prompt, base.dim, base.device)


def hidden_of(base: NativeBase, *parts: Inputs) -> torch.Tensor:
    """Hidden states of the parts read as one sequence."""
    with torch.inference_mode():
        return read_on(base.model, [Inputs.join(parts)], [State.empty(base.model)])[0][0]


def test_the_context_does_not_see_the_question() -> None:
    base = random_base(2)
    start = packed(base)
    questions = ("What is the rent?", "Deposit of Marvolo Quenzel, which is it?")
    hidden = [hidden_of(base, start.inputs, prompt(base, q, start))[:, : len(start)] for q in questions]
    assert len(start) > 50
    torch.testing.assert_close(hidden[0], hidden[1], atol=CACHE_TOLERANCE, rtol=0)


def test_the_question_sees_the_context() -> None:
    base = random_base(2)
    own = document(base)
    last = []
    for n_facts in (1, 3):
        start = base.pack(entries_of(own, open_evidence(own, n_facts, 300)), own.rows[-1].t_span[1])
        last.append(hidden_of(base, start.inputs, prompt(base, "rent", start))[0, -1])
    assert float((last[0] - last[1]).abs().max()) > 1e-3


def test_moving_everything_in_time_changes_nothing() -> None:
    base = random_base(3)
    start = packed(base)
    here = Inputs.join([start.inputs, prompt(base, "What is the rent?", start)])
    far = Inputs(*(getattr(here, name).clone() for name in Inputs.__slots__))
    far.mu[..., 0] += 1e9
    torch.testing.assert_close(hidden_of(base, here), hidden_of(base, far), atol=1e-3, rtol=0)


def one_question(batch: Batch, q: int) -> Batch:
    """The same batch in which only one question counts; the others are still there to be seen."""
    targets = np.full_like(batch.targets, -1)
    targets[:, q] = batch.targets[:, q]
    fields = {name: getattr(batch, name) for name in Batch.__slots__}
    return Batch(**{**fields, "targets": targets})


def read_nll(base: NativeBase, start: Packed, question: str, target: Sequence[int], sources: Sequence[int]) -> float:
    """Negative log-probability of an answer quoted from ``sources``, token by token, as generation computes it."""
    generator, ids = Generator(base.model, start, tokenizer().decode, Decoding()), prompt(base, question, start)
    total, n = 0.0, ids.mu.shape[1]
    with torch.inference_mode():
        states = generator._read(ids)
        for i, (token, source) in enumerate(zip(target, sources, strict=True)):
            probabilities, _ = generator._next(states, start.copyable[None])
            total -= float(probabilities[0, token].log())
            said = generator._continuation(Said(token, None if source < 0 else source, 1.0), n + i, [])
            states = generator._read_on(said, generator._state)
    return total


@pytest.mark.parametrize("seed", [0, 1])
def test_training_gives_answers_the_probability_that_reading_gives(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed questions, padding and a shifted timeline, against one question at a time."""
    base = NativeBase(random_model(seed, sentinel=0.0), tokenizer(), create_encoder("dct", CONFIG.dim))
    own = document(base, f"parity-{seed}")
    cut = open_evidence(own, 3, 300)
    n = 5
    config = ContextConfig(length=cut.cost + 37, batch=2, n_questions=n, question_length=40, answer_length=20, absent=0)
    monkeypatch.setattr(contexts, "random_cut", lambda *_: cut)
    maker = ContextMaker(tokenizer(), config)
    batch = maker.empty()
    for b in range(config.batch):
        maker.fill(batch, b, own, 0, random.Random(seed))
    asked = own.questions(random.Random(seed), n, 0.0)
    entries, t_end = entries_of(own, cut), own.rows[-1].t_span[1]

    prefix = gist_vectors(torch.from_numpy(own.token_ids), base.model.tokens.weight.detach())
    compared = 0
    for q, (question, _) in enumerate(asked):
        target = [int(i) for i in batch.targets[0, q] if i >= 0]
        if not target:
            continue
        tensors = to_tensors(one_question(batch, q), prefix, torch.device("cpu"))
        start = base.pack(entries, t_end)
        expected = read_nll(base, start, question.text, target, batch.copy_from[0, q, : len(target)].tolist())
        assert training_nll(base, tensors, len(target)) == pytest.approx(expected, abs=STORED_GISTS * len(target))
        tensors.inputs.vectors[:] = stored_gists(entries, tensors.inputs.vectors)
        assert training_nll(base, tensors, len(target)) == pytest.approx(expected, abs=SAME_GISTS * len(target))
        compared += 1
    assert compared >= 3


def training_nll(base: NativeBase, tensors: LookupTensors, n_targets: int) -> float:
    with torch.inference_mode():
        return float(lookup_losses(base.model, tensors, smoothing=1e-30).answer) * n_targets


def stored_gists(entries: list[Entry], like: torch.Tensor) -> torch.Tensor:
    """The gists as the tree stores them, where the batch has its own."""
    vectors = torch.zeros_like(like)
    at = 0
    for entry in entries:
        if not entry.is_expanded:
            vectors[:, at] = torch.from_numpy(entry.node.gist[0].astype(np.float32))
        at += entry.cost
    return vectors


def test_what_is_pointed_at_says_what_was_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    base = random_base(4, sentinel=ALWAYS_COPIES)
    monkeypatch.setattr(native_base, "LEAST_SURE", 0.0)
    own = document(base)
    entries = entries_of(own, open_evidence(own, 3, 300))
    by_id = {entry.id: entry for entry in entries}
    reading = base.read(entries, "What is it?", own.rows[-1].t_span[1])
    assert reading.found
    assert reading.pointed
    said = []
    for pointed in reading.pointed:
        leaves = by_id[pointed.node].leaves
        assert leaves is not None
        assert 0.1 <= pointed.mass <= 1
        said.append(int(leaves.token_ids[pointed.leaf]))
    assert all(
        token in tokenizer().encode(reading.text) or tokenizer().decode([token]) in reading.text for token in said
    )
    assert 0 < reading.confidence <= 1


def test_reading_is_deterministic() -> None:
    base = random_base(5)
    own = document(base)
    entries = entries_of(own, open_evidence(own, 2, 300))
    readings = [base.read(entries, "What is the rent?", own.rows[-1].t_span[1]) for _ in range(2)]
    assert readings[0] == readings[1]


def test_gists_alone_can_be_read_but_not_copied() -> None:
    base = random_base(6)
    own = document(base)
    root = as_tree(own.rows)
    reading = base.read(WorkingContext.start(root, 10).entries, "What is the rent?", own.rows[-1].t_span[1])
    assert reading.pointed == ()
    assert reading.found == bool(reading.text)


def test_images_are_left_out_of_what_a_text_base_sees() -> None:
    base = random_base(7)
    builder = TreeBuilder(np.random.default_rng(0), dim=CONFIG.dim)
    tiles = [builder.tile(1), builder.tile(1)]
    reading = base.read([Entry(tile) for tile in tiles], "What is the rent?", 2)
    assert reading.pointed == ()
    assert len(base.pack([Entry(tile) for tile in tiles], 2)) == 0


def test_an_answer_ends_at_the_end_token(monkeypatch: pytest.MonkeyPatch) -> None:
    base = random_base(8)
    word = tokenizer().encode_word("Marvolo")
    said = answer_with(base, monkeypatch, [*word, END])
    assert (said.text, said.found) == ("Marvolo", True)
    for last in (END, NONE):
        refusal = answer_with(base, monkeypatch, [last])
        assert (refusal.text, refusal.found, refusal.pointed) == ("", False, ())


def test_repetition_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    base = random_base(9)
    a, b, c = (tokenizer().encode_word(word)[0] for word in ("one", "two", "three"))
    assert answer_with(base, monkeypatch, [a, b] * 20).text == "one two one two one two"
    assert len(tokenizer().encode(answer_with(base, monkeypatch, [c] * 40).text)) == 6


def test_an_answer_has_at_most_32_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    base = random_base(9)
    ids = [tokenizer().encode_word(f"{n:02d}")[0] for n in range(60)]
    assert answer_with(base, monkeypatch, ids).text == " ".join(f"{n:02d}" for n in range(32))


@pytest.mark.parametrize(
    ("question", "probability", "found"),
    [
        ("What is it?", 0.9, True),
        ("What is it?", LEAST_SURE + 0.01, True),
        ("What is it?", LEAST_SURE - 0.01, False),
        ("What is the qwyx?", 0.9, False),
        ("What is the qwyx?", SURE + 0.001, True),
    ],
)
def test_what_the_model_doubts_is_not_said(
    question: str, probability: float, found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More so if a word of the question stands nowhere."""
    base = random_base(8)
    said = answer_with(base, monkeypatch, [tokenizer().encode_word("one")[0], END], question, probability)
    assert (said.found, said.text) == (found, "one" if found else "")
    assert said.confidence == pytest.approx(probability)


def test_what_quotes_nothing_is_invented(monkeypatch: pytest.MonkeyPatch) -> None:
    base = random_base(8)
    ids = [tokenizer().encode_word("one")[0], END]
    assert answer_with(base, monkeypatch, ids).found
    assert not answer_with(base, monkeypatch, ids, decoding=Decoding()).found


MAY_INVENT = Decoding(quotes_only=False)


def answer_with(  # type: ignore[no-untyped-def]
    base: NativeBase,
    monkeypatch: pytest.MonkeyPatch,
    ids: Sequence[int],
    question: str = "What is it?",
    first_probability: float = 1.0,
    decoding: Decoding = MAY_INVENT,
):
    """What the base says when these are the likeliest tokens, one after the other."""
    left, likely = iter(ids), iter([first_probability])

    def scripted(_: Generator, states: torch.Tensor, copyable: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        probabilities = torch.zeros(1, CONFIG.vocab_size)
        probabilities[0, next(left)] = next(likely, 1.0)
        return probabilities, torch.zeros_like(copyable, dtype=torch.float32)

    own = document(base, n_pages=1)
    base.decoding = decoding
    with monkeypatch.context() as patched:
        patched.setattr(Generator, "_next", scripted)
        return base.read(entries_of(own, open_evidence(own, 1, 200)), question, own.rows[-1].t_span[1])


@pytest.mark.parametrize(
    ("ids", "repeats"),
    [([1, 2, 1, 2, 1, 2], True), ([1, 2, 1, 2, 1, 3], False), ([7] * 6, True), ([7] * 3, False), ([1, 2, 3] * 3, True)],
)
def test_repeats(ids: list[int], repeats: bool) -> None:
    assert generation.repeats(ids) == repeats


def test_the_prompt_costs_at_least_what_it_puts_before_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """In whatever letter case the document has its words."""
    base = random_base(1)
    own = document(base)
    asked: list[int] = []

    def answer(_: Generator, ids: Sequence[int]) -> Generated:
        asked.append(len(ids))
        return Generated((), 1.0)

    monkeypatch.setattr(Generator, "answer", answer)
    for question in ("", "rent", "What is the rent of Quenzel-12?", "WHAT IS THE RENT?", "Rent RENT rent"):
        base.read(entries_of(own, open_evidence(own, 3, 300)), question, own.rows[-1].t_span[1])
        assert 0 < max(asked) <= base.prompt_cost(question) <= 2 + 4 * len(base.tokenizer.encode(question))
        asked.clear()


def test_the_cost_of_a_context_is_what_the_model_sees() -> None:
    base = random_base(1)
    own = document(base)
    cut = open_evidence(own, 3, 300)
    entries = entries_of(own, cut)
    start = base.pack(entries, 1000)
    assert len(start) == start.inputs.mu.shape[1] == cut.cost == sum(entry.cost for entry in entries)
    for place, copyable in zip(start.origin, start.copyable.tolist(), strict=True):
        assert (place is not None) == copyable


def test_the_id_names_the_embeddings() -> None:
    assert random_base(1).id == random_base(1).id
    assert random_base(1).id != random_base(2).id
    assert random_base(1).id.startswith("random-")


def test_embeddings_are_those_of_the_model() -> None:
    base = random_base(1)
    ids = np.array([5, 900, 5])
    np.testing.assert_array_equal(base.embed_tokens(ids), base.model.tokens.weight.detach().numpy()[ids])


class Blurring:
    """An encoder that looks at whole tiles: every patch gets its own mean and that of its tile."""

    name, patch_px, dim = "blurring", 16, 6

    def encode(self, pixels: TilePixels) -> PatchVectors:
        n = len(pixels)
        own = pixels.reshape(n, 3, 8, 16, 8, 16).mean(axis=(3, 5)).transpose(0, 2, 3, 1)
        return np.concatenate((own, np.broadcast_to(own.mean((1, 2), keepdims=True), own.shape)), -1).astype(np.float32)


class Seen(MeanPool):
    """Keeps the patch vectors that tiles were made of when they were ingested."""

    def __init__(self) -> None:
        super().__init__()
        self.tiles: list[npt.NDArray[np.float32]] = []

    def of_patches(self, tiles: Sequence[npt.NDArray[np.float32]]) -> list[Gist]:
        self.tiles += tiles
        return super().of_patches(tiles)


@pytest.mark.parametrize("encoder", [create_encoder("dct", 24), Blurring()], ids=lambda encoder: encoder.name)
@pytest.mark.parametrize("size", [(128, 128), (300, 200), (17, 250), (1, 1)])
def test_patches_are_encoded_as_when_they_were_ingested(encoder: PatchEncoder, size: tuple[int, int]) -> None:
    width, height = size
    source = ArraySource(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))
    seen = Seen()
    rows = build_image_nodes(source, TileGister(encoder, seen), page=1, frame=IMAGE_FRAME, t=0, index_start=0)
    tiles = [row for row in rows if row.lod == 1]
    leaves = [
        Leaves(row.leaf_mu, row.leaf_boxes, np.zeros(0, np.int64), row.leaf_roles, read_leaf_pixels(source, row.pixels))
        for row in tiles
        if row.pixels is not None
    ]
    expected = np.concatenate([tile.reshape(-1, encoder.dim) for tile in seen.tiles])
    np.testing.assert_allclose(encode_leaves(encoder, leaves), expected, atol=1e-5)


def test_an_encoder_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="encoder dct-24 makes vectors of 24, the base random reads vectors of 32"):
        NativeBase(random_model(0), tokenizer(), create_encoder("dct", 24))


def test_patches_of_a_tile_can_be_packed() -> None:
    """A base that reads images gets one vector per patch at LOD 0."""
    base = random_base(1)
    base.modalities = ("text", "image")
    builder = TreeBuilder(np.random.default_rng(0), dim=CONFIG.dim)
    tile = builder.tile(1)
    own = builder.leaves[tile.id]
    pixels = np.zeros((len(own), 3, 16, 16), np.uint8)
    start = base.pack([Entry(tile, Leaves(own.mu, own.boxes, own.token_ids, own.roles, pixels))], 1)
    assert len(start) == len(own) == 64
    assert bool(start.inputs.is_vector[0, :64].all())
    assert not bool(start.copyable.any()), "patches cannot be copied as tokens"
