"""A trained lens: scores the entries of a working context for the question at hand."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mm_megacontext.errors import IncompatibleGists
from mm_megacontext.reading.lens_net import LensConfig, LensInputs, LensNet, ScoringNet, describe_entries
from mm_megacontext.reading.union_lens import UnionLensConfig, UnionLensNet
from mm_megacontext.reading.working_context import Entry

LENS_DIR = Path(__file__).parents[1] / "bases" / "weights" / "lens"
"""The lens of ``mmctx-tiny``, inside the package."""


class Lens:
    """A trained LensNet, ready to score entries.

    Args:
        net: The network; in evaluation mode from now on.
    """

    def __init__(self, net: ScoringNet) -> None:
        self.net = net.eval() if isinstance(net, nn.Module) else net

    @classmethod
    def from_pretrained(cls, base_id: str, directory: Path = LENS_DIR) -> Lens:
        """Load config and weights.

        Raises:
            IncompatibleGists: It was trained with another base.
        """
        settings = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        make_net, make_config = _net_classes(settings.pop("net", LENS))
        config = make_config(**settings)
        if config.base != base_id:
            raise IncompatibleGists(
                f"the lens in {directory} reads gists of {config.base}, the base is {base_id}; "
                "train a lens for it with `mmctx train lens --base DIR`"
            )
        net = make_net(config)
        net.load_state_dict(load_file(str(directory / "model.safetensors")))
        return cls(net)

    def save_pretrained(self, directory: Path) -> None:
        """Write config.json and model.safetensors.

        Raises:
            TypeError: The network is none that ``from_pretrained`` could make.
        """
        name = _net_name(self.net)
        directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"net": name, **asdict(self.net.config)}, indent=2) + "\n"
        (directory / "config.json").write_text(text, encoding="utf-8")
        assert isinstance(self.net, nn.Module), "only known networks have a name"
        save_file(dict(self.net.state_dict()), str(directory / "model.safetensors"))

    def score(self, entries: tuple[Entry, ...], question: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Scores (entries,) in [-1, 1]: above 0 for "look closer".

        Args:
            entries: A working context's.
            question: (tokens, gist_dim), the question's tokens as the base embeds them; without any, all scores are 0.
        """
        if not len(question):
            return np.zeros(len(entries))
        gists = np.stack([e.node.gist for e in entries]).astype(np.float32).mean(axis=1)
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


LENS, UNION = "lens", "union"


def _net_classes(name: str) -> tuple[type[Any], type[Any]]:
    """The network and the config that go by ``name`` in a saved lens. Raises ValueError where there is none."""
    if name == LENS:
        return LensNet, LensConfig
    if name == UNION:
        return UnionLensNet, UnionLensConfig
    raise ValueError(f"no lens network is called {name!r}; there are {LENS} and {UNION}")


def _net_name(net: ScoringNet) -> str:
    for name in (LENS, UNION):
        if type(net) is _net_classes(name)[0]:
            return name
    raise TypeError(f"{type(net).__name__} cannot be saved as a lens; save its weights yourself")
