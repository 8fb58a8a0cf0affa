"""How many tokens a text takes where the model's tokenizer is not known: an estimate that is hardly ever too low."""

from __future__ import annotations

import math
import re

LETTERS_PER_TOKEN = 4
"""Of ASCII words: vocabularies of 32 000 tokens and more hold most English words whole, and longer pieces of others."""
BYTES_PER_TOKEN = 2
"""Of other letters, in UTF-8."""
PIXELS_PER_TOKEN = 28
"""Side of the square of a picture that becomes one token, of the models that take most of them."""
LEAST_PICTURE = 256
"""Tokens that some models take for any picture, however small."""

ESTIMATED = "estimated tokens"
"""The unit of a budget that is counted so."""

_PIECES = re.compile(r"[^\W\d_]+|\s+|.", re.DOTALL)


def estimate_tokens(text: str) -> int:
    """Tokens of a text, estimated from above: digits and marks count one each, words by their length.

    Example:
        >>> estimate_tokens("Rent: 1,480.00 EUR")
        11
    """
    return sum(_tokens_of(piece) for piece in _PIECES.findall(text))


def estimate_picture(width: int, height: int) -> int:
    """Tokens of a picture of so many pixels, estimated from above."""
    return max(LEAST_PICTURE, math.ceil(width / PIXELS_PER_TOKEN) * math.ceil(height / PIXELS_PER_TOKEN))


def _tokens_of(piece: str) -> int:
    if piece.isspace():
        return piece.count("\n")
    if piece.isascii():
        return math.ceil(len(piece) / LETTERS_PER_TOKEN)
    return math.ceil(len(piece.encode("utf-8", "replace")) / BYTES_PER_TOKEN)
