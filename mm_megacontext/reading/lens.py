"""A trained lens: scores the entries of a working context for the question at hand."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import nn

from mm_megacontext.digests import digest
from mm_megacontext.errors import IncompatibleGists
from mm_megacontext.reading.lens_net import LensInputs, LensNet, ScoringNet, describe_entries
from mm_megacontext.reading.working_context import Entry
from mm_megacontext.registry import Registry
from mm_megacontext.tree.nodes import Modality
from mm_megacontext.weights import load_module, read_config

LENS_DIR = Path(__file__).parents[1] / "bases" / "weights" / "lens"
"""The lens of ``mmctx-tiny``, inside the package."""

LENS_NETS = Registry[type[Any]](
    "lens network",
    group="mm_megacontext.lenses",
    built_in={
        "lens": "mm_megacontext.reading.lens_net:LensNet",
        "union": "mm_megacontext.reading.union_lens:UnionLensNet",
    },
)
"""``ScoringNet`` classes by the name that a saved lens has: torch modules made of one argument, their ``Config``, whose
``kind`` is their name here."""


class Lens:
    """A trained LensNet, ready to score entries.

    Args:
        net: The network; in evaluation mode from now on.
        base: Id of the base that it leads; by default the one whose words it was trained with.
    """

    def __init__(self, net: ScoringNet, base: str | None = None) -> None:
        self.net = net.eval() if isinstance(net, nn.Module) else net
        self.base: str = base or net.config.base

    @property
    def id(self) -> str:
        """The kind of network, and a digest of its configuration and of all weights as they are now."""
        modules = [self.net] if isinstance(self.net, nn.Module) else []
        kind = getattr(self.net, "kind", type(self.net).__name__.lower())
        return f"{kind}-{digest(modules, asdict(self.net.config))}"

    @property
    def modalities(self) -> tuple[Modality, ...] | None:
        """What it can score, or None where its network does not say."""
        modalities: tuple[Modality, ...] | None = getattr(self.net, "modalities", None)
        return modalities

    @classmethod
    def from_pretrained(cls, base_id: str, directory: Path = LENS_DIR) -> Lens:
        """Load config and weights.

        Raises:
            IncompatibleGists: It was trained with another base.
            UnknownName: Its network is of no known kind.
            WeightsUnavailable: Its config or weights are damaged or do not fit one another.
        """
        settings = read_config(directory)
        make_net = LENS_NETS.get(str(settings.pop("net", LensNet.kind)))
        base = settings.get("base")
        if base != base_id:
            raise IncompatibleGists(
                f"the lens in {directory} reads gists of {base}, the base is {base_id}; "
                "train a lens for it with `mmctx train lens --base DIR`"
            )

        def make(config: dict[str, Any]) -> Any:
            config.pop("net", None)
            return make_net(make_net.Config(**config))

        return cls(load_module(make, directory))

    def save_pretrained(self, directory: Path) -> None:
        """Write config.json and model.safetensors.

        Raises:
            TypeError: The network is none that ``from_pretrained`` could make.
        """
        name = getattr(self.net, "kind", "")
        if name not in LENS_NETS or LENS_NETS.get(name) is not type(self.net):
            raise TypeError(f"{type(self.net).__name__} cannot be saved as a lens: it is not in LENS_NETS; register it")
        directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"net": name, **asdict(self.net.config)}, indent=2) + "\n"
        (directory / "config.json").write_text(text, encoding="utf-8")
        assert isinstance(self.net, nn.Module), "only modules are registered"
        save_file(dict(self.net.state_dict()), str(directory / "model.safetensors"))

    def score(self, entries: tuple[Entry, ...], question: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Scores (entries,) in [-1, 1]: above 0 for "look closer".

        Args:
            entries: A working context's.
            question: (tokens, gist_dim), the question's tokens as the base embeds them; without any, all scores are 0.
        """
        if not len(question):
            return np.zeros(len(entries))
        gists = np.stack([e.node.gist.astype(np.float32).mean(axis=0) for e in entries])
        inputs = LensInputs(
            gists=torch.from_numpy(gists)[None],
            features=torch.from_numpy(describe_entries(entries))[None],
            lods=torch.tensor([[e.lod for e in entries]]),
            valid=torch.ones(1, len(entries), dtype=torch.bool),
            question=torch.from_numpy(question)[None],
            question_valid=torch.ones(1, len(question), dtype=torch.bool),
        )
        with torch.inference_mode():
            scores: npt.NDArray[np.float64] = torch.tanh(self.net(inputs)[0].double() / 2).numpy()
        return scores

    def query_vector(self, question: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """See ``LensNet.query_vector``."""
        with torch.inference_mode():
            vector: npt.NDArray[np.float32] = self.net.query_vector(torch.from_numpy(question)).numpy()
        return vector
