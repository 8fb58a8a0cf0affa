"""Encoders by name: ``dct``, those that others registered, and ``timm:…``, ``open_clip:…``, ``hf:…``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, NamedTuple, Protocol

from mm_megacontext.errors import MissingExtra
from mm_megacontext.registry import Registry
from mm_megacontext.vision.encoders.protocol import PatchEncoder

if TYPE_CHECKING:
    from mm_megacontext.vision.encoders.projection import Projection
    from mm_megacontext.vision.encoders.tower import Tower


class LibraryAdapter(Protocol):
    """A module that knows a library of backbones."""

    def load(self, model: str, options: TowerOptions) -> Tower:
        """The library's model of that name."""
        ...

    def catalogue(self) -> dict[str, list[str]]:
        """Names of models, each with the tags of its weights."""
        ...


class Library(NamedTuple):
    """A library whose backbones can be encoders: a prefix of names stands for it.

    Attributes:
        module: Its ``LibraryAdapter``.
        distribution: What to install; ``extra`` brings it.
        packages: What ``module`` imports of it and of what comes with it.
    """

    module: str
    distribution: str
    extra: str
    packages: tuple[str, ...]

    @property
    def remedy(self) -> str:
        """The command that installs it."""
        return f"pip install 'mm-megacontext[{self.extra}]'"


TOWERS = {
    "timm": Library(f"{__package__}.timm_tower", "timm", "vision", ("timm", "torchvision")),
    "open_clip": Library(
        f"{__package__}.open_clip_tower", "open_clip_torch", "vision", ("open_clip", "timm", "torchvision")
    ),
    "hf": Library(f"{__package__}.hf_tower", "transformers", "hf", ("transformers",)),
}
"""Prefix of a name to the library that has the rest of the name."""


ENCODERS = Registry[Callable[[int], PatchEncoder]](
    "encoder",
    group="mm_megacontext.encoders",
    built_in={"dct": "mm_megacontext.vision.encoders.dct:DctEncoder"},
    families=[f"{prefix}:MODEL" for prefix in TOWERS],
)
"""Called with the length of a vector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerOptions:
    """How a backbone of another library is made.

    Attributes:
        pretrained: True: the library's own weights, from its cache or the network. A path: a local checkpoint. For
            ``open_clip`` also a tag of its own. False: random weights of ``seed``. There is no default.
        seed: Of random weights and of the random projection.
        input_px: Side of the square that a tile is resized to before the backbone sees it; by default the multiple of
            its patch or stride that is nearest to 128, where it can take that, else its own.
    """

    pretrained: bool | str | Path | None = None
    seed: int = 0
    input_px: int | None = None

    def __post_init__(self) -> None:
        if self.input_px is not None and self.input_px < 1:
            raise ValueError(f"input_px must be at least 1, got {self.input_px}")


def create_encoder(
    name: str,
    dim: int,
    *,
    pretrained: bool | str | Path | None = None,
    seed: int = 0,
    input_px: int | None = None,
    projection: Projection | None = None,
    device: str = "cpu",
) -> PatchEncoder:
    """The encoder called ``name``, with vectors of length ``dim``.

    Args:
        name: ``dct`` or another of ``ENCODERS``, or a backbone: ``timm:MODEL``, ``open_clip:MODEL``,
            ``hf:PATH``.
        pretrained, seed, input_px: Of backbones only: see ``TowerOptions``. ``pretrained`` must be said.
        projection: Of backbones only: takes their vectors to ``dim``. By default none is used where the backbone's own
            length is ``dim``, else the random orthogonal one of ``seed``.
        device: Where a backbone runs.

    Raises:
        UnknownName: No encoder has that name.
        ValueError: An option does not belong to it.
        MissingExtra: The library of the backbone is not installed.
        WeightsUnavailable: The weights cannot be had; the message says what to pass instead.
        UnsupportedModel: The backbone gives no map of features.

    Example:
        >>> create_encoder("dct", 192).name
        'dct-192'
    """
    options = TowerOptions(pretrained=pretrained, seed=seed, input_px=input_px)
    library = _library_of(name)
    if library is not None:
        if pretrained is None:
            raise ValueError(
                f"{name} has weights: say which, with pretrained=True (its own, fetched once), pretrained=PATH "
                "(a local checkpoint) or pretrained=False (random)"
            )
        from mm_megacontext.vision.encoders.tower import TowerEncoder

        tower = load_library(library).load(name.partition(":")[2], options)
        return TowerEncoder(tower, dim, projection=projection, seed=seed, device=device)
    if options != TowerOptions() or projection is not None:
        raise ValueError(f"{name} is no backbone: it takes neither pretrained, seed, input_px nor projection")
    return ENCODERS.get(name)(dim)


def load_library(library: Library) -> LibraryAdapter:
    """The module that knows ``library``.

    Raises:
        MissingExtra: The library, or what comes with it, is not installed.
    """
    try:
        adapter: LibraryAdapter = resolve_name(f"{library.module}:")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in library.packages:
            raise
        raise MissingExtra(f"{error.name} is not installed; get it with: {library.remedy}") from error
    return adapter


def _library_of(name: str) -> Library | None:
    prefix, colon, _ = name.partition(":")
    return TOWERS.get(prefix) if colon else None
