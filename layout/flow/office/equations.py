"""Equations of office files (OMML, ECMA-376 part 1, 22.1) as text on one line, as a person would type them."""

from __future__ import annotations

from mm_megacontext.layout.flow.html.source import Element
from mm_megacontext.layout.flow.office.elements import child, children, local

_MOST_NESTED = 60
_FENCES = (("begChr", "("), ("endChr", ")"), ("sepChr", "|"))
_ACCENTS = {"\u0302": "^", "\u0303": "~", "\u0304": "\u0304", "\u0305": "\u0305", "\u20d7": "\u20d7"}


def linear(element: Element | None, depth: int = 0) -> str:
    """An equation, or a part of one, on one line; a fraction is a/b, a power a^b, an index a_b."""
    if element is None or depth > _MOST_NESTED:
        return ""
    return "".join(_part(part, depth + 1) for part in element if isinstance(part.tag, str))


def _part(element: Element, depth: int) -> str:
    kind = local(element)
    if kind == "r":
        return "".join(text.text or "" for text in children(element, "t"))
    if kind.endswith("Pr"):
        return ""
    if kind == "f":
        over = _setting(element, "fPr", "type") == "noBar"
        top, bottom = _grouped(element, "num", depth), _grouped(element, "den", depth)
        return f"({top}, {bottom})" if over else f"{top}/{bottom}"
    if kind in ("sSup", "sSub", "sSubSup"):
        below, above = (_grouped(element, name, depth) for name in ("sub", "sup"))
        base = _grouped(element, "e", depth)
        return base + (f"_{below}" if below else "") + (f"^{above}" if above else "")
    if kind == "sPre":
        below, above = (_grouped(element, name, depth) for name in ("sub", "sup"))
        return f"_{below}^{above}{_inner(element, 'e', depth)}"
    if kind == "rad":
        degree = _inner(element, "deg", depth)
        return f"{degree or ''}\u221a{_grouped(element, 'e', depth, always=True)}"
    if kind == "d":
        return _delimited(element, depth)
    if kind == "nary":
        sign = _setting(element, "naryPr", "chr") or "\u222b"
        below, above = (_grouped(element, name, depth) for name in ("sub", "sup"))
        limits = (f"_{below}" if below else "") + (f"^{above}" if above else "")
        return f"{sign}{limits} {_inner(element, 'e', depth)}"
    if kind == "func":
        return f"{_inner(element, 'fName', depth)}({_inner(element, 'e', depth).strip('()')})"
    if kind in ("limLow", "limUpp"):
        mark = "_" if kind == "limLow" else "^"
        return f"{_inner(element, 'e', depth)}{mark}{_grouped(element, 'lim', depth)}"
    if kind == "acc":
        sign = _setting(element, "accPr", "chr") or "\u0302"
        return _inner(element, "e", depth) + _ACCENTS.get(sign, sign)
    if kind == "m":
        rows = (", ".join(linear(cell, depth) for cell in children(row, "e")) for row in children(element, "mr"))
        return f"[{'; '.join(rows)}]"
    if kind == "eqArr":
        return "; ".join(linear(line, depth) for line in children(element, "e"))
    return linear(element, depth)


def _delimited(element: Element, depth: int) -> str:
    settings = child(element, "dPr")
    begin, end, between = (_own(settings, name, usual) for name, usual in _FENCES)
    return begin + between.join(linear(part, depth) for part in children(element, "e")) + end


def _own(settings: Element | None, name: str, usual: str) -> str:
    sign = child(settings, name)
    if sign is None:
        return usual
    return next((value for key, value in sign.items() if key.rpartition("}")[2] == "val"), "")


def _setting(element: Element, holder: str, name: str) -> str:
    return _own(child(element, holder), name, "")


def _inner(element: Element, name: str, depth: int) -> str:
    return linear(child(element, name), depth)


def _grouped(element: Element, name: str, depth: int, always: bool = False) -> str:
    """A part in brackets where it is more than one name or number."""
    text = _inner(element, name, depth).strip()
    is_one = text.replace(".", "", 1).replace(",", "").isalnum() or len(text) <= 1
    is_closed = text.startswith("(") and text.endswith(")") and text.count("(") == 1
    return text if (is_one and not always) or is_closed or not text else f"({text})"
