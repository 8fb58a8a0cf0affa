"""Generation. Oracle: token by token, the whole sequence read anew for each one."""

from __future__ import annotations

import itertools
import random
from functools import cache

import pytest
import torch

from mm_megacontext.bases import generation
from mm_megacontext.bases.generation import Generated, Generator, Said
from mm_megacontext.bases.native import Inputs
from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.bases.native_state import State, read_on
from mm_megacontext.bases.packing import Packed, pack_prompt
from mm_megacontext.bases.tokenizer import ANSWER, END, NONE, QUESTION
from mm_megacontext.gists import MeanGistNet
from mm_megacontext.memory_tree import InMemoryTree
from mm_megacontext.training.corpus import LookupDocument, make_document
from mm_megacontext.training.pages import PageConfig
from mm_megacontext.working_context import WorkingContext
from tests.tiny import ALWAYS_COPIES, as_tree, random_base

Case = tuple[NativeBase, Packed, list[list[int]]]


@cache
def trained() -> NativeBase:
    return NativeBase.from_pretrained()


def read_whole(base: NativeBase, own: LookupDocument) -> Packed:
    tree: InMemoryTree = as_tree(own.rows)
    context = WorkingContext.start(tree, 10_000)
    while todo := [entry.id for entry in context if entry.is_expandable]:
        context = context.expand(todo)
    return base.pack(context.entries, own.rows[-1].t_span[1])


def case(base: NativeBase, seed: int, n_questions: int) -> Case:
    gister = MeanGistNet(base.embed_tokens)
    own = make_document(base.tokenizer, f"generation-{seed}", "dev", 1, PageConfig(n_facts=6), gister=gister)
    asked = own.questions(random.Random(seed), n_questions, 0.2)
    prompts = [[QUESTION, *base.tokenizer.encode(question.text), ANSWER] for question, _ in asked]
    return base, read_whole(base, own), prompts


CASES = {
    "trained": lambda seed: case(trained(), seed, 6),
    "copies": lambda seed: case(random_base(seed, sentinel=ALWAYS_COPIES), seed, 3),
    "generates": lambda seed: case(random_base(seed), seed, 2),
}


def one_by_one(base: NativeBase, packed: Packed, prompt: list[int]) -> Generated:
    """Greedy decoding without memory and without guesses."""
    generator = Generator(base.model, packed, n_guessed=0)
    parts = [packed.inputs, pack_prompt(prompt, packed.t_prompt, base.dim, base.device)]
    unsaid, said, confidence = packed.copyable.clone(), list[Said](), 1.0
    while True:
        hidden, _ = read_on(base.model, Inputs.join(parts), State.empty(base.model))
        generator._hidden = hidden[:, : len(packed)]
        probabilities, copied = generator._next(hidden[:, -1:], unsaid[None])
        token = int(probabilities[0].argmax())
        confidence *= float(probabilities[0, token])
        if token in (END, NONE):
            return Generated(tuple(said), confidence)
        mass = copied[0] * (packed.inputs.token_ids[0] == token)
        best = int(mass.argmax())
        source = best if float(mass[best]) >= generation.LEAST_QUOTED else None
        said.append(Said(token, source, float(mass[best])))
        if source is not None:
            unsaid[source] = False
        if len(said) == generation.MAX_ANSWER_TOKENS or generation.repeats([one.token for one in said]):
            return Generated(tuple(said), confidence)
        parts.append(generator._continuation(said[-1], len(prompt) + len(said) - 1, []))


def equal(a: Generated, b: Generated) -> bool:
    pairs = [(one.token, one.source) for one in a.said] == [(one.token, one.source) for one in b.said]
    return pairs and a.confidence == pytest.approx(b.confidence, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("kind", list(CASES))
def test_guessing_ahead_says_what_is_said_one_by_one(kind: str, seed: int) -> None:
    base, packed, prompts = CASES[kind](seed)
    with torch.inference_mode():
        expected = [one_by_one(base, packed, prompt) for prompt in prompts]
    assert any(one.said for one in expected)
    for n_guessed in (0, 1, 7, 31):
        generator = Generator(base.model, packed, n_guessed)
        assert all(equal(generator.answer(p), e) for p, e in zip(prompts, expected, strict=True))


def test_what_is_quoted_takes_two_forwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it is, up to the guesses."""
    base, packed, prompts = CASES["trained"](0)
    lengths: list[int] = []

    def counted(model: object, inputs: Inputs, state: State) -> tuple[torch.Tensor, State]:
        lengths.append(inputs.mu.shape[1])
        return read_on(base.model, inputs, state)

    monkeypatch.setattr(generation, "read_on", counted)
    generator = Generator(base.model, packed)
    quoted = 0
    for i, prompt in enumerate(prompts):
        lengths.clear()
        said = generator.answer(prompt).said
        assert lengths[0] == len(prompt) + (len(packed) if i == 0 else 0), "the context is read once"
        sources = [one.source for one in said]
        runs = [b for a, b in itertools.pairwise(sources) if a is None or b != a + 1]
        if said and None not in sources and not runs:
            assert len(lengths) == 2 + (len(said) - 1) // (generation.N_GUESSED + 1)
            quoted += len(said) > 2
    assert quoted >= 2


def test_a_leaf_is_quoted_once() -> None:
    for seed in range(3):
        base, packed, prompts = CASES["copies"](seed)
        for prompt in prompts:
            sources = [one.source for one in Generator(base.model, packed).answer(prompt).said]
            assert len(sources) == len(set(sources)) or None in sources
            assert sources


def test_nothing_is_guessed_beyond_a_block() -> None:
    base, packed, _ = CASES["trained"](0)
    generator = Generator(base.model, packed, n_guessed=100)
    unsaid = packed.copyable.clone()
    for source, origin in enumerate(packed.origin):
        assert origin is not None
        guesses = generator._guess(source, unsaid)
        assert guesses == list(range(source + 1, source + 1 + len(guesses)))
        assert all(node == origin[0] for node, _ in filter(None, (packed.origin[g] for g in guesses)))
        after = source + 1 + len(guesses)
        if after < len(packed):
            behind = packed.origin[after]
            assert behind is not None
            assert behind[0] != origin[0]
    unsaid[3] = False
    assert generator._guess(1, unsaid) in ([2], [])
    assert generator._guess(None, unsaid) == []


def test_an_empty_context_can_be_asked() -> None:
    base = random_base(3)
    packed = base.pack([], 10)
    assert len(packed) == 0
    generated = Generator(base.model, packed).answer([QUESTION, 900, ANSWER])
    assert all(one.source is None for one in generated.said)
