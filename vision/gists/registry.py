"""Visual gisters by name: ``mean``, ``max``, ``gistnet``, ``gistnet:DIR``, and those that others registered.

Other distributions add theirs through the entry-point group ``mm_megacontext.visual_gisters``, whose members are
called with the dimension and the number of slots.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

from mm_megacontext.errors import IncompatibleGists
from mm_megacontext.vision.gists.tile_gister import MaxPool, MeanPool, VisualGister

ENTRY_POINTS = "mm_megacontext.visual_gisters"
SAVED = "gistnet:"
"""Begins the name of a trained GistNet; its directory follows."""

_factories: dict[str, Callable[[int, int], VisualGister]] = {}


def register_gister(name: str, factory: Callable[[int, int], VisualGister]) -> None:
    """Make a gister known under ``name``; ``factory`` is called with the dimension and the number of slots.

    Raises:
        ValueError: The name is taken.
    """
    if name in _factories or name.startswith(SAVED):
        raise ValueError(f"a visual gister named {name!r} is registered already; choose another name")
    _factories[name] = factory


def gister_names() -> list[str]:
    """Names that ``create_gister`` knows, sorted; besides, ``gistnet:DIR`` loads a trained one."""
    return sorted(_factories.keys() | {point.name for point in entry_points(group=ENTRY_POINTS)})


def create_gister(name: str, dim: int, slots: int = 1, *, device: str = "cpu") -> VisualGister:
    """The visual gister called ``name``.

    Args:
        name: One of ``gister_names()``, or ``gistnet:`` and the directory of a saved GistNet.
        dim: Length of a vector.
        slots: Vectors per gist.
        device: Where a saved GistNet runs.

    Raises:
        ValueError: No gister has that name.
        IncompatibleGists: The saved GistNet has other dimensions or slots.
        FileNotFoundError: The directory holds none.

    Example:
        >>> create_gister("max", 192).id
        'max'
    """
    if name.startswith(SAVED):
        return _load(name.removeprefix(SAVED), dim, slots, device)
    if name in _factories:
        return _factories[name](dim, slots)
    for point in entry_points(group=ENTRY_POINTS, name=name):
        gister: VisualGister = point.load()(dim, slots)
        return gister
    raise ValueError(f"no visual gister is named {name!r}; known: {', '.join([*gister_names(), 'gistnet:DIR'])}")


def _load(directory: str, dim: int, slots: int, device: str) -> VisualGister:
    from mm_megacontext.vision.gists.gistnet import GistNet
    from mm_megacontext.vision.gists.net_gister import NetGister

    net = GistNet.from_pretrained(directory)
    if (net.config.dim, net.slots) != (dim, slots):
        raise IncompatibleGists(
            f"the GistNet in {directory} makes gists of {net.slots} × {net.config.dim}, needed are {slots} × {dim}; "
            "use one that was trained for this base"
        )
    return NetGister(net, device)


def _untrained(dim: int, slots: int) -> VisualGister:
    from mm_megacontext.vision.gists.gistnet import GistNet, GistNetConfig
    from mm_megacontext.vision.gists.net_gister import NetGister

    return NetGister(GistNet(GistNetConfig(dim=dim, slots=slots)))


register_gister("mean", lambda dim, slots: MeanPool(slots))
register_gister("max", lambda dim, slots: MaxPool(slots))
register_gister("gistnet", _untrained)
