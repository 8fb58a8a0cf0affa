"""Number formats. Oracle: cells as LibreOffice 7.4 showed them, kept by ``benchmarks/xlsx_formats.py``; ECMA-376."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.layout.flow.office.number_format import BUILT_IN, shown

GOLDEN: dict[str, list[tuple[float | str, str]]] = json.loads(
    (Path(__file__).parent / "number_formats.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("code", GOLDEN)
def test_as_libreoffice_shows_it(code: str) -> None:
    assert [shown(value, code).text for value, _ in GOLDEN[code]] == [text for _, text in GOLDEN[code]]


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        (59.0, "yyyy-mm-dd", "1900-02-28"),
        (60.0, "yyyy-mm-dd", "1900-02-29"),  # which never was, and which spreadsheets know
        (61.0, "yyyy-mm-dd", "1900-03-01"),
        (-1.0, "yyyy-mm-dd", "########"),
        (0.5, "[h]:mm:ss;@", "12:00:00"),
        (-1.5, "[h]:mm", "-36:00"),
        (-5.0, '[>=1000000]0.0,,"M";[>=1000]0.0,"k";0', "-5"),
        (True, "0.00", "TRUE"),
        (1234.5, "[$-407]#,##0.00", "1,234.50"),
        (1234.5, "#,##0.00\\ [$\u20ac-407]", "1,234.50 \u20ac"),
        (46096.25, "h:mm A/P", "6:00 A"),
        (0.0, "# ?/?", "0"),
        (1e300, "0.00E+00", "1.00E+300"),
        (46096.0, "m/d/yyyy h:mm", "3/15/2026 0:00"),
    ],
)
def test_as_the_standard_says(value: float, code: str, text: str) -> None:
    assert shown(value, code).text == text


def test_colours_and_sections_for_text() -> None:
    assert shown(-3, "0;[Red]-0").color == "FF0000"
    assert shown(3, "[Color2]0").color == "FFFFFF"
    assert shown("x", "0;-0;0;[Blue]@!") == shown("x", "0;-0;0;[Blue]@!")
    assert shown("x", "0;-0;0;[Blue]@!").color == "0000FF"
    assert shown("x", "0.00").text == "x"


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(sorted(BUILT_IN.values())))
def test_every_number_is_shown_in_every_usual_format(value: float, code: str) -> None:
    shown(value, code)


@given(st.integers(-(10**12), 10**12), st.integers(0, 6))
def test_grouped_decimals_are_those_of_python(value: int, places: int) -> None:
    code = "#,##0" + ("." + "0" * places if places else "")
    assert shown(float(value), code).text == f"{value:,.{places}f}"


@given(st.text(alphabet='0#?.,%/E+-;[]"\\@ ymdhs:_*AMP$<>=1gn', max_size=20), st.floats(-1e9, 1e9))
def test_no_format_raises(code: str, value: float) -> None:
    shown(value, code)
    shown("word", code)
