"""Text that nobody sees in a PDF must not be read, and text that is seen must be: ways of both, by each engine.

Usage: python benchmarks/hidden_text.py [--only NAME]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from bench import record
from bench.hidden_cases import HIDDEN, SECRET, SEEN, SHOWN, VISIBLE, Case, lettered, pdf_of

from mm_megacontext.layout.reader import read

NAME = "hidden_text"
ENGINES = ("pymupdf", "pdfium")
LEAST = 0.95
"""Of each of the two, right."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", metavar="NAME", help="cases whose name has this in it")
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    load = record.load()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as directory:
        for kind, cases, words in (("hidden", HIDDEN, SECRET), ("seen", SHOWN, SEEN)):
            for name, case in cases.items():
                if args.only is None or args.only in name:
                    rows += [look(Path(directory), kind, name, case, words, engine) for engine in ENGINES]
    record.Record(name=NAME, seed=args.seed, rows=rows, targets=targets(rows)).publish(args.out, load)


def look(directory: Path, kind: str, name: str, case: Case, words: str, engine: str) -> dict[str, Any]:
    """What an engine reads of a case, and whether that is right."""
    path = directory / "a.pdf"
    path.write_bytes(pdf_of(lettered(case, words), words))
    (page,) = read(path, engine=engine, ocr="off").pages()
    text = "".join(page.text.split())
    found = [word for word in words.split() if word in text]
    is_right = "".join(VISIBLE.split()) in text and (found == words.split() if kind == "seen" else not is_told(text))
    return {"kind": kind, "case": name, "engine": engine, "right": is_right and page.status == "ok", "read": page.text}


def is_told(text: str) -> bool:
    """Whether a good part of what is hidden is read."""
    return any(part in text for part in ("Secr", "cret", "777", "999"))


def targets(rows: list[dict[str, Any]]) -> list[record.Target]:
    shares = []
    for kind in ("hidden", "seen"):
        for engine in ENGINES:
            own = [row["right"] for row in rows if row["kind"] == kind and row["engine"] == engine]
            if own:
                shares.append(record.Target(name=f"{kind}, {engine}", value=sum(own) / len(own), at_least=LEAST))
    return shares


if __name__ == "__main__":
    main()
