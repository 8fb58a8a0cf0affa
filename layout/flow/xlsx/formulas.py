"""Formulas of conditional formats, as far as a cell and its neighbours decide them.

Whatever is not known here is told to be unknown (``UnknownFormula``), never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mm_megacontext.layout.flow.xlsx.workbook import LAST_COLUMN, LAST_ROW, Cell, Place, Value

_TOKEN = re.compile(
    r'\s*(?:"(?P<text>(?:[^"]|"")*)"|(?P<number>\d+\.?\d*(?:E[+-]?\d+)?)'
    r"|(?P<cell>\$?[A-Za-z]{1,3}\$?\d{1,7})(?![\w(.:!])|(?P<name>[A-Za-z_.]+)|(?P<sign><=|>=|<>|[-+*/^&=<>(),%]))",
    re.IGNORECASE,
)
_MOST_LETTERS = 2000
_MOST_NESTED = 40

Found = Value | None
"""What a part of a formula comes to; None for an empty cell."""


class UnknownFormula(Exception):
    """What a formula comes to cannot be told."""


def holds(formula: str, cells: Mapping[Place, Cell], place: Place, corner: Place) -> bool:
    """Whether a formula holds for a cell.

    Args:
        formula: As it stands in the file, written for the cell in the corner.
        cells: Of the sheet.
        place: The cell.
        corner: The first cell of the area that the formula is for.

    Raises:
        UnknownFormula: It has parts that are not known here.
    """
    value = value_of(formula, cells, place, corner)
    if isinstance(value, str):
        raise UnknownFormula(formula)
    return bool(value)


def value_of(formula: str, cells: Mapping[Place, Cell], place: Place, corner: Place) -> Found:
    """What a formula comes to. Raises UnknownFormula."""
    parser = _Parser(_tokens(formula), cells, place, (place[0] - corner[0], place[1] - corner[1]))
    value = parser.comparison()
    if parser.at < len(parser.tokens):
        raise UnknownFormula(formula)
    return value


def _tokens(formula: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    formula = formula.strip().removeprefix("=")
    if len(formula) > _MOST_LETTERS:
        raise UnknownFormula(f"{len(formula)} letters")
    while at < len(formula.rstrip()):
        match = _TOKEN.match(formula, at)
        if match is None:
            raise UnknownFormula(formula)
        kind = match.lastgroup or ""
        tokens.append((kind, match[kind]))
        at = match.end()
    return tokens


@dataclass(slots=True)
class _Parser:
    tokens: Sequence[tuple[str, str]]
    cells: Mapping[Place, Cell]
    place: Place
    shift: Place
    at: int = 0
    depth: int = 0

    def comparison(self) -> Found:
        self.depth += 1
        if self.depth > _MOST_NESTED:
            raise UnknownFormula("nested too deeply")
        left = self._joined()
        while self._sign() in ("=", "<>", "<", ">", "<=", ">="):
            operator = self._take()
            left = compared(left, operator, self._joined())
        self.depth -= 1
        return left

    def _joined(self) -> Found:
        left = self._sum()
        while self._sign() == "&":
            self._take()
            left = _as_text(left) + _as_text(self._sum())
        return left

    def _sum(self) -> Found:
        left = self._product()
        while self._sign() in ("+", "-"):
            plus = self._take() == "+"
            right = _as_number(self._product())
            left = _as_number(left) + (right if plus else -right)
        return left

    def _product(self) -> Found:
        left = self._power()
        while self._sign() in ("*", "/"):
            times = self._take() == "*"
            right = _as_number(self._power())
            if not times and not right:
                raise UnknownFormula("division by zero")
            left = _as_number(left) * right if times else _as_number(left) / right
        return left

    def _power(self) -> Found:
        left = self._unary()
        if self._sign() == "^":
            raise UnknownFormula("^")
        return left

    def _unary(self) -> Found:
        if self._sign() in ("-", "+"):
            minus = self._take() == "-"
            size = _as_number(self._unary_guarded())
            return -size if minus else size
        value = self._atom()
        while self._sign() == "%":
            self._take()
            value = _as_number(value) / 100.0
        return value

    def _unary_guarded(self) -> Found:
        self.depth += 1
        if self.depth > _MOST_NESTED:
            raise UnknownFormula("nested too deeply")
        value = self._unary()
        self.depth -= 1
        return value

    def _atom(self) -> Found:
        kind, text = self._next()
        if kind == "text":
            return text.replace('""', '"')
        if kind == "number":
            return float(text)
        if kind == "cell":
            cell = self._cell(text)
            return None if cell is None else cell.value
        if kind == "name":
            return self._function(text.upper())
        if text == "(":
            value = self.comparison()
            self._expect(")")
            return value
        raise UnknownFormula(text)

    def _cell(self, reference: str) -> Cell | None:
        match = re.fullmatch(r"(\$?)([A-Za-z]+)(\$?)(\d+)", reference)
        assert match is not None, "the pattern of tokens is as strict"
        column = 0
        for letter in match[2].upper():
            column = column * 26 + ord(letter) - 64
        row = int(match[4])
        row = row if match[3] else (row + self.shift[0] - 1) % LAST_ROW + 1
        column = column if match[1] else (column + self.shift[1] - 1) % LAST_COLUMN + 1
        return self.cells.get((row, column))

    def _function(self, name: str) -> Found:
        if name in ("TRUE", "FALSE") and self._sign() != "(":
            return name == "TRUE"
        self._expect("(")
        if name in ("ISERROR", "ISERR", "ISNA") and self._peek()[0] == "cell":
            cell = self._cell(self._next()[1])
            self._expect(")")
            is_na = cell is not None and cell.value == "#N/A"
            return cell is not None and cell.is_error and (name == "ISERROR" or is_na == (name == "ISNA"))
        arguments: list[Found] = []
        while self._sign() != ")":
            arguments.append(self.comparison())
            if self._sign() == ",":
                self._take()
        self._take()
        if name == "ROW" and not arguments:
            return float(self.place[0])
        if name == "COLUMN" and not arguments:
            return float(self.place[1])
        try:
            return _FUNCTIONS[name](arguments)
        except (KeyError, IndexError, ValueError, ZeroDivisionError) as e:
            raise UnknownFormula(name) from e

    def _peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def _sign(self) -> str:
        kind, text = self._peek()
        return text if kind == "sign" else ""

    def _next(self) -> tuple[str, str]:
        found = self._peek()
        self.at += 1
        return found

    def _take(self) -> str:
        return self._next()[1]

    def _expect(self, sign: str) -> None:
        if self._take() != sign:
            raise UnknownFormula(f"{sign} is missing")


def compared(left: Found, operator: str, right: Found) -> bool:
    """Two values compared as a spreadsheet does: numbers before texts before truth values, texts in any case."""
    first, second = _sortable(left, right), _sortable(right, left)
    return {
        "=": first == second,
        "<>": first != second,
        "<": first < second,
        ">": first > second,
        "<=": first <= second,
        ">=": first >= second,
    }[operator]


def _sortable(value: Found, other: Found) -> tuple[int, float, str]:
    if value is None:
        value = "" if isinstance(other, str) else False if isinstance(other, bool) else 0.0
    if isinstance(value, bool):
        return 2, float(value), ""
    return (1, 0.0, value.casefold()) if isinstance(value, str) else (0, float(value), "")


def _as_number(value: Found) -> float:
    if isinstance(value, str):
        raise UnknownFormula(value)
    return float(value or 0)


def _as_text(value: Found) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    return f"{value:.15g}" if isinstance(value, float) else value or ""


_FUNCTIONS: dict[str, Callable[[list[Found]], Found]] = {
    "TRUE": lambda a: True,
    "FALSE": lambda a: False,
    "AND": lambda a: all(_as_number(x) for x in a),
    "OR": lambda a: any(_as_number(x) for x in a),
    "NOT": lambda a: not _as_number(a[0]),
    "IF": lambda a: a[1] if _as_number(a[0]) else a[2] if len(a) > 2 else False,
    "LEN": lambda a: float(len(_as_text(a[0]))),
    "ISTEXT": lambda a: isinstance(a[0], str),
    "ISNUMBER": lambda a: isinstance(a[0], float) and not isinstance(a[0], bool),
    "ISLOGICAL": lambda a: isinstance(a[0], bool),
    "ISNONTEXT": lambda a: not isinstance(a[0], str),
    "ISBLANK": lambda a: a[0] is None,
    "ABS": lambda a: abs(_as_number(a[0])),
    "MOD": lambda a: _as_number(a[0]) % _as_number(a[1]),
    "INT": lambda a: float(_as_number(a[0]) // 1),
    "EXACT": lambda a: _as_text(a[0]) == _as_text(a[1]),
    "UPPER": lambda a: _as_text(a[0]).upper(),
    "LOWER": lambda a: _as_text(a[0]).lower(),
    "TRIM": lambda a: " ".join(_as_text(a[0]).split()),
    "LEFT": lambda a: _as_text(a[0])[: int(_as_number(a[1])) if len(a) > 1 else 1],
    "RIGHT": lambda a: _as_text(a[0])[-int(_as_number(a[1])) if len(a) > 1 else -1 :],
    "SEARCH": lambda a: float(_as_text(a[1]).casefold().index(_as_text(a[0]).casefold()) + 1),
    "FIND": lambda a: float(_as_text(a[1]).index(_as_text(a[0])) + 1),
}
