"""Dates and times in the parts that a section of a number format asks for, in English."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from mm_megacontext.layout.flow.office.number_digits import NumberToken

_MONTHS = "January February March April May June July August September October November December".split()
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_SECONDS_OF_DAY = 86_400
_LAST_DAY = 2_958_465  # 31 December 9999
_DAY_THAT_NEVER_WAS = 60  # 29 February 1900, kept for the sake of Lotus 1-2-3
_OFFSET_1904 = 1462
_TOO_NARROW = "#" * 8
"""What is shown instead of dates that there are none of."""
_BUDDHIST = 543


@dataclass(frozen=True, slots=True)
class _Moment:
    """A date and time of day, with the fraction of its second, and the seconds since day 0."""

    day: date
    serial_day: int
    second: int
    fraction: Decimal
    elapsed: int


def is_date_token(token: NumberToken) -> bool:
    """Whether a piece of a section asks for a part of a date or time."""
    return token.kind in ("unit", "half", "elapsed")


def date_text(value: Decimal, tokens: Sequence[NumberToken], date1904: bool) -> str:
    """A number of days as a date, time, or duration."""
    is_duration = any(token.kind == "elapsed" for token in tokens)
    if date1904 and not is_duration:
        value += _OFFSET_1904
    if abs(value) >= _LAST_DAY + 1 or (value < 0 and not is_duration):
        return _TOO_NARROW
    places = _places_of_seconds(tokens)
    moment = _moment(abs(value), places)
    has_half = any(token.kind == "half" for token in tokens)
    minutes = _minutes(tokens)
    out, in_fraction = ["-"] if value < 0 and moment.elapsed + moment.fraction else [], False
    for i, token in enumerate(tokens):
        if token.kind == "sign" and token.text == "." and _is_fraction_at(tokens, i):
            out.append("." + f"{moment.fraction:.{places}f}"[2:])
            in_fraction = True
        elif token.kind == "digit":
            out.append("" if in_fraction else token.text)
        elif token.kind == "elapsed":
            out.append(_elapsed(token.text, moment.elapsed))
            in_fraction = False
        elif token.kind == "half":
            out.append(_half(token.text, moment.second))
        elif token.kind == "unit":
            text = token.text.lower()
            out.append(_minute(text, moment.second) if i in minutes else _unit(text, moment, has_half))
            in_fraction = False
        else:
            out.append({"space": " ", "fill": ""}.get(token.kind, token.text))
    return "".join(out)


def _places_of_seconds(tokens: Sequence[NumberToken]) -> int:
    for i, token in enumerate(tokens):
        if token.kind == "sign" and token.text == "." and _is_fraction_at(tokens, i):
            rest = tokens[i + 1 :]
            return next((n for n, t in enumerate(rest) if t.kind != "digit" or t.text != "0"), len(rest))
    return 0


def _is_fraction_at(tokens: Sequence[NumberToken], i: int) -> bool:
    """Whether a point stands between seconds and zeros."""
    before, behind = tokens[i - 1] if i else None, tokens[i + 1] if i + 1 < len(tokens) else None
    return (
        before is not None
        and before.kind in ("unit", "elapsed")
        and before.text[0].lower() == "s"
        and behind is not None
        and behind.kind == "digit"
        and behind.text == "0"
    )


def _moment(value: Decimal, places: int) -> _Moment:
    seconds = (value * _SECONDS_OF_DAY).quantize(Decimal("0.000001"), ROUND_HALF_UP)  # what a float of days can hold
    seconds = seconds.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    elapsed = int(seconds)
    serial, second = divmod(elapsed, _SECONDS_OF_DAY)
    shift = 0 if serial >= _DAY_THAT_NEVER_WAS else 1
    return _Moment(date(1899, 12, 30) + timedelta(serial + shift), serial, second, seconds - elapsed, elapsed)


def _minutes(tokens: Sequence[NumberToken]) -> set[int]:
    """Which of the m mean minutes: those behind hours, and those before seconds."""
    units = [(i, t.text[0].lower(), t) for i, t in enumerate(tokens) if t.kind in ("unit", "elapsed")]
    found = set()
    for n, (i, letter, token) in enumerate(units):
        before = units[n - 1][1] if n else ""
        behind = units[n + 1][1] if n + 1 < len(units) else ""
        if letter == "m" and token.kind == "unit" and len(token.text) <= 2 and (before == "h" or behind == "s"):
            found.add(i)
    return found


def _elapsed(unit: str, seconds: int) -> str:
    amount = seconds // {"h": 3600, "m": 60, "s": 1}[unit[0]]
    return str(amount).zfill(len(unit))


def _half(text: str, second: int) -> str:
    first, second_half = text.split("/")
    return first if second < _SECONDS_OF_DAY // 2 else second_half


def _minute(unit: str, second: int) -> str:
    return str(second // 60 % 60).zfill(min(len(unit), 2))


def _unit(unit: str, moment: _Moment, has_half: bool) -> str:
    length = len(unit)
    if unit[0] == "y" or unit[0] == "e":
        return f"{moment.day.year % 100:02d}" if unit[0] == "y" and length <= 2 else f"{moment.day.year:04d}"
    if unit[0] == "b":
        year = moment.day.year + _BUDDHIST
        return f"{year % 100:02d}" if length <= 2 else f"{year:04d}"
    if unit[0] == "m":
        return _name(_MONTHS[moment.day.month - 1], moment.day.month, length)
    if unit[0] == "d":
        day = 29 if moment.serial_day == _DAY_THAT_NEVER_WAS else moment.day.day
        return str(day).zfill(length) if length <= 2 else _name(_DAYS[moment.day.weekday()], day, length)
    if unit[0] == "h":
        hour = moment.second // 3600
        return str((hour % 12 or 12) if has_half else hour).zfill(min(length, 2))
    if unit[0] == "s":
        return str(moment.second % 60).zfill(min(length, 2))
    return ""  # g: the names of eras, which only calendars of the Far East have


def _name(name: str, number: int, length: int) -> str:
    if length <= 2:
        return str(number).zfill(length)
    return name[:3] if length == 3 else name[:1] if length == 5 else name
