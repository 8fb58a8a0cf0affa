"""The native base's tokenizer: byte-level BPE, applied word by word so that every token belongs to one word's box.

A word always starts with the space marker, wherever it stands, so that a key in a question and the same key in a
table cell get the same tokens. Digits are taken two at a time. Nothing is ever out of vocabulary.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL_TOKENS = ("<pad>", "<end>", "<none>", "<question>", "<answer>")
PAD, END, NONE, QUESTION, ANSWER = range(len(SPECIAL_TOKENS))

_SPACE = "\u0120"
"""How byte-level vocabularies write a leading space."""
_PIECES = Regex(r" ?\p{L}+| ?\p{N}{1,2}| ?[^\s\p{L}\p{N}]|\s+")


class WordTokenizer:
    """Encodes words to token ids and back.

    Args:
        backend: A byte-level BPE from the tokenizers library whose first ids are ``SPECIAL_TOKENS``.
    """

    def __init__(self, backend: Tokenizer) -> None:
        self._backend = backend
        backend.encode_special_tokens = True  # a document that says "<answer>" says just that
        self._encode_word = lru_cache(maxsize=200_000)(self._encode_uncached)

    @classmethod
    def from_file(cls, path: Path) -> WordTokenizer:
        return cls(Tokenizer.from_file(str(path)))

    @classmethod
    def train(cls, texts: Iterator[str], vocab_size: int) -> WordTokenizer:
        """Learn merges from ``texts``; all two-digit groups are in the vocabulary whatever the texts hold."""
        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(_PIECES, "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        backend.train_from_iterator(texts, trainer)
        return cls(backend)

    @property
    def fingerprint(self) -> str:
        """Names all that decides which ids a text gets, however the library writes it down."""
        told = json.loads(self._backend.to_str())
        merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in told["model"]["merges"]]
        decides = [told["model"]["vocab"], merges, told["pre_tokenizer"], told["normalizer"]]
        return hashlib.blake2b(json.dumps(decides, sort_keys=True).encode(), digest_size=8).hexdigest()

    def save(self, path: Path) -> None:
        self._backend.save(str(path))

    @property
    def vocab_size(self) -> int:
        return int(self._backend.get_vocab_size())

    def _encode_uncached(self, word: str) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
        encoding = self._backend.encode(" " + word, add_special_tokens=False)
        spans = tuple((max(a - 1, 0), max(b - 1, 0)) for a, b in encoding.offsets)
        return tuple(encoding.ids), spans

    def encode_word(self, word: str) -> tuple[int, ...]:
        """Token ids of one word (no white space in it)."""
        return self._encode_word(word)[0]

    def word_spans(self, word: str) -> tuple[tuple[int, int], ...]:
        """For each token of ``word``, the half-open range of its characters."""
        return self._encode_word(word)[1]

    def starts_word(self, token_id: int) -> bool:
        """Whether a token can only stand at the start of a word."""
        return str(self._backend.id_to_token(token_id)).startswith(_SPACE)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, split on white space."""
        return [token for word in text.split() for token in self.encode_word(word)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids; special tokens are left out."""
        return str(self._backend.decode(list(ids), skip_special_tokens=True)).strip()
