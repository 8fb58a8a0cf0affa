"""The lens of unions. Oracles: the formula in numpy, other questions, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mm_megacontext.errors import IncompatibleGists
from mm_megacontext.reading.lens import Lens
from mm_megacontext.reading.union_lens import UnionLensConfig, UnionLensNet
from mm_megacontext.reading.working_context import Entry
from tests.strategies import TreeBuilder, start

DIM = 4


def net(seed: int = 0) -> UnionLensNet:
    torch.manual_seed(seed)
    return UnionLensNet(UnionLensConfig(base="base", gist_dim=DIM, hidden=8))


def entries() -> tuple[Entry, ...]:
    builder = TreeBuilder(np.random.default_rng(0))
    root = builder.parent(1, [builder.block(1) for _ in range(6)])
    tree = builder.tree([root])
    return start(tree, 100).expand(tree.roots()).entries


def question(seed: int, n: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)


def test_scores_follow_the_formula() -> None:
    lens = net()
    asked = lens.ask(torch.from_numpy(question(0))[None], torch.ones(1, 5, dtype=torch.bool))[0].detach()
    gists = np.stack([e.node.gist[0] for e in entries()]).astype(np.float32)
    with torch.no_grad():
        full = lens.fullness(torch.from_numpy(gists.mean(1, keepdims=True))).numpy()[:, 0]
    expected = np.tanh((gists @ asked[:-1].numpy() - asked[-1].item() + full) / 2)
    np.testing.assert_allclose(Lens(lens).score(entries(), question(0)), expected, atol=1e-6)


def test_another_question_changes_every_score_and_the_order_of_its_words_none() -> None:
    lens = Lens(net())
    one = question(0)
    assert (lens.score(entries(), one) != lens.score(entries(), question(1))).all()
    np.testing.assert_allclose(lens.score(entries(), one), lens.score(entries(), one[::-1].copy()), atol=1e-6)


def test_padding_is_not_read() -> None:
    lens = net()
    words = torch.from_numpy(question(0))[None]
    padded = torch.cat((words, torch.full((1, 3, DIM), 9.0)), dim=1)
    valid = torch.arange(8)[None] < 5
    with torch.no_grad():
        np.testing.assert_allclose(lens.ask(words, valid[:, :5]), lens.ask(padded, valid), atol=1e-6)


def test_the_query_vector_is_what_gists_are_multiplied_with() -> None:
    lens = net()
    asked = lens.ask(torch.from_numpy(question(0))[None], torch.ones(1, 5, dtype=torch.bool))[0]
    np.testing.assert_array_equal(Lens(lens).query_vector(question(0)), asked[:-1].detach())


def test_it_comes_back_from_a_directory_as_what_it_is(tmp_path: Path) -> None:
    lens = Lens(net(2))
    lens.save_pretrained(tmp_path)
    loaded = Lens.from_pretrained("base", tmp_path)
    assert isinstance(loaded.net, UnionLensNet)
    np.testing.assert_array_equal(loaded.score(entries(), question(0)), lens.score(entries(), question(0)))
    with pytest.raises(IncompatibleGists, match="reads gists of base"):
        Lens.from_pretrained("another", tmp_path)


def test_a_lens_of_an_unknown_kind_is_an_error(tmp_path: Path) -> None:
    Lens(net()).save_pretrained(tmp_path)
    text = (tmp_path / "config.json").read_text(encoding="utf-8").replace('"union"', '"telescope"')
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="no lens network is named 'telescope'; known: lens, union"):
        Lens.from_pretrained("base", tmp_path)


def test_a_network_of_ones_own_is_not_saved_as_another(tmp_path: Path) -> None:
    class Own(UnionLensNet):
        pass

    with pytest.raises(TypeError, match="Own cannot be saved"):
        Lens(Own(net().config)).save_pretrained(tmp_path)
    assert not list(tmp_path.iterdir())
