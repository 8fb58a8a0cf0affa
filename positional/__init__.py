"""Positions with a spread: Gaussian rotary embedding over (t, x, y), and its neighbours."""

from mm_megacontext.positional.alibi import alibi_bias as alibi_bias
from mm_megacontext.positional.alibi import alibi_slopes as alibi_slopes
from mm_megacontext.positional.frequencies import RotaryConfig as RotaryConfig
from mm_megacontext.positional.positions import AXES as AXES
from mm_megacontext.positional.positions import Positions as Positions
from mm_megacontext.positional.rotary import Phases as Phases
from mm_megacontext.positional.rotary import phases as phases
from mm_megacontext.positional.rotary import rotate as rotate
from mm_megacontext.positional.rotary import turn as turn
from mm_megacontext.positional.sincos import sincos_2d as sincos_2d
