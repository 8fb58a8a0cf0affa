"""Which family a model is of; families of others; models that no vectors can be given to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from transformers import Gemma3nTextConfig, LlamaConfig, Qwen3NextConfig

from mm_megacontext.bases.hf.families import FAMILIES, REFUSED, family_of
from mm_megacontext.bases.hf.family import Family
from mm_megacontext.errors import BrokenEntry, UnsupportedModel
from tests.bases.hf.tiny_families import all_configs


class Own(Family):
    """As somebody else would write it."""


class Offer:
    """An entry point of another distribution."""

    def __init__(self, name: str, entry: Any) -> None:
        self.name, self._entry = name, entry
        self.dist = SimpleNamespace(name="their-families", version="1.0")

    def load(self) -> Any:
        if isinstance(self._entry, Exception):
            raise self._entry
        return self._entry


def offering(monkeypatch: pytest.MonkeyPatch, offer: Offer) -> None:
    def entry_points(*, group: str, name: str | None = None) -> list[Offer]:
        return [offer] if group == FAMILIES.group and name in (None, offer.name) else []

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)


def test_a_family_of_another_distribution_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = SimpleNamespace(model_type="theirs", get_text_config=lambda: SimpleNamespace())
    with pytest.raises(UnsupportedModel, match=r"theirs is of no known family: .*llama.*chat mode"):
        family_of(theirs)
    offering(monkeypatch, Offer("theirs", Own))
    assert type(family_of(theirs)) is Own
    assert {"theirs", "llama"} <= set(FAMILIES.names())


def test_a_family_of_another_distribution_that_cannot_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    offering(monkeypatch, Offer("theirs", ImportError("no module torchx")))
    with pytest.raises(BrokenEntry, match=r"'theirs' of their-families 1\.0 cannot be loaded"):
        family_of(SimpleNamespace(model_type="theirs"))


def test_nobody_takes_the_place_of_a_family_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    offering(monkeypatch, Offer("llama", Own))
    assert type(family_of(LlamaConfig())) is Family


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (Gemma3nTextConfig(), "gives every layer an embedding of each token"),
        (Qwen3NextConfig(), "remember all they have read in one state"),
    ],
    ids=["gemma3n_text", "qwen3_next"],
)
def test_models_that_read_no_gists_say_why(config: Any, why: str) -> None:
    with pytest.raises(UnsupportedModel, match=rf"{config.model_type} .*{why}.*chat mode"):
        family_of(config)


def test_a_member_with_layers_of_another_kind_is_refused() -> None:
    """What its ``model_type`` does not tell, its layers do."""
    config = all_configs()["qwen2"]
    config.layer_types = ["full_attention", "linear_attention"]
    with pytest.raises(UnsupportedModel, match="layers of linear_attention"):
        family_of(config)


def test_what_is_refused_is_not_known() -> None:
    assert not set(REFUSED) & set(FAMILIES.names())
