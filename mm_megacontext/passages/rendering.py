"""A context as text, Markdown, and messages of a chat.

Text of documents is data. However it is rendered, every line of it begins with "> ", and no line of ours does: what a
document says cannot be taken for the head of a passage, for another passage, or for an instruction of ours. The line
of a gap names headings in quotation marks, which they cannot close.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mm_megacontext.passages.images import data_url
from mm_megacontext.passages.parts import Gap, Passage, file_name

Parts = Sequence[Passage | Gap]

QUOTE = "> "
"""What every line of a document's text begins with."""
SHOWN_HEADINGS = 4
"""Headings that the line of a gap names."""
SHOWN_CHARS = 60
"""Characters of a heading that the line of a gap gives."""


def gap_line(gap: Gap) -> str:
    """What is not shown, in one line: where, of what kind, below which headings, and how much."""
    if len(gap.sources) != 1 or any(node.bbox is None for node in gap.nodes):
        files = ", ".join(file_name(source) for source in gap.sources[:SHOWN_HEADINGS])
        return f"not shown: other files{f', as {files}' if files else ''}, {_size(gap)}"
    first, last = gap.pages
    pages = f"page {first}" if first == last else f"pages {first}-{last}"
    kinds = ", ".join(sorted({node.kind for node in gap.nodes} - {"page", "pages", "document", "group"}))
    headings = [_short(heading) for heading in gap.headings[:SHOWN_HEADINGS]]
    more = len(gap.headings) - len(headings)
    names = "; ".join(headings) + (f"; {more} more" if more > 0 else "")
    told = [f"{file_name(gap.sources[0])}, {pages}", kinds, f"below {names}" if names else "", _size(gap)]
    return f"not shown: {', '.join(part for part in told if part)}"


def to_text(parts: Parts) -> str:
    """Passages as plain text, each below a line with its id and place, and a line for each gap."""
    return "\n\n".join(_rendered(parts, lambda passage: passage.text))


def to_markdown(parts: Parts) -> str:
    """Passages as Markdown: headings, and tables as tables."""
    return "\n\n".join(_rendered(parts, markdown_of))


def to_messages(
    question: str, parts: Parts, *, images: bool = True, line_of: Callable[[Gap], str] = gap_line
) -> list[dict[str, Any]]:
    """Parts of a context and the question as the messages of an OpenAI-compatible chat.

    Args:
        question: Asked of them.
        parts: What is shown.
        images: Whether the reader sees: pictures are image parts, each behind the line that says where it is.
        line_of: What is said of a gap.

    Returns:
        One message of the user, whose content is a text, or a list of parts where there are pictures.
    """
    told: list[dict[str, Any]] = []
    for part, text in zip(parts, _rendered(parts, markdown_of, line_of), strict=True):
        told.append({"type": "text", "text": f"{text}\n\n"})
        if images and isinstance(part, Passage) and part.image is not None:
            told.append({"type": "image_url", "image_url": {"url": data_url(part.image)}})
    told.append({"type": "text", "text": f"Question: {' '.join(question.split())}"})
    if all(part["type"] == "text" for part in told):
        return [{"role": "user", "content": "".join(part["text"] for part in told)}]
    return [{"role": "user", "content": _joined(told)}]


def _rendered(
    parts: Parts, text_of: Callable[[Passage], str], line_of: Callable[[Gap], str] = gap_line
) -> Iterator[str]:
    """The parts in order; headings stand above a passage where the one before it does not stand below the same."""
    known: tuple[str, ...] = ()
    for part in parts:
        if isinstance(part, Gap):
            yield f"[{part.id}: {line_of(part)}]"
        else:
            yield _render_passage(part, text_of, known)
            known = (*part.headings, part.text) if part.kind == "heading" else part.headings


def markdown_of(passage: Passage) -> str:
    """The text of a passage as Markdown."""
    if passage.kind == "heading":
        return f"{'#' * min(len(passage.headings) + 1, 6)} {passage.text}"
    if passage.kind == "table" and passage.rows:
        header, *body = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in passage.rows]
        return "\n".join([header, f"|{' --- |' * len(passage.rows[0])}", *body])
    return passage.text


def _size(gap: Gap) -> str:
    tokens = sum(node.n_leaves for node in gap.nodes if not node.is_image)
    pictures = sum(node.is_image for node in gap.nodes)
    counts = [f"about {tokens} tokens" * bool(tokens)]
    counts.append(f"{pictures} picture{'s' if pictures > 1 else ''}" * bool(pictures))
    return " and ".join(filter(None, counts))


def _short(heading: str) -> str:
    """A heading in quotation marks; it is text of the document, so brackets and marks in it are taken out."""
    bare = "".join(c for c in heading if c not in '[]"')
    return f'"{bare if len(bare) <= SHOWN_CHARS else bare[: SHOWN_CHARS - 1] + "…"}"'


def _render_passage(passage: Passage, text_of: Callable[[Passage], str], known: tuple[str, ...]) -> str:
    lines = [f"[{passage.id}] {passage.place}, {passage.kind}"]
    if passage.headings and passage.headings != known:
        lines.append(f"{QUOTE}({' / '.join(passage.headings)})")
    if text := text_of(passage):
        lines += [QUOTE + line for line in text.split("\n")]
    return "\n".join(lines)


def _joined(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Texts that follow each other as one part."""
    out: list[dict[str, Any]] = []
    for part in parts:
        if out and part["type"] == out[-1]["type"] == "text":
            out[-1] = {"type": "text", "text": out[-1]["text"] + part["text"]}
        else:
            out.append(part)
    return out
