"""Megapixels per second and peak memory of taking up large images.

Every measurement has a process of its own.

- ingest: a JPEG-compressed tiled BigTIFF into a new memory, until it is committed, synced to disk and closed;
- read: the same file read, cut into tiles and hashed, without encoding or storing anything;
- dzsave: what libvips takes to make a Deep Zoom pyramid of it; of the smallest file only;
- canvas: a mostly empty plane of a million by a million pixels with ``--busy`` noisy tiles, and `verify` of its tree.

The files are written by libvips, 0.45 bytes per pixel, as photographs have: pip install 'mm-megacontext[vips]'.

Usage: python benchmarks/vision_ingest.py [--megapixels 1000 10000] [--repeat 1] [--files DIR]
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench import record
from bench.child import TreePeak, measure, peak_rss_mib

NAME = "vision_ingest"
DIM = 160
"""That of the native base."""
CANVAS_SIDE = 1_000_000
GROWTH_OF_TIME, GROWTH_OF_MEMORY = 1.2, 1.1
"""At most, from the smallest image to the largest: time per megapixel, and peak memory."""
PEAK_MIB = 1536.0
OUTSIDE = 0.25
"""At most this share of the time is not spent in the encoder."""
OF_DZSAVE = 0.7
"""At least, the speed of reading a file relative to `vips dzsave`."""
CANVAS_SECONDS = 300.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--megapixels", type=float, nargs="+", default=[1000, 10_000], metavar="N", help="default 1000 10000"
    )
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="runs of each; medians count (default 1)")
    parser.add_argument("--busy", type=int, default=1000, metavar="N", help="tiles of the canvas (default 1000)")
    parser.add_argument("--files", type=Path, metavar="DIR", help="keep the images here, and take those that are")
    parser.add_argument("--worker", nargs=2, metavar=("WHAT", "PATH"), help=argparse.SUPPRESS)
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    if args.worker:
        what, path = args.worker
        print(json.dumps(WORKERS[what](Path(path), args)))
        return
    load = record.load()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as temporary:
        directory, sizes = args.files or Path(temporary), sorted(args.megapixels)
        for n, what in [(sizes[0], "dzsave"), *((n, what) for n in sizes for what in ("read", "ingest"))]:
            rows.append(measured(what, n, args, texture(directory, n, args.seed)))
    rows.append(measured("canvas", CANVAS_SIDE**2 / 1e6, args))
    result = record.Record(name=NAME, seed=args.seed, rows=rows, targets=targets(rows), notes={"dim": DIM})
    result.publish(args.out, load)


def measured(what: str, megapixels: float, args: argparse.Namespace, path: Path | None = None) -> dict[str, Any]:
    """One system on one image, ``--repeat`` times."""
    options = ["--seed", str(args.seed), "--busy", str(args.busy)]
    runs = [measure(__file__, *options, "--worker", what, str(path)) for _ in range(args.repeat)]
    seconds = median(run["seconds"] for run in runs)
    return {
        "what": what,
        "megapixels": megapixels,
        "seconds": round(seconds, 2),
        "megapixels_per_second": round(megapixels / seconds, 1),
        "outside_encoder": _median(runs, "outside_encoder", 3),
        "peak_rss_mib": _median(runs, "peak_rss_mib", 1),
        "rss_before_mib": _median(runs, "rss_before_mib", 1),
        "nodes": runs[0].get("nodes"),
        "tiles_encoded": runs[0].get("tiles_encoded"),
        "problems": runs[0].get("problems"),
    }


def _median(runs: list[dict[str, Any]], name: str, digits: int) -> float | None:
    return round(median(run[name] for run in runs), digits) if name in runs[0] else None


def texture(directory: Path, megapixels: float, seed: int) -> Path:
    """The image of that size in ``directory``, written if it is not there."""
    path = directory / f"texture-{megapixels:g}-{seed}.tif"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.tif")
        write_tiff(partial, round(math.sqrt(megapixels * 1e6)), seed)
        partial.rename(path)
    return path


def write_tiff(path: Path, side: int, seed: int) -> None:
    """A noisy cloudscape as a JPEG-compressed tiled BigTIFF; libvips computes it while it writes.

    The clouds repeat every ``_CLOUDS`` pixels, under shades that change every 256: no two parts are equal.
    """
    import pyvips

    n, bands = -(-side // _CLOUDS), []
    for band in range(3):
        clouds = pyvips.Image.perlin(_CLOUDS, _CLOUDS, cell_size=256, seed=3 * seed + band)
        grain = pyvips.Image.gaussnoise(_CLOUDS, _CLOUDS, mean=0, sigma=_GRAIN, seed=3 * seed + band)
        part = (clouds * 70 + 128 + grain).cast("short").copy_memory()
        shades = pyvips.Image.gaussnoise(16 * n, 16 * n, mean=0, sigma=15, seed=99 + 3 * seed + band)
        bands.append(part.replicate(n, n) + shades.cast("short").copy_memory().zoom(256, 256))
    image = bands[0].bandjoin(bands[1:]).cast("uchar").copy(interpretation="srgb").crop(0, 0, side, side)
    image.tiffsave(str(path), compression="jpeg", Q=90, tile=True, tile_width=256, tile_height=256, bigtiff=True)


_CLOUDS = 4096
_GRAIN = 3
"""Standard deviation: it makes the file as large as photographs of this quality are, 0.45 bytes a pixel."""


def ingest(path: Path, _: argparse.Namespace) -> dict[str, Any]:
    from bench.images import TimedEncoder

    from mm_megacontext import MegaContext
    from mm_megacontext.bases.native_base import NativeBase

    encoder = TimedEncoder(DIM)
    base = NativeBase.from_pretrained().with_encoder(encoder)
    with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as scratch:
        before, begun = peak_rss_mib(), time.perf_counter()
        with TreePeak() as peak, MegaContext.open(Path(scratch) / "memory", base=base) as memory:
            report = memory.ingest(path)
        seconds = time.perf_counter() - begun
    (source,) = report.ingested
    return {
        "seconds": seconds,
        "outside_encoder": 1 - encoder.seconds / seconds,
        "rss_before_mib": before,
        "peak_rss_mib": peak.mib,
        "nodes": source.nodes,
    }


def canvas(_: Path, args: argparse.Namespace) -> dict[str, Any]:
    from bench.images import Canvas, identity, take_up

    from mm_megacontext.store.store import Store
    from mm_megacontext.vision.encoders import DctEncoder
    from mm_megacontext.vision.gists.tile_gister import TileGister

    tiles = TileGister(DctEncoder(DIM))
    with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as scratch:
        memory = Path(scratch) / "memory"
        before, begun = peak_rss_mib(), time.perf_counter()
        store = Store.create(memory, identity(tiles))
        take_up(store, Canvas(CANVAS_SIDE, args.busy, args.seed), tiles, "procedural")
        store.close()
        seconds = time.perf_counter() - begun
        return {
            "seconds": seconds,
            "rss_before_mib": before,
            "peak_rss_mib": peak_rss_mib(),
            "nodes": store.sources()[0].n_nodes,
            "tiles_encoded": tiles.n_encoded,
            "problems": len(Store.open(memory).verify()),
        }


def read(path: Path, _: argparse.Namespace) -> dict[str, Any]:
    from mm_megacontext.vision.encoders import DctEncoder
    from mm_megacontext.vision.gists.tile_gister import TileGister
    from mm_megacontext.vision.pages import PageImages
    from mm_megacontext.vision.quadtree.batches import read_batches
    from mm_megacontext.vision.quadtree.grid import TileGrid

    tiles = TileGister(DctEncoder(DIM))
    before, begun = peak_rss_mib(), time.perf_counter()
    with TreePeak() as peak, PageImages(str(path), "image") as images:
        source = images.page(1)
        grid = TileGrid(*source.size)
        for _batch in read_batches(source, grid, grid.postorder(), tiles):
            pass
        seconds = time.perf_counter() - begun
    return {"seconds": seconds, "rss_before_mib": before, "peak_rss_mib": peak.mib}


def dzsave(path: Path, _: argparse.Namespace) -> dict[str, Any]:
    import pyvips

    before, begun = peak_rss_mib(), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as out:
        pyvips.Image.new_from_file(str(path), access="sequential").dzsave(str(Path(out) / "pyramid"))
        seconds = time.perf_counter() - begun
    return {"seconds": seconds, "rss_before_mib": before, "peak_rss_mib": peak_rss_mib()}


WORKERS = {"ingest": ingest, "read": read, "dzsave": dzsave, "canvas": canvas}


def targets(rows: list[dict[str, Any]]) -> list[record.Target]:
    ingests = [row for row in rows if row["what"] == "ingest"]
    first, last = ingests[0], ingests[-1]
    found = [
        record.Target(name=f"peak MiB, {last['megapixels']:g} Mpx", value=last["peak_rss_mib"], at_most=PEAK_MIB),
        record.Target(
            name=f"share outside the encoder, {last['megapixels']:g} Mpx",
            value=last["outside_encoder"],
            at_most=OUTSIDE,
        ),
    ]
    if len(ingests) > 1:
        sizes = f"{last['megapixels']:g} Mpx : {first['megapixels']:g} Mpx"
        speed = first["megapixels_per_second"] / last["megapixels_per_second"]
        memory = last["peak_rss_mib"] / first["peak_rss_mib"]
        found.append(record.Target(name=f"time per megapixel, {sizes}", value=speed, at_most=GROWTH_OF_TIME))
        found.append(record.Target(name=f"peak memory, {sizes}", value=memory, at_most=GROWTH_OF_MEMORY))
    smallest = {row["what"]: row for row in reversed(rows)}
    ratio = smallest["read"]["megapixels_per_second"] / smallest["dzsave"]["megapixels_per_second"]
    found.append(record.Target(name="reading a file : vips dzsave", value=ratio, at_least=OF_DZSAVE))
    found.append(record.Target(name="seconds, canvas", value=smallest["canvas"]["seconds"], at_most=CANVAS_SECONDS))
    found.append(record.Target(name="problems, canvas", value=smallest["canvas"]["problems"], at_most=0))
    return found


if __name__ == "__main__":
    main()
