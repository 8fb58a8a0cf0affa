"""Which figure or table a caption speaks of: the nearest one above or below it, in its column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from mm_megacontext.document import Box, Region

_OF_TABLE = re.compile(r"tab", re.IGNORECASE)
_MAX_GAP_PT = 40.0
_MIN_OVERLAP = 0.5  # of the narrower of the two


def bind_captions(regions: Sequence[Region]) -> tuple[Region, ...]:
    """The regions, each caption with the place of its figure or table among them; a word like "Table" decides."""
    return tuple(
        replace(region, caption_of=_target(region, regions)) if region.kind == "caption" else region
        for region in regions
    )


def _target(caption: Region, regions: Sequence[Region]) -> int | None:
    wanted = "table" if _OF_TABLE.match(caption.text) else "figure"
    near = [
        (region.kind != wanted, _gap(caption.bbox, region.bbox), index)
        for index, region in enumerate(regions)
        if region.kind in ("table", "figure") and _is_in_column(caption.bbox, region.bbox)
    ]
    return min((n for n in near if n[1] <= _MAX_GAP_PT), default=(False, 0.0, None))[2]


def _gap(box: Box, other: Box) -> float:
    return max(0.0, box[1] - other[3], other[1] - box[3])


def _is_in_column(box: Box, other: Box) -> bool:
    overlap = min(box[2], other[2]) - max(box[0], other[0])
    return overlap >= _MIN_OVERLAP * min(box[2] - box[0], other[2] - other[0])
