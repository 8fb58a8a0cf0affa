"""Patch encoders: pixels of tiles in, one vector per patch out; found by name.

``protocol`` says what an encoder is, ``registry`` finds one by name, ``catalogue`` lists them. ``dct`` needs no
weights. ``tower`` makes an encoder of a backbone of another library; ``timm_tower``, ``open_clip_tower`` and
``hf_tower`` each know one library and are loaded by name, when they are asked for.
"""

from mm_megacontext.vision.encoders.dct import NATURAL_NORM as NATURAL_NORM
from mm_megacontext.vision.encoders.dct import RGB_TO_YCBCR as RGB_TO_YCBCR
from mm_megacontext.vision.encoders.dct import DctEncoder as DctEncoder
from mm_megacontext.vision.encoders.dct import dct_basis as dct_basis
from mm_megacontext.vision.encoders.dct import zigzag as zigzag
from mm_megacontext.vision.encoders.protocol import PatchEncoder as PatchEncoder
from mm_megacontext.vision.encoders.protocol import PatchVectors as PatchVectors
from mm_megacontext.vision.encoders.protocol import TilePixels as TilePixels
from mm_megacontext.vision.encoders.registry import ENCODERS as ENCODERS
from mm_megacontext.vision.encoders.registry import TOWERS as TOWERS
from mm_megacontext.vision.encoders.registry import TowerOptions as TowerOptions
from mm_megacontext.vision.encoders.registry import create_encoder as create_encoder
