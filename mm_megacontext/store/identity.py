"""Whose gists a memory holds, and how large they are."""

from __future__ import annotations

from dataclasses import dataclass, fields

from mm_megacontext.tree.nodes import Modality


@dataclass(frozen=True, slots=True)
class GistShape:
    """How large gists are.

    Attributes:
        dim: Numbers in a vector.
        text_slots: Vectors per gist of text, and of what holds text.
        image_slots: Vectors per gist of images alone.
    """

    dim: int
    text_slots: int
    image_slots: int

    def __post_init__(self) -> None:
        if min(self.dim, self.text_slots, self.image_slots) < 1:
            raise ValueError(f"a gist needs at least one slot of one dimension, got {self}")

    @property
    def slots(self) -> int:
        """Vectors that there must be room for."""
        return max(self.text_slots, self.image_slots)

    @property
    def width(self) -> int:
        """Numbers that there must be room for."""
        return self.dim * self.slots

    def slots_of(self, modality: Modality) -> int:
        """Vectors of a gist."""
        return self.image_slots if modality == "image" else self.text_slots

    def __str__(self) -> str:
        if self.text_slots == self.image_slots:
            return f"{self.text_slots} × {self.dim}"
        return f"{self.text_slots} × {self.dim}, of images {self.image_slots} × {self.dim}"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose gists a memory holds; they mean nothing to another base or gister.

    Attributes:
        base: Id of the base model.
        gistnet: Id of what made the gists of text.
        encoder: Id of the vision encoder.
        dim: Dimensions of a gist vector.
        slots: Vectors per gist of text.
        image_gistnet: Id of what made the gists of images; empty for the same.
        image_slots: Vectors per gist of images; 0 for as many as of text.
    """

    base: str
    gistnet: str
    encoder: str
    dim: int
    slots: int
    image_gistnet: str = ""
    image_slots: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_gistnet", self.image_gistnet or self.gistnet)
        object.__setattr__(self, "image_slots", self.image_slots or self.slots)
        _ = self.shape  # refuses sizes that cannot be

    @property
    def shape(self) -> GistShape:
        return GistShape(self.dim, self.slots, self.image_slots)

    def differences(self, other: Identity) -> list[str]:
        """What is not the same, one text each, ours first.

        Example:
            >>> Identity("a", "mean", "dct", 8, 1).differences(Identity("b", "mean", "dct", 8, 1))
            ['base a, not b']
        """
        pairs = {f.name.replace("_", " "): (getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        return [f"{name} {ours}, not {theirs}" for name, (ours, theirs) in pairs.items() if ours != theirs]

    def __str__(self) -> str:
        of_images = "" if self.image_gistnet == self.gistnet else f", of images {self.image_gistnet}"
        return f"base {self.base}, gistnet {self.gistnet}{of_images}, encoder {self.encoder}, {self.shape}"
