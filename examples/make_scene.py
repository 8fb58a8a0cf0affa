"""Makes scene.png: marked objects scattered over a plain sheet.

Usage: python examples/make_scene.py [OUT.png]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from mm_megacontext.training.data.scenes import KINDS, Plain, Scene, scatter

SIZE = (3000, 2000)
N_OBJECTS = 60


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("scene.png")
    rng = np.random.default_rng(0)
    kinds = rng.choice(len(KINDS), N_OBJECTS, replace=False).tolist()
    scene = Scene(SIZE, scatter(rng, SIZE, kinds), Plain((250, 248, 240)))
    Image.fromarray(scene.read((0, 0, *SIZE))).save(out, optimize=True)


if __name__ == "__main__":
    main()
