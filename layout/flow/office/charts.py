"""Charts of any kind, as DrawingML writes them: their titles, and the numbers that the file keeps as tables."""

from __future__ import annotations

from collections.abc import Iterator

from mm_megacontext.layout.flow.flow import FlowCell, FlowItem, FlowTable, Paragraph, Run
from mm_megacontext.layout.flow.html.source import Element, parse_xml
from mm_megacontext.layout.flow.office.elements import child, children, local, number
from mm_megacontext.layout.flow.office.number_format import shown
from mm_megacontext.layout.tables.cells import role_of

_MOST_POINTS = 20_000


def chart_items(data: bytes) -> Iterator[FlowItem]:
    """The title of a chart, and its numbers as tables. Raises etree.XMLSyntaxError, ValueError."""
    chart = child(parse_xml(data), "chart")
    if chart is None:
        raise ValueError("it holds no chart")
    title = _text(child(chart, "title", "tx"))
    if title:
        yield Paragraph((Run(title),), "caption")
    area = child(chart, "plotArea")
    for plot in () if area is None else area:
        series = list(children(plot, "ser"))
        if series:
            table = _table(series)
            if table is not None:
                yield table


def _table(series: list[Element]) -> FlowTable | None:
    names = [_name(one, index) for index, one in enumerate(series, 1)]
    columns = [_points(one, "val", "yVal") for one in series]
    keys: dict[int, str] = {}
    for one in series:
        keys |= {index: text for index, text in _points(one, "cat", "xVal").items() if index not in keys}
    places = sorted(set(keys).union(*columns))
    if not places or len(places) * len(series) > _MOST_POINTS:
        return None
    rows = [["", *names], *([keys.get(i, str(i + 1)), *(column.get(i, "") for column in columns)] for i in places)]
    cells = [
        FlowCell(y, x, (Run(text),) if text else (), role_of(y, x))
        for y, row in enumerate(rows)
        for x, text in enumerate(row)
    ]
    return FlowTable(tuple(cells), len(rows), len(rows[0]))


def _name(series: Element, index: int) -> str:
    return _text(child(series, "tx")) or f"Series {index}"


def _points(series: Element, *names: str) -> dict[int, str]:
    """The values of a series by their places, as the file keeps them; numbers as their format shows them."""
    found: dict[int, str] = {}
    for holder in children(series, *names):
        for cache in (e for e in holder.iter() if isinstance(e.tag, str)):
            if local(cache) not in ("numCache", "numLit", "strCache", "strLit", "lvl"):
                continue
            code_of_all = child(cache, "formatCode")
            usual = (code_of_all.text if code_of_all is not None else None) or "General"
            for point in children(cache, "pt"):
                value = child(point, "v")
                text = (value.text or "") if value is not None else ""
                if local(cache).startswith("num"):
                    text = _number(text, point.get("formatCode") or usual)
                place = int(number(point.get("idx")))
                found[place] = f"{text} {found[place]}" if local(cache) == "lvl" and place in found else text
    return found


def _number(text: str, code: str) -> str:
    try:
        return shown(float(text), code).text
    except ValueError:
        return text


def _text(holder: Element | None) -> str:
    """The text of a title or name: written there, or kept from a cell."""
    if holder is None:
        return ""
    rich = [part.text or "" for part in holder.iter() if isinstance(part.tag, str) and local(part) == "t"]
    kept = [part.text or "" for part in holder.iter() if isinstance(part.tag, str) and local(part) == "v"]
    return " ".join("".join(rich or kept).split())
