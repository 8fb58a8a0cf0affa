"""What a patch encoder is."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

TilePixels = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
"""(tiles, 3, height, width), sRGB from 0 to 255; 128 x 128 for whole tiles.

An encoder that looks at each patch alone also takes other multiples of the patch. May be a view whose memory is laid
out otherwise.
"""

PatchVectors = npt.NDArray[np.float32]
"""(tiles, rows, columns, dim): one vector per patch, 8 x 8 for whole tiles."""


class PatchEncoder(Protocol):
    """Turns each patch of a tile into a vector of the base model's embedding space."""

    @property
    def name(self) -> str:
        """Identifies the encoder together with its parameters; part of the identity of stored gists."""
        ...

    @property
    def patch_px(self) -> int:
        """Pixels on the side of a patch."""
        ...

    @property
    def dim(self) -> int:
        """Length of a patch vector."""
        ...

    def encode(self, pixels: TilePixels) -> PatchVectors:
        """Encode a batch of tiles. A tile's vectors do not depend on the rest of the batch.

        To the bit, if an interrupted ingest is to go on to the same tree; else up to rounding.
        """
        ...
