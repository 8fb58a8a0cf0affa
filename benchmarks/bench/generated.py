"""Generated documents for the benchmarks: the same seed gives the same pages, of any number, one at a time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from mm_megacontext.training.data.facts import Fact, Vocabulary
from mm_megacontext.training.data.pages import PageConfig, PageWriter
from mm_megacontext.training.data.render_pdf import render_pdf

PAGES_PER_VOCABULARY = 200
"""Keys are unique in a stretch of this many pages: the generator remembers them all, which must not count as ours."""


def write_pdf(path: Path, n_pages: int, seed: str) -> list[Fact]:
    """Write a PDF of ``n_pages`` generated pages.

    Returns:
        The facts of its first page.
    """
    writer, first = _writer(f"{seed}-0"), list[Fact]()

    def pages() -> Iterator[object]:
        nonlocal writer
        for number in range(1, n_pages + 1):
            stretch, within = divmod(number - 1, PAGES_PER_VOCABULARY)
            if not within:
                writer = _writer(f"{seed}-{stretch}")
            generated = writer.write(number)
            if number == 1:
                first.extend(generated.facts)
            yield generated.page

    render_pdf(pages(), path)
    return first


def _writer(seed: str) -> PageWriter:
    return PageWriter(Vocabulary.of_split(random.Random(seed), "test"), PageConfig())
