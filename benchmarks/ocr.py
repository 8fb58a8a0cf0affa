"""Share of the words of a scan that come back through OCR: generated pages, rasterised, turned a little, with noise.

Usage: python benchmarks/ocr.py [--pages 20] [--dpi 150] [--skew 1.0] [--noise 8]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2 as pdfium
from bench import record
from bench.fidelity.corpus import write_files
from bench.fidelity.truth import TruePage
from PIL import Image

from mm_megacontext.layout import read
from mm_megacontext.layout.page.ocr import find_ocr

NAME = "ocr"
KINDS = ("single column", "two columns")
RECALL = 0.95


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--pages", type=int, default=20, metavar="N", help="half in one column, half in two (default 20)"
    )
    parser.add_argument("--dpi", type=int, default=150, metavar="N", help="of the scan (default 150)")
    parser.add_argument("--skew", type=float, default=1.0, metavar="DEGREES", help="to either side in turn (default 1)")
    parser.add_argument("--noise", type=float, default=8.0, metavar="SD", help="of 255, normal (default 8)")
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    find_ocr("eng")  # says what to do where it is missing
    load = record.load()
    rows = [measure(kind, args) for kind in KINDS]
    notes = {"dpi": args.dpi, "skew_degrees": args.skew, "noise_sd": args.noise}
    found = [record.Target(name=f"recall, {row['kind']}", value=row["recall"], at_least=RECALL) for row in rows]
    record.Record(name=NAME, seed=args.seed, rows=rows, targets=found, notes=notes).publish(args.out, load)


def measure(kind: str, args: argparse.Namespace) -> dict[str, Any]:
    """Word recall and precision on scans of one kind of pages, whatever the order of the words."""
    n_true = n_read = n_found = n_pages = 0
    seconds = 0.0
    with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as directory:
        for file in write_files(Path(directory), kind, args.pages // 4, args.seed):
            scanned = Path(directory) / "scanned.pdf"
            scan(file.path, scanned, args)
            begun = time.perf_counter()
            pages = list(read(scanned, ocr="eng").pages())
            seconds += time.perf_counter() - begun
            for true, page in zip(file.pages, pages, strict=True):
                expected, found = words_of(true), Counter(page.text.split())
                n_true, n_read = n_true + expected.total(), n_read + found.total()
                n_found += (expected & found).total()
                n_pages += 1
    return {
        "kind": kind,
        "pages": n_pages,
        "words": n_true,
        "recall": round(n_found / n_true, 4),
        "precision": round(n_found / n_read, 4) if n_read else 0.0,
        "seconds_per_page": round(seconds / n_pages, 2),
    }


def words_of(page: TruePage) -> Counter[str]:
    """The words that were drawn, but for the bullets of lists, which are signs."""
    return Counter(word.text for word in page.words if word.text != "\u2022")


def scan(pdf: Path, out: Path, args: argparse.Namespace) -> None:
    """Each page as a grey picture that lies askew and is noisy."""
    rng = np.random.default_rng(args.seed)
    images = []
    document = pdfium.PdfDocument(pdf)
    for number in range(len(document)):
        image = document[number].render(scale=args.dpi / 72, grayscale=True).to_pil().convert("L")
        angle = args.skew if number % 2 else -args.skew
        image = image.rotate(angle, resample=Image.Resampling.BICUBIC, fillcolor=255)
        pixels = np.asarray(image, dtype=np.float32) + rng.normal(0, args.noise, image.size[::-1])
        images.append(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)))
    document.close()
    images[0].save(out, "PDF", save_all=True, append_images=images[1:], resolution=args.dpi)


if __name__ == "__main__":
    main()
