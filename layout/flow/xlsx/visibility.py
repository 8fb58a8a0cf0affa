"""Which cells of a sheet a person sees, and what they look like: conditions, tables and fills taken together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mm_megacontext.document import HiddenReason, Rgb
from mm_megacontext.layout.flow.office.colors import BLACK, SMALLEST_PT, WHITE, Ink, hex_rgb, why_unseen
from mm_megacontext.layout.flow.office.number_format import shown
from mm_megacontext.layout.flow.xlsx.formulas import UnknownFormula, compared, holds, value_of
from mm_megacontext.layout.flow.xlsx.styles import Fill, Look, Styles
from mm_megacontext.layout.flow.xlsx.workbook import Area, Cell, Place, Rule, Sheet

_FAR_ROWS, _FAR_COLUMNS = 2_000, 200
"""Empty rows and columns between a cell and all others that nobody scrolls across."""
_COMPARISONS = {
    "equal": "=", "notEqual": "<>", "lessThan": "<", "greaterThan": ">", "lessThanOrEqual": "<=",
    "greaterThanOrEqual": ">=",
}  # fmt: skip
_PLAIN_HEADERS = tuple(f"TableStyleLight{n}" for n in range(1, 8))


@dataclass(frozen=True, slots=True)
class Seen:
    """How a cell looks in the end.

    Attributes:
        paper: What is behind its text; None where that is not one colour.
        hides_value: Whether a bar or a symbol stands in place of the value.
    """

    look: Look
    paper: Rgb | None
    hides_value: bool = False


class SheetLooks:
    """The looks of the cells of one sheet."""

    def __init__(self, sheet: Sheet, styles: Styles) -> None:
        self._sheet, self._styles = sheet, styles
        self._rules = sorted(sheet.rules, key=lambda rule: rule.priority)
        self._rows = _reachable(sorted({row for row, _ in sheet.cells}), _FAR_ROWS)
        self._columns = _reachable(sorted({column for _, column in sheet.cells}), _FAR_COLUMNS)
        self._covered = [area for area in sheet.merged if area.top != area.bottom or area.left != area.right]

    def seen(self, place: Place, cell: Cell) -> Seen:
        """How a cell looks; where a condition cannot be told, as if it held, should it hide the cell."""
        look, base = self._styles.cell(cell.style), self._of_table(place)
        holding = list(self._holding(place, cell))
        seen = self._with_rules(look, base, [rule for rule, is_sure in holding if is_sure])
        if all(is_sure for _, is_sure in holding):
            return seen
        perhaps = self._with_rules(look, base, [rule for rule, _ in holding])
        return seen if self._is_shown(perhaps, cell) else perhaps

    def why_hidden(self, place: Place) -> HiddenReason | None:
        """Why a cell is not seen, whatever it looks like."""
        if self._sheet.is_hidden(place) or any(a.holds(place) and place != (a.top, a.left) for a in self._covered):
            return "not displayed"
        if place[0] > self._rows or place[1] > self._columns:
            return "outside the page"
        return None

    @staticmethod
    def why_unseen(seen: Seen, look: Look, color: str | None) -> HiddenReason | None:
        """Why text is not seen in a cell.

        Args:
            seen: The cell.
            look: Of the part of its text.
            color: That the number format gives.
        """
        size = look.size if look.size is not None else seen.look.size
        if size is not None and size <= SMALLEST_PT:
            return "smaller than 1 pt"
        ink = hex_rgb(color) or look.ink or seen.look.ink or BLACK
        return why_unseen(Ink(ink), seen.paper)

    def _is_shown(self, seen: Seen, cell: Cell) -> bool:
        text = shown(cell.value, seen.look.code or "General")
        return bool(text.text) and not seen.hides_value and self.why_unseen(seen, Look(), text.color) is None

    def _with_rules(self, look: Look, base: Look, rules: list[Rule]) -> Seen:
        changes = Look()
        for rule in rules:
            changes = rule.change.under(changes)
        whole = base.under(look).under(changes)
        paper = WHITE if whole.fill is None else whole.fill.rgb
        return Seen(whole, paper, any(rule.hides_value for rule in rules))

    def _of_table(self, place: Place) -> Look:
        """What the style of a table gives a cell of it."""
        for table in self._sheet.tables:
            if table.area.holds(place):
                is_header = place[0] < table.area.top + table.n_header
                own = self._styles.tables.get(table.style)
                if own is not None:
                    header = own.get("headerRow", Look()) if is_header else Look()
                    whole = own.get("wholeTable", Look()).under(header)
                    is_banded = any(name.endswith("Stripe") and part.fill for name, part in own.items())
                    return replace(whole, fill=Fill(None)) if is_banded and not is_header else whole
                return _built_in(table.style, is_header)
        return Look()

    def _holding(self, place: Place, cell: Cell) -> Iterator[tuple[Rule, bool]]:
        """The rules that hold for a cell, and whether that is sure."""
        for rule in self._rules:
            area = next((area for area in rule.areas if area.holds(place)), None)
            if area is None:
                continue
            try:
                is_sure, holding = True, self._holds(rule, cell, place, rule.areas)
            except UnknownFormula:
                is_sure, holding = False, True
            if holding:
                yield rule, is_sure
                if rule.stops and is_sure:
                    return

    def _holds(self, rule: Rule, cell: Cell, place: Place, areas: tuple[Area, ...]) -> bool:
        corner = (min(area.top for area in areas), min(area.left for area in areas))
        cells, kind, value = self._sheet.cells, rule.kind, cell.value
        if kind in ("dataBar", "iconSet", "colorScale"):
            return isinstance(value, float)
        if kind == "cellIs" and rule.formulas:
            limits = [value_of(formula, cells, place, corner) for formula in rule.formulas]
            if rule.operator in _COMPARISONS:
                return compared(value, _COMPARISONS[rule.operator], limits[0])
            if rule.operator in ("between", "notBetween") and len(limits) > 1:
                inside = compared(value, ">=", limits[0]) and compared(value, "<=", limits[1])
                return inside == (rule.operator == "between")
        text = value.casefold() if isinstance(value, str) else ""
        wanted = rule.text.casefold()
        simple = {
            "containsBlanks": not text.strip() and isinstance(value, str),
            "notContainsBlanks": bool(text.strip()) or not isinstance(value, str),
            "containsErrors": cell.is_error,
            "notContainsErrors": not cell.is_error,
            "containsText": bool(wanted) and wanted in text,
            "notContainsText": wanted not in text,
            "beginsWith": bool(wanted) and text.startswith(wanted),
            "endsWith": bool(wanted) and text.endswith(wanted),
        }
        if kind in simple and (wanted or ("Text" not in kind and "With" not in kind)):
            return simple[kind]
        if kind == "expression" and rule.formulas:
            return holds(rule.formulas[0], cells, place, corner)
        raise UnknownFormula(kind)


def _built_in(style: str, is_header: bool) -> Look:
    """What a style that comes with Excel gives: headers of most are white on an accent of the theme."""
    if is_header:
        is_plain = not style or style in _PLAIN_HEADERS or not style.startswith("TableStyle")
        return Look() if is_plain else Look(ink=WHITE, fill=Fill(None))
    return Look(fill=Fill(None)) if style.startswith("TableStyleDark") else Look()


def _reachable(numbers: list[int], most: int) -> int:
    """The last of the rows or columns that come one after the other without too large a gap."""
    last = numbers[0] if numbers else 0
    for number in numbers:
        if number - last > most:
            break
        last = number
    return last
