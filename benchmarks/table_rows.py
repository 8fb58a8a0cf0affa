"""Tables asked by the codes of their rows: is the row in one block, and is the answer from it.

Tables are written with reportlab as PDFs and as HTML, in three shapes: 12 short rows; rows of more tokens than a block
usually has; names of columns on two levels. Codes differ in one digit, values stand in one row alone. A question asks
for one cell by the code of its row and the name of its column; codes that are not there are asked for, too.

Usage: python benchmarks/table_rows.py [--tables 10] [--questions 6]
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from bench import record

from mm_megacontext.eval.metrics import wilson_interval
from mm_megacontext.memory import MegaContext
from mm_megacontext.store.store import Store

NAME = "table_rows"
LEAST_WHOLE = 0.95
N_ROWS = 12
TOWNS = ("Turin", "Ghent", "Malmo", "Lisbon", "Cork", "Graz", "Brno", "Split", "Arles", "Varna", "Bergen", "Lund")
WORDS = (
    "pump valve gasket flange bearing rotor stator housing spindle coupling bracket washer gauge nozzle piston sleeve "
    "damper lever hinge clamp filter sensor relay"
).split()

Cells = list[str]


@dataclass(frozen=True, slots=True)
class Asked:
    """A table: names of columns, on one level or two, rows of which the first cell is a code."""

    shape: str
    names: list[Cells]
    rows: list[Cells]

    def question(self, row: int, column: int) -> str:
        return self.question_of(self.rows[row][0], column)

    def question_of(self, code: str, column: int) -> str:
        name = " ".join(dict.fromkeys(level[column] for level in self.names if level[column]))
        return f"What is the {name} of {code}?"


def short(rng: random.Random, number: int) -> Asked:
    rows = [[code, town, amount(rng)] for code, town in zip(codes(number), rng.sample(TOWNS, N_ROWS), strict=True)]
    return Asked("short", [["Order", "City", "Amount"]], rows)


def long(rng: random.Random, number: int) -> Asked:
    def row(code: str) -> Cells:
        parts = [" ".join(rng.sample(WORDS, 12)) for _ in range(2)]
        return [code, parts[0], amount(rng), parts[1], amount(rng)]

    names = ["Item", "Contents", "Net price", "Remarks", "Deposit"]
    return Asked("long", [names], [row(code) for code in codes(number)])


def two_levels(rng: random.Random, number: int) -> Asked:
    upper = ["Plant", "2023", "2023", "2024", "2024"]
    lower = ["", "Output", "Scrap", "Output", "Scrap"]
    rows = [[code, *(amount(rng) for _ in range(4))] for code in codes(number)]
    return Asked("two levels", [upper, lower], rows)


SHAPES: dict[str, tuple[Callable[[random.Random, int], Asked], tuple[int, ...]]] = {
    "short": (short, (1, 2)),
    "long": (long, (2, 4)),
    "two levels": (two_levels, (1, 2, 3, 4)),
}
"""What makes a table, and the columns that are asked for."""


def codes(number: int) -> list[str]:
    """Codes that differ in a digit."""
    return [f"QX-{1000 + 37 * number + i}" for i in range(N_ROWS)]


def amount(rng: random.Random) -> str:
    return f"{rng.randrange(100, 99_999) / 100:,.2f}"


def write_html(table: Asked, path: Path) -> None:
    head = "".join(f"<tr>{''.join(heads(level, table.names))}</tr>" for level in range(len(table.names)))
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    style = "<style>td, th { border: 1px solid black; padding: 2px }</style>"
    path.write_text(f"<html>{style}<h1>List</h1><table><thead>{head}</thead><tbody>{body}</tbody></table></html>")


def heads(level: int, names: Sequence[Cells]) -> list[str]:
    found = []
    for column, name in enumerate(names[level]):
        if not name or (column and len(names) > 1 and level == 0 and name == names[0][column - 1]):
            continue
        width = names[0].count(name) if level == 0 else 1
        height = len(names) if level == 0 and not names[-1][column] else 1
        found.append(f'<th colspan="{width}" rowspan="{height}">{escape(name)}</th>')
    return found


def write_pdf(table: Asked, path: Path) -> None:
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import Paragraph, SimpleDocTemplate, Table

    style = getSampleStyleSheet()["BodyText"]
    cells = [[Paragraph(escape(cell), style) for cell in row] for row in (*table.names, *table.rows)]
    rules: list[tuple[Any, ...]] = [("GRID", (0, 0), (-1, -1), 0.5, "black")]
    if len(table.names) > 1:
        rules += [("SPAN", (0, 0), (0, 1)), ("SPAN", (1, 0), (2, 0)), ("SPAN", (3, 0), (4, 0))]
        cells[0][2] = cells[0][4] = cells[1][0] = Paragraph("", style)
    made = Table(cells, repeatRows=len(table.names), style=rules)
    SimpleDocTemplate(str(path)).build([Paragraph("List", getSampleStyleSheet()["Heading1"]), made])


WRITERS = {"html": write_html, "pdf": write_pdf}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tables", type=int, default=10, metavar="N", help="per shape and format (default 10)")
    parser.add_argument(
        "--questions", type=int, default=6, metavar="N", help="per table, and as many absent (default 6)"
    )
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    load, rows = record.load(), []
    for kind in WRITERS:
        for shape in SHAPES:
            rows.append(measure(kind, shape, args))
            print(rows[-1], file=sys.stderr)
    targets = [
        record.Target(
            name=f"rows whole in one block, {r['shape']}, {r['format']}", value=r["whole"], at_least=LEAST_WHOLE
        )
        for r in rows
    ]
    targets += [
        record.Target(name=f"answers from another row, {r['shape']}, {r['format']}", value=r["wrong_rows"], at_most=0)
        for r in rows
    ]
    record.Record(name=NAME, seed=args.seed, rows=rows, targets=targets).publish(args.out, load)


def measure(kind: str, shape: str, args: argparse.Namespace) -> dict[str, Any]:
    """All tables of a shape and format, each in a memory of its own."""
    make, columns = SHAPES[shape]
    n = n_whole = n_asked = n_right = n_wrong_rows = n_absent = n_refused = 0
    for number in range(args.tables):
        rng = random.Random(f"{args.seed}-{kind}-{shape}-{number}")
        table = make(rng, number)
        with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as scratch:
            path = Path(scratch) / f"list.{kind}"
            WRITERS[kind](table, path)
            with MegaContext.open(Path(scratch) / "memory") as memory:
                memory.ingest(path)
                blocks = blocks_of(memory._store)
                n += len(table.rows)
                n_whole += sum(is_in_one(row, blocks) for row in table.rows)
                for _ in range(args.questions):
                    row, column = rng.randrange(N_ROWS), rng.choice(columns)
                    answer = memory.ask(table.question(row, column))
                    n_asked += 1
                    is_right = answer.text == table.rows[row][column]
                    n_right += is_right
                    others = {cell for other in table.rows if other is not table.rows[row] for cell in other[1:]}
                    is_other = any(answer.text in cell or cell in answer.text for cell in others)
                    n_wrong_rows += answer.found and is_other and not is_right
                    gone = memory.ask(table.question_of(f"QX-{5000 + rng.randrange(900)}", column))
                    n_absent += 1
                    n_refused += not gone.found
                    n_wrong_rows += gone.found
    low, high = wilson_interval(n_right, n_asked)
    return {
        "format": kind,
        "shape": shape,
        "rows": n,
        "whole": round(n_whole / n, 4),
        "asked": n_asked,
        "right": round(n_right / n_asked, 4),
        "right_ci95": f"{low:.2f}-{high:.2f}",
        "wrong_rows": n_wrong_rows,
        "absent": n_absent,
        "refused": round(n_refused / n_absent, 4),
    }


def blocks_of(store: Store | None) -> list[list[str]]:
    assert store is not None
    rows = [row for part in store.rows_of(store.sources()[0].number) for row in part]
    return [row.text.split() for row in rows if row.lod == 1]


def is_in_one(row: Cells, blocks: Sequence[Sequence[str]]) -> bool:
    """Whether some block holds all words of a row, one after the other."""
    words = " ".join(row).split()
    return any(words == list(block[i : i + len(words)]) for block in blocks for i in range(len(block)))


if __name__ == "__main__":
    main()
