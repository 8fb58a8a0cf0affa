"""Small random models, and generated rows as a tree: for tests that need a base but not what one has learned."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch

from mm_megacontext.bases.native import Inputs, NativeModel
from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.bases.native_config import NativeConfig
from mm_megacontext.bases.native_files import TINY_DIR, load_tokenizer
from mm_megacontext.bases.tokenizer import WordTokenizer
from mm_megacontext.reading.lens import Lens
from mm_megacontext.reading.lens_net import LensConfig, LensNet
from mm_megacontext.tree.in_memory import InMemoryTree
from mm_megacontext.tree.nodes import Leaves, Node, NodeId, NodeRow
from mm_megacontext.vision.encoders import create_encoder

CONFIG = NativeConfig(name="random", dim=32, n_layers=2, n_heads=2, mlp_dim=48, rotary_pairs=(2, 2, 2))
ALWAYS_COPIES, NEVER_COPIES = -60.0, 60.0


@cache
def tokenizer() -> WordTokenizer:
    """That of the package; it is data, not a trained network."""
    return load_tokenizer(TINY_DIR)


def random_model(seed: int = 0, config: NativeConfig = CONFIG, sentinel: float | None = None) -> NativeModel:
    """Untrained weights; ``sentinel`` sets how much the copy head prefers to generate."""
    generator_state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    model = NativeModel(config)
    torch.random.set_rng_state(generator_state)
    if sentinel is not None:
        torch.nn.init.constant_(model.copy_head.sentinel.bias, sentinel)
    return model.eval()


def random_inputs(seed: int, n: int) -> Inputs:
    """Leaves and gists with times that run on, jump and stand still."""
    g = torch.Generator().manual_seed(seed)
    times = torch.randint(-3, 4, (1, n), generator=g).clamp(min=1).cumsum(1).double()
    mu = torch.cat((times[..., None], torch.rand(1, n, 2, generator=g).double() * 60), dim=-1)
    return Inputs(
        token_ids=torch.randint(0, CONFIG.vocab_size, (1, n), generator=g),
        vectors=torch.randn(1, n, CONFIG.dim, generator=g),
        is_vector=torch.rand(1, n, generator=g) < 0.2,
        roles=torch.randint(0, 3, (1, n), generator=g),
        line_start=torch.randint(0, 2, (1, n), generator=g),
        lods=torch.randint(0, 3, (1, n), generator=g),
        mu=mu,
        sigma=torch.rand(1, n, 3, generator=g),
    )


def random_base(seed: int = 0, sentinel: float | None = None) -> NativeBase:
    """A base that reads and answers, at random."""
    return NativeBase(random_model(seed, sentinel=sentinel), tokenizer(), create_encoder("dct", CONFIG.dim))


def random_lens(base_id: str, gist_dim: int = CONFIG.dim, seed: int = 0) -> Lens:
    """A lens that scores at random."""
    return Lens(random_lens_net(base_id, gist_dim, seed))


def random_lens_net(base_id: str, gist_dim: int = CONFIG.dim, seed: int = 0) -> LensNet:
    """The network of ``random_lens``."""
    generator_state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    net = LensNet(LensConfig(base=base_id, gist_dim=gist_dim, dim=16, n_layers=1, n_heads=2, match_dim=16))
    torch.random.set_rng_state(generator_state)
    return net


def as_tree(rows: Sequence[NodeRow], source: int = 1) -> InMemoryTree:
    """Rows of one source as a tree in main memory."""

    def own(index: int) -> NodeId:
        return NodeId(source, index)

    nodes = [
        Node(
            id=own(row.index),
            first=own(row.first),
            last=own(row.index),
            children=tuple(map(own, row.children)),
            lod=row.lod,
            modality=row.modality,
            kind=row.kind,
            page=row.page,
            last_page=row.last_page,
            bbox=row.bbox,
            t_span=row.t_span,
            n_leaves=row.n_leaves,
            mu=row.mu,
            sigma=row.sigma,
            gist=row.gist,
            text=row.text,
            pixels=row.pixels,
            links=tuple(map(own, row.links)),
            child_slots=row.child_slots,
        )
        for row in rows
    ]
    leaves = {
        own(row.index): Leaves(row.leaf_mu, row.leaf_boxes, row.token_ids.astype("int64"), row.leaf_roles)
        for row in rows
        if row.lod == 1
    }
    return InMemoryTree(nodes, leaves)
