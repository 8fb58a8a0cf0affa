"""What every benchmark leaves behind: a table on the screen, and a JSON file that says how it came about."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results"
DISTRIBUTIONS = ("mm-megacontext", "torch", "pylance", "pyarrow", "numpy", "pymupdf", "pypdfium2")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "LANCE_CPU_THREADS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A figure that was promised, and whether it was met."""

    name: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def is_met(self) -> bool:
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )

    def __str__(self) -> str:
        bound = f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"
        return f"{self.name}: {self.value:.3g} (target {bound}): {'met' if self.is_met else 'MISSED'}"

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "value": round(self.value, 4),
            "at_least": self.at_least,
            "at_most": self.at_most,
            "met": self.is_met,
        }


@dataclass(slots=True, kw_only=True)
class Record:
    """The result of one run of a benchmark.

    Args:
        name: Of the benchmark.
        seed: Of everything generated.
        rows: Plain values by column; all rows have the columns of the first one.
        targets: Promised figures.
        notes: Anything else worth keeping.
    """

    name: str
    seed: int
    rows: list[dict[str, Any]]
    targets: list[Target] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    def publish(self, out: Path, load_at_start: float) -> None:
        """Print the table and write the JSON to ``out``."""
        print(render_table(self.rows))
        for target in self.targets:
            print(target)
        content = {
            "name": self.name,
            "command": command(),
            "seed": self.seed,
            "rows": self.rows,
            "targets": [target.to_json() for target in self.targets],
            "notes": self.notes,
            "machine": {**machine(), "load_at_start": round(load_at_start, 2)},
            "versions": versions(),
        }
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"written: {out.name}", file=sys.stderr)


def add_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    """The options that all benchmarks have."""
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument(
        "--out", type=Path, default=RESULTS / f"{name}.json", metavar="FILE.json", help="default: %(default)s"
    )


def load() -> float:
    """Processes that wanted to run in the last minute: timings mean little if others did."""
    return os.getloadavg()[0]


def render_table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows with aligned columns; numbers to the right."""
    if not rows:
        return "(nothing measured)"
    names = list(rows[0])
    lines = [[_show(row[name]) for name in names] for row in rows]
    widths = [max(len(name), *(len(line[i]) for line in lines)) for i, name in enumerate(names)]
    numeric = [any(isinstance(row[name], (int, float)) for row in rows) for name in names]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in [names, *lines]
    )


def _show(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def command() -> str:
    """How to run this again, from the root of the repository."""
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])


def machine() -> dict[str, Any]:
    """What it ran on."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "niceness": os.getpriority(os.PRIO_PROCESS, 0),
        "threads": {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
    }


def _cpu_model() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def versions() -> dict[str, str]:
    """Of Python and everything whose speed counts."""
    return {"python": platform.python_version(), **versions_of(*DISTRIBUTIONS)}


def versions_of(*distributions: str) -> dict[str, str]:
    """Of what is installed under these names."""
    found = {}
    for name in distributions:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
