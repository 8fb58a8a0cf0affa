"""Memberships of layers (OCMD, PDF 32000-1, 8.11.2.2) as viewers follow them: MuPDF knows no visibility expressions.

What a membership comes to is worked out here, from the states of the layers in the file's default configuration, and
put into the open document, not into the file, in the plainest of terms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_REFERENCE = re.compile(r"(\d+) \d+ R")
_TOKEN = re.compile(r"[\[\]]|/[A-Za-z]+|\d+ \d+ R")
_MAX_DEPTH = 32  # of expressions; what is deeper is taken for true


def settle_memberships(pdf: Any) -> None:
    """Have MuPDF show and hide what memberships in layers say, in a PDF that is open in PyMuPDF.

    A membership that cannot be made out stays as it is.
    """
    try:
        is_on = _states(pdf)
    except Exception:  # MuPDF's errors have no class in common with those of its binding
        return
    if not is_on:
        return
    for number in range(1, pdf.xref_length()):
        try:
            if pdf.xref_get_key(number, "Type") == ("name", "/OCMD"):
                _settle(pdf, number, is_on)
        except Exception:  # as above
            continue


def _states(pdf: Any) -> dict[int, bool]:
    """Whether each layer is on; what ``get_ocgs`` says of that is not so (PyMuPDF 2.0)."""
    chosen = pdf.get_layer() or {}
    on, off, is_base_on = chosen.get("on", ()), chosen.get("off", ()), chosen.get("basestate") != "OFF"
    return {number: number in on or (is_base_on and number not in off) for number in pdf.get_ocgs()}


def _settle(pdf: Any, number: int, is_on: dict[int, bool]) -> None:
    layers = [int(found[1]) for found in _REFERENCE.finditer(pdf.xref_get_key(number, "OCGs")[1])]
    kind, expression = pdf.xref_get_key(number, "VE")
    if kind == "array":
        shown = _holds(_TOKEN.findall(expression), is_on)
    else:
        shown = _follows(pdf.xref_get_key(number, "P")[1], [is_on.get(layer, True) for layer in layers])
    witness, state = min(is_on.items(), key=lambda item: item[1])  # one that is off, if there is one
    pdf.xref_set_key(number, "VE", "null")
    pdf.xref_set_key(number, "OCGs", f"[{witness} 0 R]")
    pdf.xref_set_key(number, "P", "/AnyOn" if shown == state else "/AllOff")


def _follows(policy: str, states: list[bool]) -> bool:
    """Whether a policy shows what belongs to layers of these states; it is AnyOn where it is none."""
    if not states:
        return True
    if policy == "/AllOn":
        return all(states)
    if policy == "/AnyOff":
        return not all(states)
    return not any(states) if policy == "/AllOff" else any(states)


def _holds(tokens: list[str], is_on: dict[int, bool]) -> bool:
    return _value(iter(tokens), is_on, 0)


def _value(tokens: Iterator[str], is_on: dict[int, bool], depth: int) -> bool:
    """The value of the expression that comes next."""
    token = next(tokens, "]")
    if token != "[" or depth > _MAX_DEPTH:
        match = _REFERENCE.fullmatch(token)
        return is_on.get(int(match[1]), True) if match else True
    operator = next(tokens, "]")
    values: list[bool] = []
    for token in tokens:
        if token == "]":
            break
        values.append(_value(_put_back(token, tokens), is_on, depth + 1))
    if operator == "/Not":
        return not (values and values[0])
    return any(values) if operator == "/Or" else all(values)


def _put_back(token: str, tokens: Iterator[str]) -> Iterator[str]:
    yield token
    yield from tokens
