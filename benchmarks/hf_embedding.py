"""What it costs to read vectors in the place of tokens: time and memory beside the model's own forward, and packing.

The model is a Llama with random weights, of the size of SmolLM2-135M, or any that is given. Systems take turns, round
by round; memory is the most that a process of its own had resident.

Usage: python benchmarks/hf_embedding.py [--model DIR] [--rounds 5]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench import record
from transformers import AutoModelForCausalLM, LlamaConfig

from mm_megacontext.bases.hf.decoder import Decoder
from mm_megacontext.bases.hf.embedded import Embedded
from mm_megacontext.bases.hf.packed import prefill

NAME = "hf_embedding"
MOST = 1.1
N_TOKENS = 512
LENGTHS = (512, 48, 64, 32, 128, 24)
"""Of the contexts that are packed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, metavar="DIR", help="default: random weights")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default %(default)s")
    parser.add_argument("--alone", choices=("own", "embedded"), help=argparse.SUPPRESS)
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    model = made(args.model)
    if args.alone is not None:
        systems(model)[args.alone]()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    load = record.load()
    rows = [timed(name, pair, args.rounds) for name, pair in (("forward", forward(model)), ("batch", batch(model)))]
    rows.append(memory(args))
    targets = [
        record.Target(name="time of embedding mode : own forward", value=rows[0]["ratio"], at_most=MOST),
        record.Target(name="time of a packed batch : a padded one", value=rows[1]["ratio"], at_most=1.0),
        record.Target(name="memory of embedding mode : own forward", value=rows[2]["ratio"], at_most=MOST),
    ]
    notes = {"model": "random" if args.model is None else args.model.name, "tokens": N_TOKENS, "lengths": LENGTHS}
    record.Record(name=NAME, seed=args.seed, rows=rows, targets=targets, notes=notes).publish(args.out, load)


def made(directory: Path | None) -> Any:
    if directory is not None:
        return AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49_152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    )
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def tokens(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(3, 49_000, (1, n), generator=torch.Generator().manual_seed(seed))


def systems(model: Any) -> dict[str, Callable[[], Any]]:
    """One context of ``N_TOKENS``, as the model reads it and as vectors."""
    ids, decoder = tokens(N_TOKENS), Decoder(model)

    def own() -> Any:
        with torch.inference_mode():
            return model(input_ids=ids, use_cache=True, logits_to_keep=1).logits

    def embedded() -> Any:
        with torch.inference_mode():
            return decoder.logits(decoder.embed({"input_ids": ids}))

    return {"own": own, "embedded": embedded}


def forward(model: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    both = systems(model)
    return both["embedded"], both["own"]


def batch(model: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Contexts of several lengths in one forward: packed, and filled up to the longest."""
    contexts = [tokens(n, seed) for seed, n in enumerate(LENGTHS)]
    decoder = Decoder(model)
    embedded: Sequence[Embedded] = [decoder.embed({"input_ids": ids}) for ids in contexts]
    longest = max(LENGTHS)
    ids = torch.cat([torch.nn.functional.pad(one, (longest - one.shape[1], 0)) for one in contexts])
    mask = torch.stack([torch.arange(longest) >= longest - n for n in LENGTHS]).long()

    def packed() -> Any:
        with torch.inference_mode():
            return prefill(decoder, embedded)

    def padded() -> Any:
        with torch.inference_mode():
            return model(input_ids=ids, attention_mask=mask, use_cache=True, logits_to_keep=1).logits

    return packed, padded


def timed(name: str, pair: tuple[Callable[[], Any], Callable[[], Any]], rounds: int) -> dict[str, Any]:
    """Both in turns, after one to warm up."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for system, taken in zip(pair, seconds, strict=True):
            begun = time.perf_counter()
            system()
            if turn:
                taken.append(time.perf_counter() - begun)
    ours, theirs = (float(np.median(taken)) for taken in seconds)
    return {
        "what": name,
        "ours": round(ours, 4),
        "beside": round(theirs, 4),
        "ratio": round(ours / theirs, 3),
        "unit": "s",
    }


def memory(args: argparse.Namespace) -> dict[str, Any]:
    """The most that a process had resident that read one context."""
    peak = {}
    for name in ("embedded", "own"):
        command = [sys.executable, __file__, "--alone", name, *(["--model", str(args.model)] if args.model else [])]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        peak[name] = int(told.split()[-1]) / 1024
    ratio = round(peak["embedded"] / peak["own"], 3)
    return {
        "what": "memory",
        "ours": round(peak["embedded"]),
        "beside": round(peak["own"]),
        "ratio": ratio,
        "unit": "MiB",
    }


if __name__ == "__main__":
    main()
