"""Draws what finding a needle costs by the size of the plane, from the result of needle_image.

Usage: python benchmarks/needle_plot.py [benchmarks/results/needle_image.json] [docs/needle_image.png]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
from bench.record import RESULTS
from matplotlib import pyplot as plt

PICTURE = Path(__file__).parents[1] / "docs" / "needle_image.png"
SYSTEMS = {"focus": "C0", "no index": "C1", "oracle": "C2"}
MARKERS = {"textured": "o", "sparse": "s"}
PANELS = {
    "success": "share of needles found",
    "tiles_read": "tiles of pixels read per question",
    "nodes_read": "gists read per question",
    "steps": "refocus steps (median)",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("result", type=Path, nargs="?", default=RESULTS / "needle_image.json")
    parser.add_argument("picture", type=Path, nargs="?", default=PICTURE)
    args = parser.parse_args()
    draw(json.loads(args.result.read_text(encoding="utf-8"))["rows"], args.picture)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """One panel per figure; sizes on a logarithmic axis, so growth with the logarithm is a straight line."""
    mpl.use("Agg")
    figure, axes = plt.subplots(1, len(PANELS), figsize=(3.4 * len(PANELS), 3.2), layout="constrained")
    for panel, (column, title) in zip(axes, PANELS.items(), strict=True):
        for system, colour in SYSTEMS.items():
            for style, marker in MARKERS.items():
                points = [(size, row[column]) for row in rows if (size := _size(row, system, style)) is not None]
                if points:
                    label = f"{system}, {style}"
                    panel.plot(*zip(*sorted(points), strict=True), marker=marker, color=colour, label=label)
        panel.set(xscale="log", xlabel="megapixels", title=title)
        panel.set_ylim(0, 1.08 * panel.get_ylim()[1])
        panel.grid(alpha=0.3)
    axes[0].legend(fontsize="small")
    figure.savefig(path, dpi=100)


def _size(row: dict[str, Any], system: str, style: str) -> float | None:
    """Megapixels, if the row is of that system and style."""
    own_style, _, megapixels = row["scene"].partition(" ")
    return float(megapixels) if (row["system"], own_style) == (system, style) else None


if __name__ == "__main__":
    main()
