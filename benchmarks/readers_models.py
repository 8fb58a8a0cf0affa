"""One small language model as every kind of reader, on the same passages of real documents: do they say the same?

Chat mode (``hf:``), embedding mode (``hf-embed:``) without and with gists, and a server of transformers (``api:``) are
shown the same contexts. Beside what they answer: how likely the model finds the accepted answer with the passages, with
gists among them (both placements), and with the question alone.

Usage: python benchmarks/smollm2.py DIR; python benchmarks/readers_models.py --model DIR [--limit N] [--budget N]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from bench import record
from bench.perfect_reader import lines_of, overlap
from bench.transformers_server import serving
from readers_real import LEAST_OVERLAP, ROOT, Shown, memory_of, within

from mm_megacontext.bases.api.reader import ApiReader
from mm_megacontext.bases.hf.embedding_reader import HfEmbeddingReader
from mm_megacontext.bases.hf.loading import load
from mm_megacontext.bases.hf.reader import HfReader
from mm_megacontext.bases.replies import read_reply
from mm_megacontext.eval.real_documents import Sample, load_manifest, load_samples
from mm_megacontext.eval.real_documents.answers import holds_answer
from mm_megacontext.eval.real_documents.fetch import FetchFailed, fetch
from mm_megacontext.eval.real_documents.gold import blocks_on_page, page_boxes
from mm_megacontext.evidence import cited_evidence
from mm_megacontext.memory import MegaContext
from mm_megacontext.passages.context import Context
from mm_megacontext.reading.base import Reading

NAME = "readers_models"
CHAT, PLAIN, MEAN, SERVER = "hf", "hf-embed", "hf-embed, gists", "api"
Read = Callable[[Context], Reading]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="as benchmarks/smollm2.py writes it")
    parser.add_argument("--documents", type=Path, default=ROOT / "build/real_documents", metavar="DIR")
    parser.add_argument("--memory", type=Path, metavar="DIR", help="kept; by default a new one")
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    parser.add_argument("--budget", type=int, default=768, metavar="N", help="tokens of the prompt")
    parser.add_argument("--max-tokens", type=int, default=32, metavar="N", help="of a reply")
    parser.add_argument("--limit", type=int, default=3, metavar="N", help="only the first N questions of each document")
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    started = record.load()
    try:
        fetch(args.documents, load_manifest(), lambda line: print(line, file=sys.stderr))
    except FetchFailed as error:
        raise SystemExit(f"error: {error}") from error
    samples = [s for s in load_samples(args.documents, split=args.split) if not s.question.is_absent]
    groups = groupby(samples, key=lambda sample: sample.path)
    samples = [sample for _, group in groups for sample in list(group)[: args.limit]]
    with memory_of(samples, args.memory) as directory, serving(args.model) as url:
        outcomes = Asked(args.model, url, args.max_tokens).ask_all(directory, samples, args.budget)
    rows = [row(name, outcomes) for name in (CHAT, PLAIN, SERVER, MEAN)]
    notes = {
        "split": args.split,
        "questions": len(samples),
        "documents": len({s.path for s in samples}),
        "budget": args.budget,
        "max_tokens": args.max_tokens,
        "gold_open": mean(outcomes, "open"),
        "nats_per_token_of_the_accepted_answer": {
            name: mean(outcomes, f"nll {name}") for name in ("question alone", "passages", "compact", "timeline")
        },
    }
    targets = [
        record.Target(name=f"{name} says what chat mode says", value=mean(outcomes, f"same {name}"), at_least=1.0)
        for name in (PLAIN, SERVER)
    ]
    record.Record(name=NAME, seed=args.seed, rows=rows, targets=targets, notes=notes).publish(args.out, started)


class Asked:
    """All readers of one model.

    Args:
        model: Its directory.
        url: Of a server that has it.
        max_tokens: Of a reply.
    """

    def __init__(self, model: Path, url: str, max_tokens: int) -> None:
        loaded = load(str(model), {"dtype": "float32"})
        self.chat = HfReader(loaded=loaded, max_tokens=max_tokens)
        self.plain = HfEmbeddingReader(loaded=loaded, max_tokens=max_tokens)
        self.compact = HfEmbeddingReader(loaded=loaded, max_tokens=max_tokens, gists="mean")
        self.timeline = HfEmbeddingReader(loaded=loaded, max_tokens=max_tokens, gists="mean", placement="timeline")
        self.server = ApiReader(str(model), url, structured="plain", max_tokens=max_tokens)
        self.readers: dict[str, Read] = {
            CHAT: self.chat.read,
            PLAIN: self.plain.read,
            SERVER: self._through_server,
            MEAN: self.compact.read,
        }

    def ask_all(self, directory: Path, samples: Sequence[Sample], budget: int) -> list[dict[str, Any]]:
        outcomes = []
        with MegaContext.open(directory, create=False, reader=self.chat) as memory:
            for sample in samples:
                context = memory.context(sample.question.question, budget=budget, source=within(sample, "file"))
                outcomes.append({"open": is_open(memory, sample, context), **self._outcome(sample, context)})
                print(f"{sample.question.id}: {outcomes[-1]['said']}", file=sys.stderr, flush=True)
        return outcomes

    def _outcome(self, sample: Sample, context: Context) -> dict[str, Any]:
        said: dict[str, Reading] = {}
        outcome: dict[str, Any] = {"said": {}}
        for name, read in self.readers.items():
            begun = time.perf_counter()
            said[name] = read(context)
            outcome[f"seconds {name}"] = time.perf_counter() - begun
            outcome["said"][name] = said[name].text
            outcome[f"found {name}"] = said[name].found
            outcome[f"right {name}"] = holds_answer(said[name].text, sample.question.answers)
            outcome[f"same {name}"] = said[name] == said[CHAT]
            evidence = cited_evidence(said[name], context) if said[name].found else ()
            outcome[f"grounded {name}"] = bool(evidence)
            uri = str(sample.path.resolve())
            outcome[f"boxed {name}"] = any(
                overlap([e.bbox for e in evidence if (e.source, e.page) == (uri, place.page)], lines_of(words))
                >= LEAST_OVERLAP
                for place in sample.places
                for words in (place.answer_boxes, place.boxes)
            )
        answer = sample.question.answers[0]
        nothing = Context(question=context.question, parts=())
        for name, reader, shown in (
            ("question alone", self.plain, nothing),
            ("passages", self.plain, context),
            ("compact", self.compact, context),
            ("timeline", self.timeline, context),
        ):
            outcome[f"nll {name}"] = -float(reader.token_logprobs(shown, answer).mean())
        return outcome

    def _through_server(self, context: Context) -> Reading:
        """As ``ApiReader.read``, which would refuse a reply that was cut off; the others take it as it is."""
        return read_reply(self.server._ask(context).text, [part.id for part in context.parts])


def is_open(memory: MegaContext, sample: Sample, context: Context) -> bool:
    uri = str(sample.path.resolve())
    number = next(source.number for source in memory.sources if source.uri == uri)
    tree = memory._tree_of(None)
    return any(
        Shown(context, uri, place, page_boxes(blocks_on_page(tree, number, place.page), number, place.page)).is_open
        for place in sample.places
    )


def mean(outcomes: Sequence[dict[str, Any]], name: str) -> float:
    return round(float(np.mean([outcome[name] for outcome in outcomes])), 3)


def row(name: str, outcomes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "reader": name,
        "n": len(outcomes),
        "found": mean(outcomes, f"found {name}"),
        "right": mean(outcomes, f"right {name}"),
        "grounded": mean(outcomes, f"grounded {name}"),
        "boxed": mean(outcomes, f"boxed {name}"),
        "same as hf": mean(outcomes, f"same {name}"),
        "seconds": round(float(np.median([outcome[f"seconds {name}"] for outcome in outcomes])), 2),
    }


if __name__ == "__main__":
    main()
