"""Numbers in the digits that a section of a number format asks for: grouped, scaled, as fractions, with exponents."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from typing import Protocol

_CONTEXT = Context(prec=400, rounding=ROUND_HALF_UP)
_SIGNIFICANT = 15  # digits that a spreadsheet keeps
_LONGEST_PLAIN = 1e15  # larger numbers are shown with an exponent


class NumberToken(Protocol):
    """A piece of a section, see ``number_format.Token``."""

    @property
    def kind(self) -> str: ...

    @property
    def text(self) -> str: ...


Tokens = Sequence[NumberToken]


def plain_number(value: float) -> str:
    """A number in the format General: as many digits as it has, up to fifteen.

    >>> plain_number(0.1 + 0.2), plain_number(7.0), plain_number(1e21)
    ('0.3', '7', '1E+21')
    """
    size = abs(value)
    if size and (size >= _LONGEST_PLAIN or size < 1e-9):
        mantissa, _, exponent = f"{value:.14E}".partition("E")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return f"{mantissa}E{exponent[0]}{exponent[1:].lstrip('0').zfill(2)}"
    text = f"{Decimal(f'{value:.{_SIGNIFICANT - 1}e}'):f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def number_text(value: Decimal, tokens: Tokens) -> str:
    """A number in a section that is neither of dates nor of text; with a minus where it is negative."""
    value = value.scaleb(2 * sum(_is(token, "%") for token in tokens), _CONTEXT)
    slash = next((i for i, token in enumerate(tokens) if _is(token, "/") and _is_fraction(tokens, i)), None)
    exponent = next((i for i, token in enumerate(tokens) if token.kind == "exponent"), None)
    if slash is not None:
        text, is_zero = _fraction(abs(value), tokens, slash)
    elif exponent is not None:
        text, is_zero = _scientific(abs(value), tokens, exponent)
    else:
        text, is_zero = _decimal(abs(value), tokens)
    return f"-{text}" if value < 0 and not is_zero else text


def _is(token: NumberToken, sign: str) -> bool:
    return token.kind == "sign" and token.text == sign


def _decimal(value: Decimal, tokens: Tokens) -> tuple[str, bool]:
    """Digits before and after a point; whether all of them are zeros."""
    point = next((i for i, token in enumerate(tokens) if _is(token, ".")), len(tokens))
    before, after = list(tokens[:point]), list(tokens[point + 1 :])
    value = value.scaleb(-3 * (_n_scaling(before) + _n_scaling(after)), _CONTEXT)
    places = sum(token.kind == "digit" for token in after)
    if not places and not any(token.kind == "digit" for token in before):
        return "".join(_literal(token) for token in tokens), False
    rounded = _rounded(value, places)
    whole, _, part = f"{rounded:f}".partition(".")
    text = _whole(whole.lstrip("0"), before, _is_grouped(before))
    if point < len(tokens):
        behind = _after(part, after)
        text += f".{behind}" if behind[:1].isdigit() or behind[:1] == " " else behind
    return text, not rounded


def _rounded(value: Decimal, places: int) -> Decimal:
    """Rounded as it is written with fifteen digits, halves away from zero."""
    exact = Context(prec=_SIGNIFICANT, rounding=ROUND_HALF_UP).plus(value)
    return exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, _CONTEXT)


def _n_scaling(tokens: Tokens) -> int:
    """Commas right behind the last digit: each divides by a thousand."""
    last = max((i for i, token in enumerate(tokens) if token.kind == "digit"), default=None)
    if last is None:
        return 0
    n_commas = 0
    while last + 1 + n_commas < len(tokens) and _is(tokens[last + 1 + n_commas], ","):
        n_commas += 1
    return n_commas


def _is_grouped(tokens: Tokens) -> bool:
    digits = [i for i, token in enumerate(tokens) if token.kind == "digit"]
    return any(_is(token, ",") and digits[0] < i < digits[-1] for i, token in enumerate(tokens) if digits)


def _whole(digits: str, tokens: Tokens, is_grouped: bool) -> str:
    """Digits before the point put into their places from the right; the first place takes all that are left."""
    places = [i for i, token in enumerate(tokens) if token.kind == "digit"]
    out: list[str] = []
    position = 0
    rest = digits
    for i in range(len(tokens) - 1, -1, -1):
        token = tokens[i]
        if token.kind != "digit":
            out.append("" if _is(token, ",") else _literal(token))
            continue
        taken, rest = (rest, "") if i == places[0] else (rest[-1:], rest[:-1])
        for digit in reversed(taken or {"0": "0", "?": " "}.get(token.text, "")):
            if is_grouped and position and position % 3 == 0 and digit != " ":
                out.append(",")
            out.append(digit)
            position += 1
    if not places:
        out.append(digits)
    return "".join(reversed(out))


def _after(digits: str, tokens: Tokens) -> str:
    """Digits behind the point; zeros at the end go where the format says so."""
    kept = len(digits.rstrip("0"))
    out, position = [], 0
    for token in tokens:
        if token.kind != "digit":
            out.append("" if _is(token, ",") else _literal(token))
            continue
        must = position < kept or token.text == "0"
        out.append(digits[position] if must else " " if token.text == "?" else "")
        position += 1
    return "".join(out)


def _scientific(value: Decimal, tokens: Tokens, at: int) -> tuple[str, bool]:
    """A number with an exponent, which is a multiple of the digits before the point where these are several."""
    mantissa, behind = tokens[:at], tokens[at + 1 :]
    point = next((i for i, token in enumerate(mantissa) if _is(token, ".")), len(mantissa))
    step = max(1, sum(token.kind == "digit" for token in mantissa[:point]))
    places = sum(token.kind == "digit" for token in mantissa[point + 1 :])
    exponent = value.adjusted() if value else 0
    exponent -= exponent % step
    if value and _rounded(value.scaleb(-exponent, _CONTEXT), places) >= Decimal(10) ** step:
        exponent += step
    text, is_zero = _decimal(value.scaleb(-exponent, _CONTEXT), mantissa)
    sign = "-" if exponent < 0 else "+" if tokens[at].text[1] == "+" else ""
    return f"{text}E{sign}{_whole(str(abs(exponent)) if exponent else '', behind, False)}", is_zero


def _is_fraction(tokens: Tokens, slash: int) -> bool:
    """Whether a slash has a place for digits before it, and one, or a number, behind it."""
    return (
        slash > 0
        and tokens[slash - 1].kind == "digit"
        and slash + 1 < len(tokens)
        and (tokens[slash + 1].kind == "digit" or tokens[slash + 1].text.isdigit())
    )


def _fraction(value: Decimal, tokens: Tokens, slash: int) -> tuple[str, bool]:
    """A number as whole, numerator and denominator, and what stands around them."""
    start = slash
    while start and tokens[start - 1].kind == "digit":
        start -= 1
    end = slash + 1
    while end < len(tokens) and (tokens[end].kind == "digit" or tokens[end].text.isdigit()):
        end += 1
    asked = "".join(token.text for token in tokens[slash + 1 : end])
    front = list(tokens[:start])
    has_whole = any(token.kind == "digit" for token in front)
    whole, rest = (int(value), value - int(value)) if has_whole else (0, value)
    if any(c in "123456789" for c in asked):
        denominator = int("".join(c if c.isdigit() else "0" for c in asked))
        numerator = int((rest * denominator).to_integral_value(ROUND_HALF_UP))
    else:
        found = Fraction(rest).limit_denominator(10 ** min(len(asked), 7) - 1)
        numerator, denominator = found.numerator, found.denominator
    if has_whole and numerator == denominator:
        whole, numerator = whole + 1, 0
    is_zero = not whole and not numerator
    back = "".join(_literal(token) for token in tokens[end:])
    zeros = "0" in "".join(token.text for token in tokens[start:slash])
    if has_whole and not numerator and not zeros:
        return f"{_whole(str(whole), front, _is_grouped(front)).rstrip()}{back}", is_zero
    over = _whole(str(numerator) if numerator or not zeros else "", tokens[start:slash], False)
    return f"{_whole(str(whole) if whole else '', front, _is_grouped(front))}{over}/{denominator}{back}", is_zero


def _literal(token: NumberToken) -> str:
    if token.kind in ("fill", "exponent") or _is(token, ","):
        return ""
    return " " if token.kind == "space" else token.text
