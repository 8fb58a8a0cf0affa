"""Megapixels per second and peak memory of taking up large images.

Every measurement has a process of its own.

- ingest: a procedural texture into a new memory, until it is committed, synced to disk and closed;
- read: the same texture read, cut into tiles and hashed, without encoding or storing anything;
- file, dzsave: a JPEG-compressed tiled BigTIFF of ``--file-megapixels`` read, cut and hashed, beside what libvips takes
  to make a Deep Zoom pyramid of it; only where pyvips is installed;
- canvas: a mostly empty plane of a million by a million pixels with ``--busy`` noisy tiles, and `verify` of its tree.

Usage: python benchmarks/vision_ingest.py [--megapixels 1000 10000] [--repeat 1]
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
from bench.child import measure, peak_rss_mib

NAME = "vision_ingest"
DIM = 192
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
    parser.add_argument(
        "--file-megapixels", type=float, default=150, metavar="N", help="of the file, 0 for none (default 150)"
    )
    parser.add_argument("--worker", nargs=2, metavar=("WHAT", "PATH"), help=argparse.SUPPRESS)
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    if args.worker:
        what, path = args.worker
        print(json.dumps(WORKERS[what](Path(path), args)))
        return
    load = record.load()
    has_vips = is_vips_installed()
    rows = [measured(what, n, args) for n in sorted(args.megapixels) for what in ("read", "ingest")]
    if has_vips and args.file_megapixels:
        rows += of_file(args)
    rows.append(measured("canvas", CANVAS_SIDE**2 / 1e6, args))
    notes = {"dim": DIM, "pyvips": "installed" if has_vips else "not installed: nothing beside dzsave was measured"}
    record.Record(name=NAME, seed=args.seed, rows=rows, targets=targets(rows), notes=notes).publish(args.out, load)


def is_vips_installed() -> bool:
    try:
        import pyvips  # noqa: F401
    except (ImportError, OSError):  # the latter where libvips itself is missing
        return False
    return True


def measured(what: str, megapixels: float, args: argparse.Namespace, path: Path | None = None) -> dict[str, Any]:
    """One system on one image, ``--repeat`` times."""
    runs = []
    for _ in range(args.repeat):
        with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as scratch:
            options = ["--seed", str(args.seed), "--busy", str(args.busy), "--megapixels", str(megapixels)]
            runs.append(measure(__file__, *options, "--worker", what, str(path or Path(scratch) / "memory")))
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


def of_file(args: argparse.Namespace) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as scratch:
        path = Path(scratch) / "texture.tif"
        write_tiff(path, _side(args.file_megapixels), args.seed)
        return [measured(what, args.file_megapixels, args, path) for what in ("file", "dzsave")]


def write_tiff(path: Path, side: int, seed: int) -> None:
    """A noisy cloudscape as a JPEG-compressed tiled BigTIFF; libvips computes it while it writes.

    The clouds repeat every ``_CLOUDS`` pixels, under shades that change every 256: no two parts are equal.
    """
    import pyvips

    n, bands = -(-side // _CLOUDS), []
    for band in range(3):
        clouds = pyvips.Image.perlin(_CLOUDS, _CLOUDS, cell_size=256, seed=3 * seed + band)
        grain = pyvips.Image.gaussnoise(_CLOUDS, _CLOUDS, mean=0, sigma=12, seed=3 * seed + band)
        part = (clouds * 70 + 128 + grain).cast("short").copy_memory()
        shades = pyvips.Image.gaussnoise(16 * n, 16 * n, mean=0, sigma=15, seed=99 + 3 * seed + band)
        bands.append(part.replicate(n, n) + shades.cast("short").copy_memory().zoom(256, 256))
    image = bands[0].bandjoin(bands[1:]).cast("uchar").copy(interpretation="srgb").crop(0, 0, side, side)
    image.tiffsave(str(path), compression="jpeg", Q=90, tile=True, tile_width=256, tile_height=256, bigtiff=True)


_CLOUDS = 4096


def _side(megapixels: float) -> int:
    return round(math.sqrt(megapixels * 1e6))


def ingest(memory: Path, args: argparse.Namespace) -> dict[str, Any]:
    from bench.images import Texture

    return _ingest(memory, Texture(_side(args.megapixels[0]), args.seed))


def canvas(memory: Path, args: argparse.Namespace) -> dict[str, Any]:
    from bench.images import Canvas

    from mm_megacontext.store import Store

    run = _ingest(memory, Canvas(CANVAS_SIDE, args.busy, args.seed))
    return {**run, "problems": len(Store.open(memory).verify())}


def _ingest(memory: Path, source: Any) -> dict[str, Any]:
    from bench.images import TimedEncoder, identity, take_up

    from mm_megacontext.store import Store
    from mm_megacontext.vision.gists import TileGister

    encoder = TimedEncoder(DIM)
    tiles = TileGister(encoder)
    store = Store.create(memory, identity(tiles))
    before, begun = peak_rss_mib(), time.perf_counter()
    take_up(store, source, tiles, "procedural")
    store.close()
    seconds = time.perf_counter() - begun
    return {
        "seconds": seconds,
        "outside_encoder": 1 - encoder.seconds / seconds,
        "rss_before_mib": before,
        "peak_rss_mib": peak_rss_mib(),
        "nodes": store.sources()[0].n_nodes,
        "tiles_encoded": tiles.n_encoded,
    }


def read(_: Path, args: argparse.Namespace) -> dict[str, Any]:
    from bench.images import Texture

    return _read(lambda: Texture(_side(args.megapixels[0]), args.seed))


def read_file(path: Path, _: argparse.Namespace) -> dict[str, Any]:
    from mm_megacontext.vision.pages import PageImages

    return _read(lambda: PageImages(str(path), "image").page(1))


def _read(open_source: Any) -> dict[str, Any]:
    from bench.images import TimedEncoder

    from mm_megacontext.vision.batches import read_batches
    from mm_megacontext.vision.gists import TileGister
    from mm_megacontext.vision.tiles import TileGrid

    tiles = TileGister(TimedEncoder(DIM))
    before, begun = peak_rss_mib(), time.perf_counter()
    source = open_source()
    grid = TileGrid(*source.size)
    for _ in read_batches(source, grid, grid.postorder(), tiles):
        pass
    return {"seconds": time.perf_counter() - begun, "rss_before_mib": before, "peak_rss_mib": peak_rss_mib()}


def dzsave(path: Path, _: argparse.Namespace) -> dict[str, Any]:
    import pyvips

    before, begun = peak_rss_mib(), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as out:
        pyvips.Image.new_from_file(str(path), access="sequential").dzsave(str(Path(out) / "pyramid"))
        seconds = time.perf_counter() - begun
    return {"seconds": seconds, "rss_before_mib": before, "peak_rss_mib": peak_rss_mib()}


WORKERS = {"ingest": ingest, "read": read, "file": read_file, "dzsave": dzsave, "canvas": canvas}


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
    by_name = {row["what"]: row for row in rows}
    if "dzsave" in by_name:
        ratio = by_name["file"]["megapixels_per_second"] / by_name["dzsave"]["megapixels_per_second"]
        found.append(record.Target(name="reading a file : vips dzsave", value=ratio, at_least=OF_DZSAVE))
    found.append(record.Target(name="seconds, canvas", value=by_name["canvas"]["seconds"], at_most=CANVAS_SECONDS))
    found.append(record.Target(name="problems, canvas", value=by_name["canvas"]["problems"], at_most=0))
    return found


if __name__ == "__main__":
    main()
