"""How exactly PDF files are read: words, boxes, reading order, tables, forms, beside other libraries.

The files are generated; the truth is what was drawn, written down by code that shares nothing with the readers.

Usage: python benchmarks/layout_fidelity.py [--files 10] [--kind "two columns" …] [--reader pdfplumber …] [--keep DIR]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import record
from bench.fidelity.corpus import KINDS, write_files
from bench.fidelity.readers import READERS
from bench.fidelity.scores import Tally
from bench.fidelity.truth import TrueFile

NAME = "layout_fidelity"
OURS = "mm-megacontext"
NEURAL = f"{OURS}, neural"
WORDS, BOXES = 0.995, 0.9
ORDER = {"single column": 0.98, "two columns": 0.95, "three columns": 0.95}
CELLS = {"ruled tables": 0.95, "unruled tables": 0.85}
JOINED = 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=10, metavar="N", help="of each kind (default 10)")
    parser.add_argument("--kind", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--reader", nargs="+", choices=list(READERS), default=list(READERS))
    parser.add_argument("--keep", type=Path, metavar="DIR", help="write the files here")
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    load = record.load()
    with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as temporary:
        directory = args.keep or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        rows = [row for kind in args.kind for row in measure_kind(directory, kind, args)]
    notes = {"libraries": record.versions_of("reportlab", "pdfplumber", "pymupdf4llm", "pymupdf")}
    record.Record(name=NAME, seed=args.seed, rows=rows, targets=targets(rows), notes=notes).publish(args.out, load)


def measure_kind(directory: Path, kind: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """All readers on the files of one kind."""
    files = list(write_files(directory, kind, args.files, args.seed))
    n_pages = sum(len(file.pages) for file in files)
    n_words = sum(len(page.words) for file in files for page in file.pages)
    rows = []
    for reader in args.reader:
        print(f"{kind}: {reader}", file=sys.stderr)
        tally = measure(files, reader)
        ours = reader.startswith(OURS)
        scores = tally.scores(with_boxes=reader != "pymupdf4llm", with_structure=ours)
        rows.append({"kind": kind, "files": len(files), "pages": n_pages, "words": n_words, "reader": reader, **scores})
    return rows


def measure(files: list[TrueFile], reader: str) -> Tally:
    """One reader on some files."""
    tally = Tally()
    for file in files:
        for true, found in zip(file.pages, READERS[reader](file.path), strict=True):
            tally.add_page(true, found)
    return tally


def targets(rows: list[dict[str, Any]]) -> list[record.Target]:
    """What was promised of this project, by kind and engine; of the model of another one, nothing was."""
    found = []
    for row in rows:
        if not row["reader"].startswith(OURS) or row["reader"] == NEURAL:
            continue
        kind = row["kind"]
        bounds = {"recall": WORDS, "precision": WORDS, "box_iou": BOXES}
        if kind in ORDER:
            bounds["order"] = ORDER[kind]
        if kind in CELLS:
            bounds["cell_f1"] = CELLS[kind]
        if row["joined"] is not None:
            bounds["joined"] = JOINED
        name = f"{kind}, {row['reader'].removeprefix(OURS + ', ')}"
        found += [record.Target(name=f"{score}, {name}", value=row[score], at_least=b) for score, b in bounds.items()]
    return found


if __name__ == "__main__":
    main()
