"""Reads one context after the other with one decoder, and what is the same at their beginning only once."""

from __future__ import annotations

from collections.abc import Collection
from threading import Lock
from typing import Any

from mm_megacontext.bases.hf.decoder import Decoder, cut_back, new_cache
from mm_megacontext.bases.hf.embedded import Embedded


class Refocus:
    """Remembers what was read last, with its keys and values.

    Args:
        decoder: Reads.

    Attributes:
        reused: How many entries of the last context were known already.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._known: tuple[Embedded, Any] | None = None
        self._lock = Lock()
        self.reused = 0

    def generate(self, whole: Embedded, max_tokens: int, ends: Collection[int]) -> list[int]:
        """As ``Decoder.generate``. Threads wait for each other."""
        with self._lock:
            cache, self.reused = self._beginning(whole)
            self._known = None  # an error on the way leaves a cache of neither
            said = self._decoder.generate(whole, max_tokens, ends, cache)
            self._known = (whole, cache)
            return said

    def _beginning(self, whole: Embedded) -> tuple[Any, int]:
        """The cache of what both have at the beginning; the last entry is always read, as it says what follows."""
        if self._known is None:
            return new_cache(), 0
        before, cache = self._known
        n = min(before.common(whole), len(whole) - 1)
        cut_back(cache, n)
        return cache, n
