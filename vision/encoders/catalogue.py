"""What encoders there are: plain ones, and the models of each library that is installed."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version

from mm_megacontext.errors import MissingExtra
from mm_megacontext.vision.encoders.registry import ENCODERS, TOWERS, load_library


@dataclass(frozen=True, slots=True)
class Listed:
    """An encoder that ``create_encoder`` makes.

    Attributes:
        name: What to call it.
        tags: Names of pretrained weights that its library has.
    """

    name: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The models of one library.

    Attributes:
        prefix: Of their names.
        distribution: The library.
        version: None if it is not installed.
        missing: What to do about that, else empty.
        models: Sorted by name.
    """

    prefix: str
    distribution: str
    version: str | None
    missing: str
    models: tuple[Listed, ...]


def list_plain(pattern: str | None = None) -> list[Listed]:
    """Encoders that need no library, as far as they match."""
    return [Listed(name) for name in ENCODERS.names() if matches(name, pattern)]


def list_libraries(pattern: str | None = None) -> list[Catalogue]:
    """Every library with its models, as far as they match."""
    return [_list_library(prefix, pattern) for prefix in TOWERS]


def matches(name: str, pattern: str | None) -> bool:
    """Whether ``pattern`` fits the whole name, or without wildcards is a part of it; None fits all.

    Example:
        >>> matches("timm:vit_tiny", "timm:vit*"), matches("timm:vit_tiny", "tiny"), matches("timm:vit_tiny", "vit*")
        (True, True, False)
    """
    if pattern is None:
        return True
    has_wildcard = any(sign in pattern for sign in "*?[")
    return fnmatchcase(name, pattern) if has_wildcard else pattern in name


def _list_library(prefix: str, pattern: str | None) -> Catalogue:
    library = TOWERS[prefix]
    try:
        found = load_library(library).catalogue()
    except MissingExtra as error:
        return Catalogue(prefix, library.distribution, None, str(error), ())
    models = (Listed(f"{prefix}:{name}", tuple(tags)) for name, tags in sorted(found.items()))
    return Catalogue(
        prefix,
        library.distribution,
        _version(library.distribution),
        "",
        tuple(model for model in models if matches(model.name, pattern)),
    )


def _version(distribution: str) -> str:
    """Of an installed library; one that was put on the path without being installed has none to tell."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown version"
