"""The registry of encoders; errors say what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mm_megacontext.errors import MissingExtra
from mm_megacontext.vision.encoders import ENCODERS, DctEncoder, create_encoder, registry


@pytest.fixture
def again() -> Iterator[str]:
    ENCODERS.register("again", DctEncoder)
    yield "again"
    ENCODERS.unregister("again")


def test_registered_ones_are_found_by_name(again: str) -> None:
    assert create_encoder(again, 24).dim == 24
    assert create_encoder("dct", 192).name == "dct-192"
    assert {"again", "dct"} <= set(ENCODERS.names())


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="'dct' is registered already"):
        ENCODERS.register("dct", DctEncoder)
    with pytest.raises(ValueError, match="names that begin with timm: are taken"):
        ENCODERS.register("timm:mine", DctEncoder)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no encoder is named 'vit'; known: dct, .*timm:MODEL, open_clip:MODEL"):
        create_encoder("vit", 192)


@pytest.mark.parametrize("name", ["timm:resnet18", "open_clip:RN50", "hf:somewhere"])
def test_which_weights_must_be_said(name: str) -> None:
    with pytest.raises(ValueError, match=r"say which, with pretrained=True .*PATH.*pretrained=False"):
        create_encoder(name, 192)


def test_options_of_backbones_are_not_silently_dropped() -> None:
    with pytest.raises(ValueError, match="dct is no backbone"):
        create_encoder("dct", 192, pretrained=False)
    with pytest.raises(ValueError, match="dct is no backbone"):
        create_encoder("dct", 192, seed=3)
    with pytest.raises(ValueError, match="input_px must be at least 1, got 0"):
        create_encoder("timm:resnet18", 192, pretrained=False, input_px=0)


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("timm:resnet18", "timm", "vision"),
        ("open_clip:RN50", "open_clip", "vision"),
        ("hf:somewhere", "transformers", "hf"),
    ],
)
def test_a_missing_library_is_named_with_its_remedy(
    name: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, registry.TOWERS[name.partition(":")[0]].module, raising=False)
    with pytest.raises(MissingExtra, match=rf"{package} is not installed; get it with: pip install .*\[{extra}\]"):
        create_encoder(name, 192, pretrained=False)


def test_every_library_is_a_declared_extra() -> None:
    """Oracle: pyproject.toml, through the doctor, which a test compares with it."""
    from mm_megacontext.doctor import EXTRAS

    for library in registry.TOWERS.values():
        assert library.distribution in EXTRAS[library.extra]
        path = library.module.replace("mm_megacontext.", "").replace(".", "/") + ".py"
        assert (Path(__file__).parents[3] / path).is_file()
