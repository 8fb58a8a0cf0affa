"""Generation. Oracle: token by token, the whole sequence read anew for each one."""

from __future__ import annotations

import itertools
import random
from functools import cache
from typing import Any

import pytest
import torch

from mm_megacontext.bases import generation
from mm_megacontext.bases.generation import Decoding, Generated, Generator, Said, choose
from mm_megacontext.bases.native import Inputs
from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.bases.native_state import State, read_on
from mm_megacontext.bases.packing import Packed, pack_prompt
from mm_megacontext.bases.tokenizer import ANSWER, END, NONE, QUESTION
from mm_megacontext.reading.working_context import WorkingContext
from mm_megacontext.training.data.corpus import LookupDocument, make_document
from mm_megacontext.training.data.pages import PageConfig
from mm_megacontext.tree.in_memory import InMemoryTree
from mm_megacontext.tree.text_gists import MeanTextGister
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
    gister = MeanTextGister(base.embed_tokens, base.dim)
    own = make_document(base.tokenizer, f"generation-{seed}", "dev", 1, PageConfig(n_facts=6), gister=gister)
    asked = own.questions(random.Random(seed), n_questions, 0.2)
    prompts = [[QUESTION, *base.tokenizer.encode(question.text), ANSWER] for question, _ in asked]
    return base, read_whole(base, own), prompts


CASES = {
    "trained": lambda seed: case(trained(), seed, 6),
    "copies": lambda seed: case(random_base(seed, sentinel=ALWAYS_COPIES), seed, 3),
    "generates": lambda seed: case(random_base(seed), seed, 2),
}


def generator_of(
    base: NativeBase, packed: Packed, decoding: Decoding | None = None, n_guessed: int = generation.N_GUESSED
) -> Generator:
    return Generator(base.model, packed, base.tokenizer.decode, decoding or Decoding(), n_guessed)


def one_by_one(base: NativeBase, packed: Packed, prompt: list[int]) -> Generated:
    """Greedy decoding without memory and without guesses."""
    generator = generator_of(base, packed, n_guessed=0)
    parts = [packed.inputs, pack_prompt(prompt, packed.t_prompt, base.dim, base.device)]
    unsaid, said, confidence = packed.copyable.clone(), list[Said](), 1.0
    while True:
        (hidden,), _ = read_on(base.model, [Inputs.join(parts)], [State.empty(base.model)])
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
        if len(said) == 32 or generation.repeats([one.token for one in said]):
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
        generator = generator_of(base, packed, n_guessed=n_guessed)
        assert all(equal(generator.answer(p), e) for p, e in zip(prompts, expected, strict=True))


def test_what_is_quoted_takes_two_forwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it is, up to the guesses."""
    base, packed, prompts = CASES["trained"](0)
    lengths: list[int] = []

    generator = generator_of(base, packed)
    original = generator._read_on

    def counted(inputs: Inputs, state: State, wanted: torch.Tensor | None = None) -> torch.Tensor:
        lengths.append(inputs.mu.shape[1])
        return original(inputs, state, wanted)

    monkeypatch.setattr(generator, "_read_on", counted)
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
            sources = [one.source for one in generator_of(base, packed).answer(prompt).said]
            assert len(sources) == len(set(sources)) or None in sources
            assert sources


def test_nothing_is_guessed_beyond_a_block() -> None:
    base, packed, _ = CASES["trained"](0)
    generator = generator_of(base, packed, n_guessed=100)
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
    generated = generator_of(base, packed).answer([QUESTION, 900, ANSWER])
    assert all(one.source is None for one in generated.said)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_drawn_answers_do_not_depend_on_guesses(seed: int) -> None:
    base, packed, prompts = CASES["trained"](0)
    decoding = Decoding(temperature=1.3, top_p=0.98, seed=seed)
    found = [[generator_of(base, packed, decoding, n).answer(prompt).said for prompt in prompts] for n in (0, 7)]
    tokens = [[[one.token for one in said] for said in answers] for answers in found]
    assert tokens[0] == tokens[1]


def test_drawing_follows_the_nucleus() -> None:
    """Against the definition: the fewest tokens that hold p, by their probability to the power of 1 / T."""
    probabilities = torch.tensor([0.1, 0.4, 0.05, 0.3, 0.15])
    for decoding, expected in (
        (Decoding(temperature=1.0, top_p=0.69), [0, 4 / 7, 0, 3 / 7, 0]),
        (Decoding(temperature=1.0, top_p=0.71), [0, 40 / 85, 0, 30 / 85, 15 / 85]),
        (Decoding(temperature=0.5), [float(p**2) for p in probabilities / probabilities.norm()]),
        (Decoding(temperature=1.0, top_p=0.01), [0, 1, 0, 0, 0]),
        (Decoding(), [0, 1, 0, 0, 0]),
    ):
        random_state = torch.Generator().manual_seed(0)
        n = 4000
        drawn = torch.bincount(
            torch.tensor([choose(probabilities, decoding, random_state) for _ in range(n)]), minlength=5
        )
        for share, p in zip((drawn / n).tolist(), expected, strict=True):
            assert abs(share - p) <= 4 * (p * (1 - p) / n) ** 0.5 + 1e-9


def test_an_answer_ends_before_a_stop_text() -> None:
    base, packed, prompts = CASES["trained"](0)
    decode = base.tokenizer.decode
    stopped = 0
    for prompt in prompts:
        whole = [one.token for one in generator_of(base, packed).answer(prompt).said]
        for at in range(1, len(whole)):
            stop = decode(whole)[len(decode(whole[:at])) :][:2]
            if not stop.strip() or decode(whole).find(stop) < len(decode(whole[:at])):
                continue
            said = generator_of(base, packed, Decoding(stop=("qqq", stop))).answer(prompt).said
            assert [one.token for one in said] == whole[:at]
            stopped += 1
    assert stopped >= 5


def test_an_answer_is_as_long_as_allowed() -> None:
    base, packed, prompts = CASES["trained"](0)
    lengths = [len(generator_of(base, packed, Decoding(max_tokens=2)).answer(prompt).said) for prompt in prompts]
    assert max(lengths) == 2


@pytest.mark.parametrize("wrong", [{"temperature": -1.0}, {"top_p": 0.0}, {"max_tokens": 0}, {"stop": ("",)}])
def test_what_cannot_be_decoded_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="temperature must be"):
        Decoding(**wrong)
