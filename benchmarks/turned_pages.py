"""Words of pages and scans that lie on their side, on their head or askew.

Forty pages of the generator of `layout_fidelity.py`, prose and tables, in equal parts

- scans: rasterised, skewed by up to 10° to either side, turned by quarters, noisy; as pictures in PDFs and as PNG;
- pages with text, drawn turned by quarters, whole or, below a line of upright text, in part.

A word counts as found if it is read, however often it was drawn; `in order` is the share of neighbouring words, both
found, that are read one after the other; a box is right if its middle lies within three points of that of the word as
drawn and turned. What PDFs with text show is read by each engine.

Usage: python benchmarks/turned_pages.py [--pages 40] [--dpi 200] [--noise 8] [--show]
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pymupdf
from bench import record
from bench.fidelity.corpus import write_files
from bench.fidelity.truth import TruePage
from PIL import Image

from mm_megacontext.document import Box, Page, Word
from mm_megacontext.layout import read
from mm_megacontext.layout.page.ocr import find_ocr
from mm_megacontext.turned_frame import TurnedFrame

NAME = "turned_pages"
KINDS = ("single column", "two columns", "ruled tables")
RECALL = 0.95
MOST_SKEW = 10.0
BOX_TOLERANCE_PT = 3.0
PT_PER_INCH = 72.0


@dataclass(frozen=True, slots=True)
class Turned:
    """A file of one page that is turned.

    Attributes:
        way: How: "scan in a PDF", "scan as PNG", "page", "part of a page".
        words: What stands on it, in order, and where, in the unit in which it is read.
        unit: Points of the page as drawn to one of these.
    """

    path: Path
    way: str
    turn: float
    words: list[tuple[str, Box]]
    unit: float = 1.0


def scan(page: pymupdf.Page, true: TruePage, path: Path, rng: random.Random, args: argparse.Namespace) -> Turned:
    """The page as a noisy grey picture that lies askew, and maybe on its side."""
    skew, quarters = rng.uniform(-MOST_SKEW, MOST_SKEW), rng.randrange(4)
    pixels = page.get_pixmap(dpi=args.dpi, colorspace=pymupdf.csGRAY)
    straight = Image.frombytes("L", (pixels.width, pixels.height), pixels.samples)
    askew = straight.rotate(-skew, resample=Image.Resampling.BICUBIC, fillcolor=255, expand=True)
    lying = np.rot90(np.asarray(askew, dtype=np.float32), -quarters)
    lying = lying + np.random.default_rng(rng.randrange(2**32)).normal(0, args.noise, lying.shape)
    image = Image.fromarray(lying.clip(0, 255).astype(np.uint8))
    options = {"resolution": args.dpi} if path.suffix == ".pdf" else {}
    image.save(path, **options)
    unit = 1.0 if path.suffix == ".pdf" else args.dpi / PT_PER_INCH
    size = (image.width * PT_PER_INCH / args.dpi, image.height * PT_PER_INCH / args.dpi)
    frame = TurnedFrame(size, (page.rect.width, page.rect.height), skew + 90 * quarters)
    words = [(word.text, frame.on_page(word.box)) for word in true.words]
    return Turned(path, f"scan {'in a PDF' if path.suffix == '.pdf' else 'as PNG'}", frame.turn, words, unit)


def turned_text(page: pymupdf.Page, true: TruePage, path: Path, rng: random.Random, is_part: bool) -> Turned:
    """The page with its text, turned by quarters; as a part of a page it leaves room for a line above."""
    quarters = rng.choice((1, 2, 3))
    width, height = page.rect.width, page.rect.height
    inner = (height, width) if quarters % 2 else (width, height)
    margin = 40.0 if is_part else 0.0
    document = pymupdf.open()
    shown = document.new_page(width=inner[0], height=inner[1] + margin)
    above = "A line above what is turned".split() if is_part else []
    if is_part:
        shown.insert_text((72, 30), " ".join(above), fontsize=12)
    area = pymupdf.Rect(0, margin, inner[0], inner[1] + margin)
    shown.show_pdf_page(area, page.parent, page.number, rotate=-90 * quarters)
    document.save(path)
    frame = TurnedFrame(inner, (width, height), 90.0 * quarters)
    words = [(text, (72.0, 18.0, 300.0, 34.0)) for text in above]
    for word in true.words:
        x0, y0, x1, y1 = frame.on_page(word.box)
        words.append((word.text, (x0, y0 + margin, x1, y1 + margin)))
    return Turned(path, "part of a page" if is_part else "page", frame.turn, words)


def turned_files(directory: Path, args: argparse.Namespace) -> Iterator[Turned]:
    """The files, one of each way in turn, of each kind of page in turn."""
    rng = random.Random(args.seed)
    sources = {kind: write_files(directory / kind, kind, args.pages, args.seed) for kind in KINDS}
    for number in range(args.pages):
        kind = KINDS[number // 4 % len(KINDS)]
        file = next(sources[kind])
        with pymupdf.open(file.path) as document:
            page, true, way = document[0], file.pages[0], number % 4
            path = directory / f"{number}{'.png' if way == 1 else '.pdf'}"
            if way < 2:
                yield scan(page, true, path, rng, args)
            else:
                yield turned_text(page, true, path, rng, is_part=way == 3)


def words_read(page: Page) -> list[Word]:
    """The words of a page that are read, in order."""
    found: list[Word] = []
    for region in page.regions:
        lines = region.lines
        if region.table is not None:
            lines = tuple(line for cell in region.table.cells for line in cell.lines)
        if region.hidden is None:
            found += [word for line in lines for word in line.words]
    return found


def measure(file: Turned, engine: str) -> dict[str, Any]:
    """How the words of a file were read."""
    begun = time.perf_counter()
    (page,) = read(file.path, engine=engine, ocr="eng").pages()
    seconds = time.perf_counter() - begun
    expected = [(text, box) for text, box in file.words if text != "\u2022"]
    read_words = words_read(page)
    counts = Counter(word.text for word in read_words)
    n_found = (Counter(text for text, _ in expected) & counts).total()
    placed = sum(is_placed(text, box, file.unit, read_words) for text, box in expected)
    followed = {(a.text, b.text) for a, b in pairwise(read_words)}
    pairs = [(a, b) for (a, _), (b, _) in pairwise(expected) if counts[a] and counts[b]]
    return {
        "words": len(expected),
        "found": n_found,
        "placed": placed,
        "pairs": len(pairs),
        "in_order": sum(pair in followed for pair in pairs),
        "ok": page.status == "ok",
        "seconds": seconds,
    }


def is_placed(text: str, box: Box, unit: float, words: Sequence[Word]) -> bool:
    """Whether a word of this text is read where it was drawn."""
    x, y = (box[0] + box[2]) / 2 * unit, (box[1] + box[3]) / 2 * unit
    near = BOX_TOLERANCE_PT * unit
    found = (word.bbox for word in words if word.text == text)
    return any(
        abs((b[0] + b[2]) / 2 - x) <= max(near, (box[2] - box[0]) / 2 * unit)
        and abs((b[1] + b[3]) / 2 - y) <= max(near, (box[3] - box[1]) / 2 * unit)
        for b in found
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=40, metavar="N", help="a quarter of each way (default 40)")
    parser.add_argument("--dpi", type=int, default=200, metavar="N", help="of scans (default 200)")
    parser.add_argument("--noise", type=float, default=8.0, metavar="SD", help="of 255, normal (default 8)")
    parser.add_argument("--show", action="store_true", help="print every file")
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    find_ocr("eng")  # says what to do where it is missing
    load = record.load()
    measured: dict[tuple[str, str], list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as name:
        directory = Path(name)
        for kind in KINDS:
            (directory / kind).mkdir()
        for file in turned_files(directory, args):
            for engine in ("pymupdf", "pdfium") if "page" in file.way else ("auto",):
                result = measure(file, engine)
                measured.setdefault((file.way, engine), []).append(result)
                if args.show:
                    print(file.path.name, file.way, engine, f"{file.turn:.1f}", result)
    rows = [summed(way, engine, results) for (way, engine), results in measured.items()]
    whole = summed("all", "", [result for results in measured.values() for result in results])
    targets = [record.Target(name="word recall", value=whole["recall"], at_least=RECALL)]
    targets += [
        record.Target(name=f"word recall, {row['way']}, {row['engine']}", value=row["recall"], at_least=RECALL)
        for row in rows
    ]
    notes = {"dpi": args.dpi, "noise_sd": args.noise, "most_skew_degrees": MOST_SKEW, "all": whole}
    record.Record(name=NAME, seed=args.seed, rows=rows, targets=targets, notes=notes).publish(args.out, load)


def summed(way: str, engine: str, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    total = {key: sum(result[key] for result in results) for key in results[0]}
    return {
        "way": way,
        "engine": engine,
        "pages": len(results),
        "ok": total["ok"],
        "words": total["words"],
        "recall": round(total["found"] / total["words"], 4),
        "worst": round(min(result["found"] / result["words"] for result in results), 4),
        "boxes": round(total["placed"] / total["found"], 4) if total["found"] else 0.0,
        "in_order": round(total["in_order"] / total["pairs"], 4) if total["pairs"] else 0.0,
        "seconds_per_page": round(total["seconds"] / len(results), 2),
    }


if __name__ == "__main__":
    main()
