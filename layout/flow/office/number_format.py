"""Values as a spreadsheet shows them: number formats of ECMA-376, part 1, 18.8.30 and 18.8.31, in English.

A format has up to four sections: positive numbers, negative ones, zero, text; conditions in brackets override the
first three. What a format leaves to the width of a column (fills, the padding of ``?`` and ``_``) becomes blanks.

    >>> shown(1234.5, '[$€-407]#,##0.00').text, shown(0.75, "# ?/?").text, shown("word", ";;;").text
    ('€1,234.50', '3/4', '')
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Literal

from mm_megacontext.layout.flow.office.number_dates import date_text, is_date_token
from mm_megacontext.layout.flow.office.number_digits import number_text, plain_number

Kind = Literal["general", "text", "date", "number"]

BUILT_IN = {
    0: "General", 1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00", 12: "# ?/?",
    13: "# ??/??", 14: "m/d/yyyy", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm AM/PM", 19: "h:mm:ss AM/PM",
    20: "h:mm", 21: "h:mm:ss", 22: "m/d/yyyy h:mm", 37: "#,##0_);(#,##0)", 38: "#,##0_);[Red](#,##0)",
    39: "#,##0.00_);(#,##0.00)", 40: "#,##0.00_);[Red](#,##0.00)", 41: '_(* #,##0_);_(* (#,##0);_(* "-"_);_(@_)',
    42: '_($* #,##0_);_($* (#,##0);_($* "-"_);_(@_)', 43: '_(* #,##0.00_);_(* (#,##0.00);_(* "-"??_);_(@_)',
    44: '_($* #,##0.00_);_($* (#,##0.00);_($* "-"??_);_(@_)', 45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0",
    48: "##0.0E+0", 49: "@",
}  # fmt: skip
"""Formats that a file names by number alone (18.8.30)."""

_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"?|\\(?P<escaped>.)|_(?P<space>.)|\*(?P<fill>.)|\[(?P<bracket>[^\]]*)\]'
    r"|(?P<general>General)|(?P<half>AM/PM|A/P)|(?P<exponent>E[+-])(?=[0#?])|(?P<unit>y+|m+|d+|h+|s+|b+|e+|g+)"
    r"|(?P<digit>[0#?])|(?P<sign>[.,%/@:])|(?P<literal>.)",
    re.IGNORECASE | re.DOTALL,
)
_CONDITION = re.compile(r"(<=|>=|<>|<|>|=)\s*(-?\d+(?:\.\d+)?(?:E[+-]?\d+)?)", re.IGNORECASE)
_ELAPSED = re.compile(r"h+|m+|s+", re.IGNORECASE)
_OF_THE_SYSTEM = {"[$-F800]": "dddd, mmmm d, yyyy", "[$-F400]": "h:mm:ss AM/PM"}
"""Marks for the long date and the time of the system: they replace what stands beside them."""
_COLORS = {
    "black": "000000", "blue": "0000FF", "cyan": "00FFFF", "green": "00FF00", "magenta": "FF00FF", "red": "FF0000",
    "white": "FFFFFF", "yellow": "FFFF00", "color1": "000000", "color2": "FFFFFF", "color3": "FF0000",
    "color4": "00FF00", "color5": "0000FF", "color6": "FFFF00", "color7": "FF00FF", "color8": "00FFFF",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a section: ``kind`` is a group of the pattern above, or "elapsed" for hours of more than a day."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """What is done with one kind of values.

    Attributes:
        color: Of the text, as six hexadecimal digits, where the section names one.
        condition: An operator and what the value is compared with.
    """

    tokens: tuple[Token, ...]
    kind: Kind
    color: str | None = None
    condition: tuple[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What stands in the cell, and its colour where the format names one."""

    text: str
    color: str | None = None


def shown(value: object, code: str = "General", date1904: bool = False) -> Shown:
    """A value as a format shows it.

    Args:
        value: A number, truth value or text; dates are numbers of days.
        code: The format.
        date1904: Whether day 0 is 1 January 1904.
    """
    sections = _sections(code)
    if isinstance(value, bool):
        return _text("TRUE" if value else "FALSE", sections)
    if isinstance(value, (int, float)):
        return _number(value, sections, date1904)
    return _text(str(value), sections)


def is_date_format(code: str) -> bool:
    """Whether a format shows numbers as dates or times."""
    return any(section.kind == "date" for section in _sections(code))


def _text(text: str, sections: tuple[Section, ...]) -> Shown:
    section = sections[3] if len(sections) > 3 else next((s for s in sections[-1:] if s.kind == "text"), None)
    if section is None or section.kind == "general":
        return Shown(text)
    return Shown(
        _clean("".join(text if token.text == "@" else _literal(token) for token in section.tokens)), section.color
    )


def _number(value: float, sections: tuple[Section, ...], date1904: bool) -> Shown:
    section, without_sign = _chosen(value, sections)
    if section is None:
        return Shown("")
    if section.kind == "date":
        text = date_text(Decimal(repr(value)), section.tokens, date1904)
        return Shown(_clean(text), section.color)
    amount = abs(value) if without_sign else value
    if section.kind == "text":
        return Shown(plain_number(amount), section.color)
    if section.kind == "general":
        number = plain_number(abs(amount))
        parts = (number if token.kind == "general" else _literal(token) for token in section.tokens)
        return Shown(_clean(("-" if amount < 0 else "") + "".join(parts)), section.color)
    return Shown(_clean(number_text(Decimal(repr(amount)), section.tokens)), section.color)


def _chosen(value: float, sections: tuple[Section, ...]) -> tuple[Section | None, bool]:
    """The section for a number, and whether it says itself that the number is negative."""
    numeric = sections[:3]
    if 1 < len(numeric) < 4 and numeric[-1].kind == "text" and len(sections) < 4:
        numeric = numeric[:-1]
    if not any(section.condition for section in numeric[:2]):
        if value < 0 and len(numeric) > 1:
            return numeric[1], True
        return (numeric[2] if value == 0 and len(numeric) > 2 else numeric[0]), False
    for index, section in enumerate(numeric[:2]):
        condition = section.condition
        if condition is None and len(numeric) > 2 and index == 1:
            condition = ("<", 0.0)
        elif condition is None and index == 0:
            condition = (">", 0.0)
        if condition is None or _holds(value, condition):
            return section, _implies_negative(section, index, sections)
    return (numeric[2] if len(numeric) > 2 else None if len(numeric) == 2 else Section((), "general")), False


def _implies_negative(section: Section, index: int, sections: tuple[Section, ...]) -> bool:
    """Whether a section shows negative numbers without a sign: the second, and a first one for these alone."""
    if index == 1:
        return len(sections) < 3 or section.condition is None or section.condition[0] in ("<", "<=")
    return section.condition is not None and section.condition[0] in ("<", "<=") and section.condition[1] <= 0


def _holds(value: float, condition: tuple[str, float]) -> bool:
    operator, limit = condition
    return {
        "<": value < limit,
        "<=": value <= limit,
        ">": value > limit,
        ">=": value >= limit,
        "=": value == limit,
        "<>": value != limit,
    }[operator]


@lru_cache(maxsize=1024)
def _sections(code: str) -> tuple[Section, ...]:
    parts: list[list[Token]] = [[]]
    for match in _TOKEN.finditer(code):
        kind = match.lastgroup or "literal"
        if match.group() == ";":
            parts.append([])
        elif kind != "bracket" or match["bracket"]:
            parts[-1].append(Token(kind, match[kind]))
    for mark, meant in _OF_THE_SYSTEM.items():
        if mark in code.upper():
            return _sections(meant)
    return tuple(_section(tokens) for tokens in parts[:4])


def _section(tokens: list[Token]) -> Section:
    color: str | None = None
    condition: tuple[str, float] | None = None
    kept: list[Token] = []
    for token in tokens:
        if token.kind != "bracket":
            kept.append(token)
        elif token.text.startswith("$"):
            kept.append(Token("quoted", token.text[1:].rpartition("-")[0] or token.text[1:].partition("-")[0]))
        elif token.text.replace(" ", "").lower() in _COLORS:
            color = _COLORS[token.text.replace(" ", "").lower()]
        elif found := _CONDITION.fullmatch(token.text.strip()):
            condition = (found[1], float(found[2]))
        elif _ELAPSED.fullmatch(token.text):
            kept.append(Token("elapsed", token.text.lower()))
    return Section(tuple(kept), _kind(kept), color, condition)


def _kind(tokens: list[Token]) -> Kind:
    if any(token.kind == "general" for token in tokens):
        return "general"
    if any(token.text == "@" and token.kind == "sign" for token in tokens):
        return "text"
    return "date" if any(is_date_token(token) for token in tokens) else "number"


def _literal(token: Token) -> str:
    return {"space": " ", "fill": ""}.get(token.kind, token.text)


def _clean(text: str) -> str:
    """Text without the padding that only aligns it in its column."""
    return re.sub(r" {2,}", " ", text).strip()
