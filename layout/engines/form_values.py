"""What is filled into a form as words of its page: each value once, painted by the file or left to the viewer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mm_megacontext.document import Box, FormField
from mm_megacontext.layout.engines.protocol import RawPage, RawWord

TICKED, UNTICKED = "\u2611", "\u2610"
OFF = "Off"
"""The value of a box that is not ticked, in all PDF files."""

_MIN_SIDE_PT = 4.0  # smaller fields are no place to fill in anything
_MAX_SIZE_PT = 12.0
_LINE_EM, _LETTER_EM = 1.3, 0.5
_MARGIN_PT = 2.0


def with_values(page: RawPage, painted: Sequence[RawWord]) -> RawPage:
    """The page with the values of its form fields among its words.

    Args:
        page: With the words that can be seen.
        painted: All words that the file paints: what a file paints so that nobody sees it stays unseen.
    """
    words = list(page.words)
    line = max((word.line for word in painted), default=0)
    for field in page.marks.fields:
        box = field.bbox
        if min(box[2] - box[0], box[3] - box[1]) < _MIN_SIDE_PT:
            continue
        if field.kind in ("checkbox", "radio", "password"):
            words = [word for word in words if not is_inside(word.box, box)]  # the sign that ticks it, a password
            words += [_tick(field, line + 1)] * (field.kind != "password")
        elif field.kind in ("text", "choice"):
            here = [word for word in painted if is_inside(word.box, box)]
            words = _without(words, _second_copy(here, field.value)) if here else [*words, *_set_value(field, line + 1)]
        line += 1 + field.value.count("\n")
    return replace(page, words=words)


def is_inside(box: Box, other: Box) -> bool:
    """Whether the middle of a box lies in another one."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return other[0] <= x <= other[2] and other[1] <= y <= other[3]


def _second_copy(here: Sequence[RawWord], value: str) -> Sequence[RawWord]:
    """The words of a value that both the page and its field paint, as the field does."""
    texts = value.split()
    is_twice = sorted(word.text for word in here) == sorted(2 * texts)
    return here[len(texts) :] if is_twice else ()


def _without(words: Sequence[RawWord], others: Sequence[RawWord]) -> list[RawWord]:
    return [word for word in words if word not in others]


def _tick(field: FormField, line: int) -> RawWord:
    sign = UNTICKED if field.value == OFF else TICKED
    return RawWord(*field.bbox, sign, field.bbox[3] - field.bbox[1], False, True, line)


def _set_value(field: FormField, line: int) -> Iterator[RawWord]:
    """The words of a value where a viewer would show them, about."""
    x0, y0, x1, y1 = field.bbox
    lines = field.value.splitlines()
    size = min(_MAX_SIZE_PT, (y1 - y0) / (_LINE_EM * max(1, len(lines))))
    for number, text in enumerate(lines):
        letter = min(_LETTER_EM * size, (x1 - x0 - 2 * _MARGIN_PT) / max(1, len(text)))
        top = y0 + (y1 - y0) * number / len(lines)
        at = 0
        for word in text.split():
            start = text.index(word, at)
            at = start + len(word)
            left, right = x0 + _MARGIN_PT + letter * start, x0 + _MARGIN_PT + letter * at
            yield RawWord(left, top, right, top + (y1 - y0) / len(lines), word, size, False, True, line + number)
