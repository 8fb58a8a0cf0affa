"""Vectors of length one."""

from __future__ import annotations

import numpy as np

from mm_megacontext.embedders.protocol import Vectors


def to_length_one(vectors: Vectors) -> Vectors:
    """Each of (texts, dim) at length 1; such as are zero stay so."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = (vectors / np.where(length > 0, length, 1)).astype(np.float32)
    return unit
