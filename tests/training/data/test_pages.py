"""Generated pages: everything they state is where they say."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import get_args

import pytest

from mm_megacontext.bases.packing import UNLEARNT_ROLES
from mm_megacontext.document import Box, Region, RegionKind, Word
from mm_megacontext.training.data.corpus import write_pages
from mm_megacontext.training.data.facts import Fact, Vocabulary
from mm_megacontext.training.data.pages import PAGE_HEIGHT, PAGE_WIDTH, GeneratedPage, PageConfig, page_box
from tests.training.data.test_facts import small_vocabulary

SEEDS = range(12)
TOLERANCE = 1e-6
"""Points: sums of floats."""


def words(region: Region) -> Iterator[Word]:
    lines = region.lines if region.table is None else [line for cell in region.table.cells for line in cell.lines]
    for line in lines:
        yield from line.words


def pages(seed: int, config: PageConfig | None = None, n: int = 2) -> list[GeneratedPage]:
    vocabulary = Vocabulary.of_split(random.Random(seed), "dev")
    return write_pages(vocabulary, n, config or PageConfig(n_facts=random.Random(seed).choice((3, 10, 22))))


def is_inside(inner: Box, outer: Box) -> bool:
    return (
        inner[0] >= outer[0] - TOLERANCE
        and inner[1] >= outer[1] - TOLERANCE
        and inner[2] <= outer[2] + TOLERANCE
        and inner[3] <= outer[3] + TOLERANCE
    )


def test_roles_that_are_read_as_text_are_on_no_page() -> None:
    """A role that training learns must not be kept from the model; one that it does not, must."""
    kinds = {region.kind for seed in SEEDS for page in pages(seed) for region in page.page.regions}
    assert {*kinds, *UNLEARNT_ROLES} == {*get_args(RegionKind)} - {"figure", "scan"}
    assert kinds.isdisjoint(UNLEARNT_ROLES)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_word_is_inside_its_region(seed: int) -> None:
    for page in pages(seed):
        for region in page.page.regions:
            own = list(words(region))
            assert own
            assert all(is_inside(word.bbox, region.bbox) for word in own)
            if region.table is not None:
                for cell in region.table.cells:
                    assert all(is_inside(w.bbox, cell.bbox) for line in cell.lines for w in line.words)


@pytest.mark.parametrize("seed", range(60))
def test_every_word_is_on_its_page(seed: int) -> None:
    for filler in (0.0, 0.6):
        for page in pages(seed, PageConfig(n_facts=22, filler=filler)):
            for region in page.page.regions:
                outside = [w for w in words(region) if not is_inside(w.bbox, page_box())]
                assert not outside, f"{region.kind}: {outside[:2]} on {PAGE_WIDTH} x {PAGE_HEIGHT}"


@pytest.mark.parametrize("seed", SEEDS)
def test_values_and_keys_stand_where_they_are_noted(seed: int) -> None:
    for page in pages(seed):
        on_page = {id(word): word for region in page.page.regions for word in words(region)}
        assert set(page.value_words) | set(page.key_words) <= set(on_page)
        for index, fact in enumerate(page.facts):
            value = [on_page[i].text for i, f in page.value_words.items() if f == index]
            assert stripped(value) == stripped(list(fact.value))
            key = [on_page[i].text for i, owners in page.key_words.items() if index in owners]
            assert sorted(stripped(key)) == sorted((*fact.key, *fact.column))


def stripped(texts: list[str]) -> list[str]:
    """Words without the punctuation that follows keys and values in running text."""
    return [text.rstrip(".,:") for text in texts]


@pytest.mark.parametrize("seed", SEEDS)
def test_words_of_a_line_do_not_overlap(seed: int) -> None:
    for page in pages(seed):
        for region in page.page.regions:
            for line in region.lines:
                ordered = sorted(line.words, key=lambda w: w.bbox[0])
                for a, b in itertools.pairwise(ordered):
                    is_same_row = abs(a.bbox[1] - b.bbox[1]) < TOLERANCE
                    assert not is_same_row or a.bbox[2] <= b.bbox[0] + TOLERANCE


def name_of(fact: Fact) -> str:
    return " ".join((*fact.key, "|", *fact.column)).lower()


@pytest.mark.parametrize("seed", range(20))
def test_no_key_is_stated_twice_in_a_document(seed: int) -> None:
    """And every one is remembered as it is stated, so that chance cannot bring it again."""
    vocabulary = small_vocabulary(seed, size=400)
    facts = [fact for page in write_pages(vocabulary, 3, PageConfig(n_facts=8)) for fact in page.facts]
    names = [name_of(fact) for fact in facts]
    assert len(set(names)) == len(names)
    assert {" ".join(fact.key).lower() for fact in facts} <= vocabulary.used


def test_a_page_states_no_more_facts_than_asked() -> None:
    """But for the last table, which is not cut in two."""
    for seed in SEEDS:
        for page in pages(seed, PageConfig(n_facts=4)):
            kinds = [fact.kind for fact in page.facts]
            assert kinds
            assert len(kinds) - kinds.count("cell") <= 4


def test_all_layouts_are_met() -> None:
    made = [page for seed in range(25) for page in pages(seed)]
    assert {fact.kind for page in made for fact in page.facts} == {"form", "form_above", "sentence", "cell"}
    kinds = {region.kind for page in made for region in page.page.regions}
    assert kinds == {"text", "form", "table", "heading"}
    assert any(w.bbox[0] > PAGE_WIDTH / 2 for page in made for w in words(page.page.regions[-1])), "two columns"


def test_pages_depend_on_the_seed_alone() -> None:
    assert [p.page for p in pages(3)] == [p.page for p in pages(3)]
    assert [p.page for p in pages(3)] != [p.page for p in pages(4)]
