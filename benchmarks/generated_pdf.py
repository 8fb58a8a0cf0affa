"""Writes a PDF of generated pages, and says how quickly: the material of the other benchmarks.

Usage: python benchmarks/generated_pdf.py [--pages N] [--pdf FILE.pdf]
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

from bench import record
from bench.generated import write_pdf

from mm_megacontext.training.data.facts import Vocabulary
from mm_megacontext.training.data.pages import PageWriter
from mm_megacontext.training.data.render_pdf import render_pdf

NAME = "generated_pdf"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pages", type=int, default=1000, metavar="N", help="default %(default)s")
    parser.add_argument("--pdf", type=Path, metavar="FILE.pdf", help="keep the file")
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    load = record.load()
    with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as directory:
        path = args.pdf or Path(directory) / "generated.pdf"
        rows = measure(path, args.pages, str(args.seed))
    record.Record(name=NAME, seed=args.seed, rows=rows).publish(args.out, load)


def measure(path: Path, n_pages: int, seed: str) -> list[dict[str, object]]:
    """Time rendering alone, on pages made before, and everything together."""
    writer = PageWriter(Vocabulary.of_split(random.Random(seed), "test"))
    some = [writer.write(number).page for number in range(1, min(n_pages, 200) + 1)]
    begun = time.perf_counter()
    render_pdf(some, path)
    rendered = time.perf_counter()
    write_pdf(path, n_pages, seed)
    return [
        _row("rendering alone", len(some), rendered - begun, None),
        _row("generating and rendering", n_pages, time.perf_counter() - rendered, path.stat().st_size),
    ]


def _row(step: str, pages: int, seconds: float, size: int | None) -> dict[str, object]:
    return {
        "step": step,
        "pages": pages,
        "seconds": round(seconds, 3),
        "pages_per_second": round(pages / seconds, 1),
        "kib_per_page": None if size is None else round(size / pages / 1024, 2),
    }


if __name__ == "__main__":
    main()
