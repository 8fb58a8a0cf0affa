"""What stands above subtrees that are finished: one more row, with the gist of what is below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import Box, union
from mm_megacontext.tree.nodes import Modality, Moments, NodeRow, slots_below

Gist = npt.NDArray[np.float32]
"""(slots, dim) float32."""

_NO_TOKENS = np.zeros(0, dtype=np.int32)
_NO_MU = np.zeros((0, 3), dtype=np.float64)
_NO_BOXES = np.zeros((0, 4), dtype=np.float32)
_NO_ROLES = np.zeros(0, dtype=np.uint8)


class Gister(Protocol):
    """What building needs of a GistNet: gists of blocks, and gists of gists."""

    def of_tokens(self, blocks: Sequence[npt.NDArray[np.int64]]) -> list[Gist]:
        """One gist per block of token ids."""
        ...

    def of_gists(self, gists: Sequence[Gist], n_leaves: Sequence[int]) -> Gist:
        """The gist of a parent from its children's."""
        ...


class GistsOfFigures(Protocol):
    """What makes one gist of those of figures."""

    def of_gists(self, gists: Sequence[Gist], n_leaves: Sequence[int]) -> Gist:
        """The gist of figures that stand together."""
        ...


class Parents:
    """Makes the rows above others.

    Args:
        gister: Makes gists of gists of text.
        figures: The same for figures; None where there are none.
    """

    def __init__(self, gister: Gister, figures: GistsOfFigures | None) -> None:
        self._gister, self._figures = gister, figures

    def row(self, index: int, children: Sequence[NodeRow], kind: str, bbox: Box | None = None) -> NodeRow:
        """The row of a parent.

        Args:
            index: Its own.
            children: At least one, in document order.
            kind: Its own.
            bbox: Where it stands on its first page; by default around its children there.
        """
        moments = Moments.merge([c.moments for c in children])
        modalities: set[Modality] = {c.modality for c in children}
        on_first_page = [c.bbox for c in children if c.page == children[0].page]
        gist = self._gist(children)
        return NodeRow(
            index=index,
            first=children[0].first,
            children=tuple(c.index for c in children),
            lod=1 + max(c.lod for c in children),
            modality=modalities.pop() if len(modalities) == 1 else "mixed",
            kind=kind,
            page=children[0].page,
            last_page=max(c.last_page for c in children),
            bbox=bbox or union(on_first_page),
            t_span=(children[0].t_span[0], children[-1].t_span[1]),
            n_leaves=moments.n,
            mu=moments.mean,
            sigma=np.sqrt(moments.variance),
            gist=gist.astype(np.float16),
            child_slots=slots_below(gist, children),
            token_ids=_NO_TOKENS,
            leaf_mu=_NO_MU,
            leaf_boxes=_NO_BOXES,
            leaf_roles=_NO_ROLES,
        )

    def _gist(self, children: Sequence[NodeRow]) -> Gist:
        """Words speak where there are any, each as long as it takes on the timeline; else the figures do.

        Patches outnumber words by far; on the timeline a whole figure takes no more than one token.
        """
        words = [c for c in children if c.modality != "image"]
        if words:
            lengths = [c.t_span[1] - c.t_span[0] for c in words]
            return self._gister.of_gists([c.gist.astype(np.float32) for c in words], lengths)
        assert self._figures is not None, "images come from figures"
        gists = [c.gist.astype(np.float32) for c in children]
        return self._figures.of_gists(gists, [c.n_leaves for c in children])
