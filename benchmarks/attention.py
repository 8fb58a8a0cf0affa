"""Packed attention beside a padded batch, on every backend that runs here; and what Gaussian rotary embedding costs.

Lengths of sequences are drawn log-uniformly from 64 to 4096, so that padding all of them to the longest wastes much.
Systems take turns; ratios are to ``scaled_dot_product_attention`` of the padded batch, round by round in the same run.
Then a native base of 8 layers reads entries with Gaussian and with plain rotary embedding, in turns too.

Usage: python benchmarks/attention.py [--entries 512 2048 8192 32768] [--repeat 5] [--limit 20] [--device cpu]
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from statistics import median
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from bench import record
from bench.child import measure, peak_rss_mib
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mm_megacontext.attention import Backend, Lengths, Setting, attend, backend_for
from mm_megacontext.bases import native
from mm_megacontext.bases.native import Inputs, NativeModel
from mm_megacontext.bases.native_config import NativeConfig
from mm_megacontext.bases.native_state import State, read_on
from mm_megacontext.positional import Phases, Positions, RotaryConfig
from mm_megacontext.positional.frequencies import pair_table

NAME = "attention"
SHORTEST, LONGEST = 64, 4096
"""Entries of a sequence."""
PADDED = "padded sdpa"
PASSES = ("forward", "forward+backward")
WARM_UP_ENTRIES = 64
MOST_OVERHEAD = 1.05
"""Target: a forward with Gaussian rotary embedding takes at most this many times as long as one with the plain one."""
MODEL = NativeConfig(name="benchmark", dim=512, n_layers=8, n_heads=8, mlp_dim=1408, rotary_pairs=(12, 10, 10))

Run = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Shape:
    """Heads, and where and in what they are computed."""

    heads: int
    kv_heads: int
    head_dim: int
    device: torch.device
    dtype: torch.dtype

    @classmethod
    def of(cls, args: argparse.Namespace) -> Shape:
        device = torch.device(args.device)
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        return cls(args.heads, args.kv_heads, args.head_dim, device, dtype)

    def systems(self) -> tuple[str, ...]:
        """The padded batch, and every backend that runs here."""
        fastest = backend_for(Setting.on(self.device, self.dtype, self.head_dim))
        return (PADDED, *dict.fromkeys((fastest, "sdpa", "eager")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--entries", type=int, nargs="+", default=[512, 2048, 8192, 32768], metavar="N")
    parser.add_argument("--rope-entries", type=int, nargs="+", default=[512, 2048], metavar="N", help="of the model")
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="rounds; medians count (default 5)")
    parser.add_argument("--rope-repeat", type=int, default=15, metavar="N", help="rounds of the model (default 15)")
    parser.add_argument("--limit", type=float, default=20.0, metavar="S", help="leave out runs longer than this")
    parser.add_argument("--heads", type=int, default=8, metavar="N")
    parser.add_argument("--kv-heads", type=int, default=8, metavar="N")
    parser.add_argument("--head-dim", type=int, default=64, metavar="N")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="default %(default)s")
    parser.add_argument("--worker", nargs=3, metavar=("SYSTEM", "PASS", "ENTRIES"), help=argparse.SUPPRESS)
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    if args.worker:
        system, which, entries = args.worker
        print(json.dumps({"peak_mib": grown_rss_mib(system, which, int(entries), Shape.of(args), args.seed)}))
        return
    load = record.load()
    rows = Comparison(args).rows()
    rope = [compare_rope(n, args) for n in sorted(args.rope_entries)]
    result = record.Record(name=NAME, seed=args.seed, rows=rows, targets=targets(rope), notes=notes(args, rope))
    result.publish(args.out, load)


def draw_lengths(entries: int, seed: int) -> list[int]:
    """Log-uniform lengths that add up to ``entries``; the last is what remains."""
    rng = random.Random(f"{NAME}-{seed}-{entries}")
    lengths: list[int] = []
    while (rest := entries - sum(lengths)) > 0:
        lengths.append(min(rest, round(math.exp(rng.uniform(math.log(SHORTEST), math.log(LONGEST))))))
    return lengths


def prepare(system: str, which: str, lengths: list[int], shape: Shape, seed: int) -> Run:
    """Inputs on the device, and what is to be timed on them."""
    g = torch.Generator().manual_seed(seed)
    heads = (shape.heads, shape.kv_heads, shape.kv_heads)
    packed = [torch.randn(sum(lengths), n, shape.head_dim, generator=g) for n in heads]
    inputs = [x.to(shape.device, shape.dtype) for x in packed]
    if system == PADDED:
        inputs = [pad_sequence(x.split(lengths), batch_first=True).transpose(1, 2) for x in inputs]
    forward = padded if system == PADDED else packed_on(system, Lengths.full(lengths))
    if which == "forward":
        return lambda: without_gradients(forward, inputs)
    return lambda: with_gradients(forward, [x.detach().requires_grad_() for x in inputs])


def padded(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Of a batch padded at the end; the causal mask alone hides the padding from what counts."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=q.shape[1] != k.shape[1])


def packed_on(backend: Backend, lengths: Lengths) -> Callable[..., Tensor]:
    return lambda q, k, v: attend(q, k, v, lengths, backend=backend)


@torch.no_grad()
def without_gradients(forward: Callable[..., Tensor], inputs: list[Tensor]) -> None:
    forward(*inputs)


def with_gradients(forward: Callable[..., Tensor], inputs: list[Tensor]) -> None:
    out = forward(*inputs)
    out.backward(torch.ones_like(out))


class Comparison:
    """All systems on sequences of growing total length."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.shape = args, Shape.of(args)
        self._seconds_per_pair: dict[tuple[str, str], float] = {}

    def rows(self) -> list[dict[str, Any]]:
        return [row for n in sorted(self.args.entries) for which in PASSES for row in self.compare(n, which)]

    def compare(self, entries: int, which: str) -> list[dict[str, Any]]:
        """One pass over ``entries``: rounds in which every system runs once."""
        lengths = draw_lengths(entries, self.args.seed)
        expected = {system: self._expected(system, which, lengths) for system in self.shape.systems()}
        runs = {
            system: prepare(system, which, lengths, self.shape, self.args.seed)
            for system, seconds in expected.items()
            if seconds <= self.args.limit
        }
        for run in runs.values():
            run()
        rounds = [
            {system: clock(run, self.shape.device) for system, run in runs.items()} for _ in range(self.args.repeat)
        ]
        for system in runs:
            spent = median(one[system] for one in rounds)
            self._seconds_per_pair[system, which] = spent / n_pairs(system, lengths)
        peaks = {system: self._peak_mib(system, which, entries) for system in runs}
        print(f"{entries} entries, {which}: done", file=sys.stderr)
        return [row(system, which, lengths, rounds, peaks, seconds) for system, seconds in expected.items()]

    def _expected(self, system: str, which: str, lengths: list[int]) -> float:
        """Seconds, from what the size before took; 0 if there was none."""
        return self._seconds_per_pair.get((system, which), 0.0) * n_pairs(system, lengths)

    def _peak_mib(self, system: str, which: str, entries: int) -> float:
        shape, args = self.shape, self.args
        if shape.device.type == "cuda":
            return allocated_mib(system, which, entries, shape, args.seed)
        heads = ("--heads", str(shape.heads), "--kv-heads", str(shape.kv_heads), "--head-dim", str(shape.head_dim))
        found = measure(
            __file__, "--device", "cpu", *heads, "--seed", str(args.seed), "--worker", system, which, str(entries)
        )
        return float(found["peak_mib"])


def n_pairs(system: str, lengths: list[int]) -> int:
    """Pairs of query and key that a system goes through, hidden ones included."""
    return len(lengths) * max(lengths) ** 2 if system == PADDED else sum(n * n for n in lengths)


def clock(run: Run, device: torch.device) -> float:
    synchronize(device)
    begun = time.perf_counter()
    run()
    synchronize(device)
    return time.perf_counter() - begun


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def allocated_mib(system: str, which: str, entries: int, shape: Shape, seed: int) -> float:
    """The most that one run had allocated on the GPU, inputs included."""
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated(shape.device)
    torch.cuda.reset_peak_memory_stats(shape.device)
    prepare(system, which, draw_lengths(entries, seed), shape, seed)()
    return (torch.cuda.max_memory_allocated(shape.device) - before) / 2**20


def grown_rss_mib(system: str, which: str, entries: int, shape: Shape, seed: int) -> float:
    """By how much one run raised the peak of this new process, inputs included."""
    prepare(system, which, [WARM_UP_ENTRIES], shape, seed)()
    before = peak_rss_mib()
    prepare(system, which, draw_lengths(entries, seed), shape, seed)()
    return peak_rss_mib() - before


def row(
    system: str,
    which: str,
    lengths: list[int],
    rounds: list[dict[str, float]],
    peaks: dict[str, float],
    expected: float,
) -> dict[str, Any]:
    """Medians of one system; nothing but a note where it was left out."""
    found = {
        "entries": sum(lengths),
        "sequences": len(lengths),
        "padded_entries": len(lengths) * max(lengths),
        "pass": which,
        "system": system if system == PADDED else f"packed {system}",
    }
    if system not in peaks:
        missing = dict.fromkeys(("ms", "tokens_per_s", "speed_of_padded", "peak_mib", "memory_of_padded"))
        return {**found, **missing, "note": f"left out: about {expected:.0f} s a run"}
    seconds = median(one[system] for one in rounds)
    padded_peak = peaks.get(PADDED)  # none if it was left out, 0 if it stayed below the peak of the imports
    return {
        **found,
        "ms": round(1000 * seconds, 2),
        "tokens_per_s": round(sum(lengths) / seconds),
        "speed_of_padded": round(median(one[PADDED] / one[system] for one in rounds), 3) if PADDED in peaks else None,
        "peak_mib": round(peaks[system], 1),
        "memory_of_padded": round(peaks[system] / padded_peak, 3) if padded_peak else None,
        "note": "",
    }


def compare_rope(entries: int, args: argparse.Namespace) -> dict[str, Any]:
    """Forwards of a native base with Gaussian and plain rotary embedding, in turns."""
    device = torch.device(args.device)
    torch.manual_seed(args.seed)
    model = NativeModel(MODEL).to(device).eval()
    inputs = random_inputs(entries, args.seed).to(device)

    def forward() -> None:
        with torch.inference_mode():
            read_on(model, [inputs], [State.empty(model)])

    def plain_forward() -> None:
        with mock.patch.object(native, "phases", plain_phases):
            forward()

    plain_forward()
    forward()
    rounds = [(clock(plain_forward, device), clock(forward, device)) for _ in range(args.rope_repeat)]
    return {
        "entries": entries,
        "plain_ms": round(1000 * median(plain for plain, _ in rounds), 2),
        "gaussian_ms": round(1000 * median(gaussian for _, gaussian in rounds), 2),
        "ratio": round(median(gaussian / plain for plain, gaussian in rounds), 4),
    }


def plain_phases(positions: Positions, config: RotaryConfig, gain: Tensor | None = None) -> Phases:
    """Rotary embedding as usual: float32 angles of the means, and no damping."""
    table = pair_table(config, positions.mu.device)
    angle = positions.mu.float()[..., table.axis] * table.frequency
    return Phases(angle.cos(), angle.sin())


def random_inputs(entries: int, seed: int) -> Inputs:
    """One sequence, a fifth of it gists with a spread."""
    g = torch.Generator().manual_seed(seed)
    mu = torch.rand(1, entries, 3, generator=g, dtype=torch.float64) * 60
    mu[..., 0] = torch.arange(entries)
    is_vector = torch.rand(1, entries, generator=g) < 0.2
    return Inputs(
        token_ids=torch.randint(0, MODEL.vocab_size, (1, entries), generator=g),
        vectors=torch.randn(1, entries, MODEL.dim, generator=g),
        is_vector=is_vector,
        roles=torch.zeros(1, entries, dtype=torch.int64),
        line_start=torch.zeros(1, entries, dtype=torch.int64),
        lods=is_vector.long(),
        mu=mu,
        sigma=torch.rand(1, entries, 3, generator=g) * 10 * is_vector[..., None],
    )


def targets(rope: list[dict[str, Any]]) -> list[record.Target]:
    return [
        record.Target(
            name=f"time of a forward, Gaussian : plain rotary embedding, {one['entries']} entries",
            value=one["ratio"],
            at_most=MOST_OVERHEAD,
        )
        for one in rope
    ]


def notes(args: argparse.Namespace, rope: list[dict[str, Any]]) -> dict[str, Any]:
    shape = Shape.of(args)
    is_cuda = shape.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(shape.device) if is_cuda else "cpu",
        "threads": torch.get_num_threads(),
        "dtype": str(shape.dtype).removeprefix("torch."),
        "heads": [shape.heads, shape.kv_heads, shape.head_dim],
        "lengths": [SHORTEST, LONGEST],
        "xformers": version("xformers") if "xformers" in shape.systems() else "not used",
        "rope_model": MODEL.to_json(),
        "rope": rope,
    }


if __name__ == "__main__":
    main()
