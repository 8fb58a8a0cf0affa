"""Cells of a workbook as mm-megacontext shows them, beside LibreOffice's rendering of the same workbook.

Every format is put on every value it is meant for; LibreOffice writes the cells as they are shown into a flat ODS file.
Blanks that only align a text in its column are not compared. Needs ``soffice`` (Debian: libreoffice-calc).

Usage: python benchmarks/xlsx_formats.py [--show]
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import openpyxl
from bench import record
from lxml import etree

from mm_megacontext.layout.flow.office.number_format import shown

NAME = "xlsx_formats"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
LEAST_EQUAL = 0.99
"""Target: the share of cells that are equal."""

NUMBERS = (0, 1, -1, 7311, 0.075, -0.5, 1234.5, -1234.567, 1234567, -98765432.1, 0.000123, 12345678901.0, 99.995)
NUMBER_FORMATS = (
    "General", "0", "0.0", "0.00", "0.000", "#", "#.##", "0.##", "0.0#", "#,##0", "#,##0.0", "#,##0.00", "#,##0.000",
    "00000", "000000000", "0%", "0.0%", "0.00%", "0.00 %", "0.00E+00", "0.0E+0", "0E+00", "##0.0E+0", "0.000E+00",
    "#,##0,", "#,##0.0,", '#,##0.0,"k"', '0.0,,"M"', '#,##0,,"M"', "0.00,,", "0\" days\"", '0.0" kg"', '"about "0',
    '#,##0.00 "€"', "#,##0.00 [$€-407]", "[$€-2] #,##0.00", "[$€-1809]#,##0.00", "[$$-409]#,##0.00", "$#,##0.00",
    '"$"#,##0.00', "[$£-809]#,##0.00", "[$¥-411]#,##0", "[$₹-4009] #,##0.00", "[$USD] #,##0.00", "#,##0.00 [$EUR]",
    "[$CHF-1009] #,##0.00", "[$kr-409] #,##0", '"£"#,##0;-"£"#,##0', "$#,##0_);($#,##0)", "$#,##0.00_);($#,##0.00)",
    "#,##0_);(#,##0)", "#,##0.00_);[Red](#,##0.00)", "#,##0;[Red]-#,##0", "0.00;[Red]0.00", "0;-0;;@", "0;;", ";;;",
    "0;-0", "#,##0;-#,##0;\"-\"", '0.0;(0.0);"nil"', '0;"minus "0;"zero"', "[Blue]0.0;[Red]-0.0;[Green]0.0",
    "[Color10]0;[Color3]-0", '[>=1000]#,##0.0,"k";0', '[>=1000000]0.0,,"M";[>=1000]0.0,"k";0', "[<100]0.00;0",
    "[=1]\"one\";[=0]\"none\";0", "[<0]\"below\";[>0]\"above\";\"zero\"", "[Red][<0]-0.0;[Blue]0.0",
    "# ?/?", "# ??/??", "# ???/???", "?/?", "??/??", "# ?/2", "# ?/4", "# ??/16", "# ??/100", "0 ?/?",
    "000\\-0000", "(000) 000-0000", "000-00-0000", "00\\-00", "0\\.0", "\\#0", "0\\ \\m", "0_-", "_-0.0_-", "* 0.00",
    "_-* #,##0.00_-;-* #,##0.00_-;_-* \"-\"??_-;_-@_-", "_(* #,##0_);_(* (#,##0);_(* \"-\"_);_(@_)",
    "_-* #,##0.00 [$€-407]_-;-* #,##0.00 [$€-407]_-;_-* \"-\"?? [$€-407]_-;_-@_-", "+0;-0;0", "+0.0%;-0.0%", "???0.0??",
)  # fmt: skip
DATES = (61, 366, 36526, 36585, 45291.999, 46096, 46096.38061343, 46096.5, 46096.75, 46387.99999)
DATE_FORMATS = (
    "mm/dd/yyyy", "m/d/yy", "yyyy-mm-dd", "dd.mm.yyyy", "d.m.yy", "dd/mm/yyyy", "mmm yyyy", "mmmm yyyy", "mmm-yy",
    "d-mmm", "d-mmm-yy", "dddd", "ddd", "dddd, mmmm d, yyyy", "ddd d mmm", "mmmmm", "yyyy", "yy", "d", "dd", "m", "mmm",
    "[$-409]d mmmm yyyy", "[$-F800]dddd, mmmm dd, yyyy", "yyyy\\-mm\\-dd\\Thh:mm:ss", "yyyymmdd", "hh:mm", "h:mm",
    "h:mm:ss", "hh:mm:ss", "h:mm AM/PM", "hh:mm:ss AM/PM", "h AM/PM", "h:mm A/P", "m/d/yyyy h:mm",
    "d-mmm-yy h:mm AM/PM", "yyyy-mm-dd hh:mm:ss", "mm:ss", "[h]:mm", "[h]:mm:ss", "[hh]:mm", "[m]", "[mm]:ss", "[s]",
    "mm:ss.0", "h:mm:ss.00",
    'd "of" mmmm', 'h"h "mm"m"', "mmm d, yyyy;@",
)  # fmt: skip
TEXTS = ("word", "00042", "two words")
TEXT_FORMATS = ("@", "General", "0", '"("@")"', '@" EUR"', "0;-0;0;@", ';;;"<"@">"', "0.00;-0.00;0;", ";;;")


LARGEST_OF_FRACTIONS = 1e9
"""LibreOffice shows #FMT for larger numbers as fractions."""
EXCEL_DIFFERS = {
    '[>=1000000]0.0,,"M";[>=1000]0.0,"k";0': "LibreOffice shows negative numbers of a third section without their sign",
    '[=1]"one";[=0]"none";0': "LibreOffice shows negative numbers of a third section without their sign",
    "h:mm A/P": "LibreOffice writes a and p in small letters",
}
"""Formats that are not counted, as what LibreOffice shows is not what Excel shows."""


def is_counted(value: object, code: str) -> bool:
    """Whether what LibreOffice shows is what a cell should look like."""
    is_large = isinstance(value, float) and value > LARGEST_OF_FRACTIONS
    return code not in EXCEL_DIFFERS and not (is_large and "?/" in code)


def cells() -> list[tuple[object, str]]:
    """Every value with every format that is meant for it."""
    found: list[tuple[object, str]] = [(value, code) for code in NUMBER_FORMATS for value in NUMBERS]
    found += [(value, code) for code in DATE_FORMATS for value in DATES]
    return found + [(text, code) for code in TEXT_FORMATS for text in TEXTS]


def rendered(found: list[tuple[object, str]], directory: Path) -> list[str]:
    """The same cells as LibreOffice shows them."""
    book = openpyxl.Workbook()
    sheet = book.active
    for row, (value, code) in enumerate(found, 1):
        cell = sheet.cell(row, 1, value)
        cell.number_format = code
        sheet.cell(row, 2, "end")
    sheet.column_dimensions["A"].width = 60
    path = directory / "cells.xlsx"
    book.save(path)
    profile = f"-env:UserInstallation={(directory / 'profile').as_uri()}"
    command = ["soffice", profile, "--headless", "--convert-to", "fods", "--outdir", str(directory), str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    texts: list[str] = []
    for row in etree.parse(directory / "cells.fods").iter(f"{_TABLE}table-row"):
        first = next(row.iter(f"{_TABLE}table-cell"))
        for blank in first.iter(f"{_TEXT}s"):
            blank.text = " "
        text = "\n".join("".join(paragraph.itertext()) for paragraph in first.iter(f"{_TEXT}p"))
        texts += [text] * min(len(found), int(row.get(f"{_TABLE}number-rows-repeated", "1")))
    return texts[: len(found)]


def same(text: str) -> str:
    """A text without what only aligns it."""
    return re.sub(r"[ \u00a0]+", " ", text).strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--show", action="store_true", help="print cells that differ")
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    if shutil.which("soffice") is None:
        sys.exit("soffice is not installed: apt-get install libreoffice-calc")
    load = record.load()
    found = cells()
    with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as directory:
        theirs = rendered(found, Path(directory))
    version = subprocess.run(["soffice", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    rows = []
    differing: dict[str, list[dict[str, object]]] = {}
    for name, of_group in [("counted", True), ("not counted: Excel differs from LibreOffice", False)]:
        group = [(*cell, their) for cell, their in zip(found, theirs, strict=True) if is_counted(*cell) == of_group]
        wrong = [cell for cell in group if same(shown(cell[0], cell[1]).text) != same(cell[2])]
        differing[name] = [
            {"value": value, "format": code, "ours": shown(value, code).text, "theirs": same(their)}
            for value, code, their in wrong
        ]
        rows.append(
            {
                "cells": name,
                "formats": len({code for _, code, _ in group}),
                "values": len(group),
                "equal": len(group) - len(wrong),
                "share": round(1 - len(wrong) / len(group), 4),
            }
        )
    if args.show:
        print(*(item for items in differing.values() for item in items), sep="\n")
    target = record.Target(name="equal cells of those counted", value=float(rows[0]["share"]), at_least=LEAST_EQUAL)
    notes = {"libreoffice": version, "differing": differing, "not counted": EXCEL_DIFFERS}
    record.Record(name=NAME, seed=args.seed, rows=rows, targets=[target], notes=notes).publish(args.out, load)
    if not target.is_met:
        sys.exit(1)


if __name__ == "__main__":
    main()
