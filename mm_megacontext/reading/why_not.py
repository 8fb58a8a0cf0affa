"""Why a question has no answer: a code for programs, and a sentence for people that says what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from mm_megacontext.reading.hints import Index
from mm_megacontext.reading.question_words import is_function_word, search_words
from mm_megacontext.reading.working_context import WorkingContext
from mm_megacontext.tree.nodes import Modality

Reason = Literal[
    "reads_no_images",
    "reads_no_text",
    "no_searchable_word",
    "no_word_found",
    "budget_too_small",
    "not_in_document",
    "not_in_what_was_read",
]
"""Messages may change, these do not. See docs/readers.md."""

REASONS: tuple[Reason, ...] = get_args(Reason)

_SAID: dict[Reason, str] = {
    "reads_no_images": "there are only pictures, and {reader} reads no pictures; the model finder points at marked "
    "objects in pictures, and a reader that sees, as api:MODEL with images, describes them",
    "reads_no_text": "there is only text, and {reader} looks at pictures alone; mmctx-tiny reads text",
    "no_searchable_word": "the question has no word that could be searched for; name what you look for",
    "no_word_found": "no word of the question stands there; it may be in another language, or spelled otherwise",
    "budget_too_small": "the budget was too small to open anything; give a larger one",
    "not_in_document": "{reader} has read all of it and finds no answer there",
    "not_in_what_was_read": "{reader} finds no answer in what was opened; a larger budget opens more, and the "
    "candidates are what fits the question best",
}


def explain(reason: Reason, reader: str) -> str:
    """The sentence for people.

    Args:
        reason: What it is.
        reader: Id of what has read.
    """
    return _SAID[reason].format(reader=reader)


def why_not(
    question: str,
    cut: WorkingContext,
    modalities: Sequence[Modality],
    index: Index,
    within: Sequence[int] | None,
) -> Reason:
    """Why nothing was found, the most certain reason first.

    Args:
        question: What was asked.
        cut: What the reader saw.
        modalities: What the reader reads.
        index: Search over the memory.
        within: Source numbers that were read, or None for all.
    """
    held: set[Modality] = {root.modality for root in cut.roots}
    if not held & {*modalities, "mixed"}:
        return "reads_no_images" if held == {"image"} else "reads_no_text"
    words = [word for word in question.split() if any(map(str.isalnum, word)) and not is_function_word(word)]
    if not words:
        return "no_searchable_word"
    if not any(entry.is_expanded for entry in cut):
        return "budget_too_small"
    if all(entry.is_expanded for entry in cut):
        return "not_in_document"
    if "text" in modalities and not index.search_text(search_words(question), 1, within):
        return "no_word_found"
    return "not_in_what_was_read"
