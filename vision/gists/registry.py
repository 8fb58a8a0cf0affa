"""Visual gisters by name: ``mean``, ``max``, ``gistnet``, ``gistnet:DIR``, and those that others registered."""

from __future__ import annotations

from collections.abc import Callable

from mm_megacontext.errors import IncompatibleGists
from mm_megacontext.registry import Registry
from mm_megacontext.vision.gists.tile_gister import MaxPool, MeanPool, VisualGister

SAVED = "gistnet:"
"""Begins the name of a trained GistNet; its directory follows."""

VISUAL_GISTERS = Registry[Callable[[int, int], VisualGister]](
    "visual gister",
    group="mm_megacontext.visual_gisters",
    built_in={"mean": f"{__name__}:mean", "max": f"{__name__}:maximum", "gistnet": f"{__name__}:untrained_gistnet"},
    families=[f"{SAVED}DIR"],
)
"""Called with the length of a vector and the number of slots."""


def create_gister(name: str, dim: int, slots: int = 1, *, device: str = "cpu") -> VisualGister:
    """The visual gister called ``name``.

    Args:
        name: One of ``VISUAL_GISTERS``, or ``gistnet:`` and the directory of a saved GistNet.
        dim: Length of a vector.
        slots: Vectors per gist.
        device: Where a saved GistNet runs.

    Raises:
        UnknownName: No gister has that name.
        IncompatibleGists: The saved GistNet has other dimensions or slots.
        FileNotFoundError: The directory holds none.

    Example:
        >>> create_gister("max", 192).id
        'max'
    """
    if name.startswith(SAVED):
        return _load(name.removeprefix(SAVED), dim, slots, device)
    return VISUAL_GISTERS.get(name)(dim, slots)


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


def mean(dim: int, slots: int) -> VisualGister:
    """The mean of all patches."""
    return MeanPool(slots)


def maximum(dim: int, slots: int) -> VisualGister:
    """Coordinate by coordinate the largest of all patches."""
    return MaxPool(slots)


def untrained_gistnet(dim: int, slots: int) -> VisualGister:
    """An untrained GistNet: the same as the mean."""
    from mm_megacontext.vision.gists.gistnet import GistNet, GistNetConfig
    from mm_megacontext.vision.gists.net_gister import NetGister

    return NetGister(GistNet(GistNetConfig(dim=dim, slots=slots)))
