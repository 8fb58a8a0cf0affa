"""Learn the tokenizer of ``mmctx-tiny`` from English text, invented words of the training split, and numbers.

The corpus is the documentation of the standard library (``pydoc_data.topics`` and the docstrings of its modules),
which makes the recipe reproducible without a download.
"""

from __future__ import annotations

import ast
import random
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics

from mm_megacontext.bases.tokenizer import WordTokenizer
from mm_megacontext.training.data.words import BUSINESS_WORDS, invent_lexicon

VOCAB_SIZE = 4096


def docstrings(root: Path) -> Iterator[str]:
    """All docstrings of the Python files directly in ``root`` and one level below."""
    for path in sorted([*root.glob("*.py"), *root.glob("[a-z]*/*.py")]):
        if "site-packages" in path.parts or "test" in path.parts:
            continue
        try:
            module = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(module):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node)
                if text:
                    yield text


def corpus(seed: int = 0) -> Iterator[str]:
    """Prose, the words of forms in three letter cases, invented training words, and every group of two digits."""
    yield from topics.values()
    yield from docstrings(Path(sysconfig.get_path("stdlib")))
    rng = random.Random(seed)
    for word in BUSINESS_WORDS:
        yield from [f"{word} {word.capitalize()} {word.upper()}"] * 40
    for word in invent_lexicon(seed, "train", 30_000):
        yield f"{word} {word} {word.capitalize()} {word.capitalize()}"
    for _ in range(200):
        yield " ".join(f"{rng.randrange(100):02d}{rng.randrange(100):02d}" for _ in range(100))
        yield " ".join(f"{n}" for n in range(100))


def train_tokenizer(out: Path) -> WordTokenizer:
    """Learn it and write ``out`` (tokenizer.json)."""
    tokenizer = WordTokenizer.train(corpus(), VOCAB_SIZE)
    tokenizer.save(out)
    return tokenizer


if __name__ == "__main__":
    train_tokenizer(Path(__file__).parent.parent / "bases" / "weights" / "tokenizer.json")
