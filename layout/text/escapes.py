"""Characters that Markdown would take for marks: a backslash before them, and how to read such text."""

from __future__ import annotations

import re

_PUNCTUATION = r"[!-/:-@\[-`{-~]"
_ESCAPED = re.compile(rf"\\({_PUNCTUATION})")
_MARKS = re.compile(
    rf"\\(?={_PUNCTUATION}|$)"  # a backslash of the text's own
    r"|`|(?<!\s)\*|\*(?!\s)"  # code; emphasis, unless a star stands alone
    r"|(?<![^\W_])_(?=\S)|(?<=\S)_(?![^\W_])"  # emphasis, unless within a word
    r"|~(?=~)|<(?=[A-Za-z/!?])|&(?=#?\w+;)|\[(?=[^\[\]]*\][(\[:])"
)
_FIRST = re.compile(r"(#{1,6}|[-+>])(?=\s|$)|>|(=+|-+)$")
_NUMBER = re.compile(r"(\d{1,9})([.)])(?=\s|$)")


def unescaped(text: str) -> str:
    r"""Text of a Markdown file as it is read.

    >>> unescaped(r"a\|b \*c\* C:\dir")
    'a|b *c* C:\\dir'
    """
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text


def escaped(text: str) -> str:
    r"""One line of text within Markdown.

    >>> print(escaped("2 * 3 *sic* snake_case _x_ <b> C:\\dir"))
    2 * 3 \*sic\* snake_case \_x\_ \<b> C:\dir
    """
    return _MARKS.sub(r"\\\g<0>", text)


def escaped_paragraph(text: str) -> str:
    r"""The same at the beginning of a paragraph, where more is taken for a mark: of headings, lists, quotes, rules.

    >>> print(escaped_paragraph("# 5"), escaped_paragraph("1. May"), escaped_paragraph("-5"))
    \# 5 1\. May -5
    """
    inner = escaped(text)
    if _FIRST.match(inner):
        return f"\\{inner}"
    return _NUMBER.sub(r"\1\\\2", inner, count=1) if _NUMBER.match(inner) else inner


def escaped_cell(text: str) -> str:
    r"""The same in the cell of a table.

    >>> print(escaped_cell("a|b"))
    a\|b
    """
    return escaped(text).replace("|", "\\|")
