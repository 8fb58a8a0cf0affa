"""Positions with a spread: Gaussian rotary embedding over (t, x, y)."""

from mm_megacontext.positional.rotary import Phases as Phases
from mm_megacontext.positional.rotary import RotaryConfig as RotaryConfig
from mm_megacontext.positional.rotary import phases as phases
from mm_megacontext.positional.rotary import rotate as rotate
