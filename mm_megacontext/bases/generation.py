"""Generation of quoted answers: a token is said, and what stands behind it in the source is guessed to follow.

Guesses are checked all at once in the next forward, so an answer that is quoted takes about two forwards, whatever its
length, and says what it would have said token by token (prompt lookup decoding, Saxena 2023; speculative decoding,
Leviathan et al. 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mm_megacontext.bases.native import Inputs, NativeModel
from mm_megacontext.bases.native_state import State, read_on
from mm_megacontext.bases.packing import Packed, pack_prompt
from mm_megacontext.bases.tokenizer import ANSWER, END, NONE, PAD, QUESTION

LEAST_QUOTED = 0.1
"""Probability that one leaf must give a token for the token to count as copied from it."""
N_GUESSED = 7
"""Leaves that are guessed to follow a quoted one."""
_SPECIAL = [PAD, QUESTION, ANSWER]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How tokens are chosen, and when an answer ends besides at its end token or when it repeats itself.

    Attributes:
        temperature: 0 takes the likeliest token; above, tokens are drawn from ``p ** (1 / temperature)``.
        top_p: They are drawn from the fewest tokens that hold this much probability (nucleus sampling, Holtzman et
            al. 2020).
        seed: Of the draws of one answer: the same question to the same context gets the same answer.
        max_tokens: The longest answer.
        stop: An answer ends before any of these texts.
        quotes_only: Whether an answer of which no token was copied from a leaf is none: a small model invents it.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    max_tokens: int = 32
    stop: tuple[str, ...] = ()
    quotes_only: bool = True

    def __post_init__(self) -> None:
        if not (self.temperature >= 0 and 0 < self.top_p <= 1 and self.max_tokens >= 1 and all(self.stop)):
            raise ValueError(
                "temperature must be >= 0, top_p in (0, 1], max_tokens >= 1 and stop texts not empty; got "
                f"{self.temperature}, {self.top_p}, {self.max_tokens} and {self.stop}"
            )


class Said(NamedTuple):
    """One token of an answer.

    Attributes:
        token: Its id.
        source: The position in the context that it was copied from, None if it was made up from the vocabulary.
        mass: How much of its probability came from there.
    """

    token: int
    source: int | None
    mass: float


@dataclass(frozen=True, slots=True)
class Generated:
    """An answer, without its end token, and the probability of all of it, end token included."""

    said: tuple[Said, ...]
    confidence: float


class Generator:
    """Answers questions to one packed working context, which is read once.

    Args:
        model: Reads and answers.
        packed: The context.
        decode: Token ids to text; only asked where there are stop texts.
        decoding: How tokens are chosen.
        n_guessed: Leaves to guess ahead; changes how long an answer takes, not what it says.
    """

    def __init__(
        self,
        model: NativeModel,
        packed: Packed,
        decode: Callable[[Sequence[int]], str],
        decoding: Decoding,
        n_guessed: int = N_GUESSED,
    ) -> None:
        self._model, self._packed, self._n_guessed = model, packed, n_guessed
        self._decode, self._decoding = decode, decoding
        self._context_ids = packed.inputs.token_ids[0]
        self._hidden: Tensor | None = None
        self._state = State.empty(model)

    def answer(self, prompt: Sequence[int]) -> Generated:
        """Say token after token until that is an end token, a stop text is there, or the answer is long enough."""
        with torch.inference_mode():
            return self._generate(self._read(pack_prompt(prompt, self._packed.t_prompt, *self._form)), len(prompt))

    @property
    def _form(self) -> tuple[int, torch.device]:
        return self._model.config.dim, self._context_ids.device

    def _read(self, prompt: Inputs) -> Tensor:
        """The hidden state that is about to answer, (1, 1, dim); the first time, the context is read with it.

        Of the context, only what can be copied is looked at again.
        """
        last = torch.arange(prompt.mu.shape[1], device=self._context_ids.device) == prompt.mu.shape[1] - 1
        if self._hidden is None:
            copyable = self._packed.copyable
            hidden = self._read_on(Inputs.join([self._packed.inputs, prompt]), self._state, torch.cat((copyable, last)))
            self._hidden = hidden.new_zeros(1, len(copyable), hidden.shape[-1])
            self._hidden[:, copyable] = hidden[:, :-1]
        else:
            hidden = self._read_on(prompt, self._state.keep(len(self._packed)), last)
        return hidden[:, -1:]

    def _read_on(self, inputs: Inputs, state: State, wanted: Tensor | None = None) -> Tensor:
        (hidden,), (self._state,) = read_on(self._model, [inputs], [state], None if wanted is None else [wanted])
        return hidden

    def _generate(self, states: Tensor, n_prompt: int) -> Generated:
        said: list[Said] = []
        confidence = 1.0
        guesses: list[int] = []
        unsaid = self._packed.copyable.clone()
        random = torch.Generator().manual_seed(self._decoding.seed)
        while True:
            n_certain = len(self._state) - len(guesses)
            probabilities, copied = self._next(states, self._copyable(unsaid, guesses))
            for n_right, guess in enumerate([*guesses, None]):
                token = choose(probabilities[n_right], self._decoding, random)
                confidence *= float(probabilities[n_right, token])
                if token in (END, NONE):
                    return Generated(tuple(said), confidence)
                source, mass = _quoted(copied[n_right] * (self._context_ids == token))
                said.append(Said(token, source, mass))
                if source is not None:
                    unsaid[source] = False  # an answer quotes a leaf once
                n_kept = self._end(said)
                if n_kept is not None:
                    return Generated(tuple(said[:n_kept]), confidence)
                if source is None or source != guess:
                    break
            guesses = self._guess(source, unsaid)
            inputs = self._continuation(said[-1], n_prompt + len(said) - 1, guesses)
            states = self._read_on(inputs, self._state.keep(n_certain + n_right))

    def _end(self, said: Sequence[Said]) -> int | None:
        """How many tokens the answer has if it ends here, None if it goes on."""
        ids = [one.token for one in said]
        if self._decoding.stop:
            text = self._decode(ids)
            begin = min((at for stop in self._decoding.stop if (at := text.find(stop)) >= 0), default=None)
            if begin is not None:
                return max(n for n in range(len(ids)) if len(self._decode(ids[:n])) <= begin)
        return len(ids) if len(ids) == self._decoding.max_tokens or repeats(ids) else None

    def _copyable(self, unsaid: Tensor, guesses: Sequence[int]) -> Tensor:
        """(1 + guesses, context) bool: what can be copied if so many guesses are right."""
        copyable = unsaid.repeat(1 + len(guesses), 1)
        for n, guess in enumerate(guesses, 1):
            copyable[n:, guess] = False
        return copyable

    def _next(self, states: Tensor, copyable: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities of the next token (states, vocab), and what each entry of the context adds by copying."""
        assert self._hidden is not None, "the context is read before anything is said"
        generated = torch.softmax(self._model.vocabulary_logits(states)[0].float(), dim=-1)
        generated[:, _SPECIAL] = 0
        if not bool(copyable.any()):
            return generated, torch.zeros_like(copyable, dtype=torch.float32)
        pointing, generating = self._model.copy_head(states, self._hidden, copyable[None])
        copied = pointing[0].exp() * copyable
        ids = self._context_ids.expand(len(copied), -1)
        return (generated * generating[0, :, None].exp()).scatter_add(1, ids, copied), copied

    def _guess(self, source: int | None, unsaid: Tensor) -> list[int]:
        """The leaves that stand behind ``source`` in its block."""
        if source is None:
            return []
        origin, ahead = self._packed.origin, range(source + 1, min(source + 1 + self._n_guessed, len(self._packed)))
        leaf = origin[source]
        assert leaf is not None, "only leaves can be copied"
        guesses: list[int] = []
        for at in ahead:
            other = origin[at]
            if other is None or other[0] != leaf[0] or not bool(unsaid[at]):
                break
            guesses.append(at)
        return guesses

    def _continuation(self, last: Said, n_before: int, guesses: Sequence[int]) -> Inputs:
        """What was said last and what is guessed to follow, as inputs.

        A quotation stands where its leaf stands; what is made up stands behind the prompt, where its turn comes.
        """
        sources = [last.source, *guesses]
        ids = [last.token, *self._context_ids[guesses].tolist()]
        inputs = pack_prompt(ids, self._packed.t_prompt + n_before, *self._form)
        for i, source in enumerate(sources):
            if source is not None:
                inputs.mu[0, i] = self._packed.inputs.mu[0, source]
                inputs.sigma[0, i] = 0.0
        return inputs


def choose(probabilities: Tensor, decoding: Decoding, random: torch.Generator) -> int:
    """A token by its probability (vocab,)."""
    if decoding.temperature == 0:
        return int(probabilities.argmax())
    ranked, ids = probabilities.double().sort(descending=True)
    before = ranked.cumsum(0) - ranked
    weights = torch.where(before < decoding.top_p * ranked.sum(), ranked, 0.0) ** (1 / decoding.temperature)
    return int(ids[torch.multinomial(weights.cpu(), 1, generator=random)])


def _quoted(mass: Tensor) -> tuple[int | None, float]:
    """The entry that a token was copied from, unless it was made up from the vocabulary, and its share."""
    if not len(mass):
        return None, 0.0
    best = int(mass.argmax())
    share = float(mass[best])
    return (best if share >= LEAST_QUOTED else None), share


def repeats(ids: Sequence[int]) -> bool:
    """Whether the last tokens say the same thing three times over."""
    return any(n * 3 <= len(ids) and ids[-n:] == ids[-2 * n : -n] == ids[-3 * n : -2 * n] for n in (2, 3, 4, 5))
