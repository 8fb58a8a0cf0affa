"""How large a pixel is in the world, from what image files say of it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

MICROMETRES_PER_INCH = 25_400.0

_IN_MICROMETRES = {
    "pm": 1e-6, "nm": 1e-3, "\N{MICRO SIGN}m": 1.0, "\N{GREEK SMALL LETTER MU}m": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4,
    "dm": 1e5, "m": 1e6, "km": 1e9, "in": MICROMETRES_PER_INCH,
}  # fmt: skip
"""Units of length of OME-XML that microscopes and scanners write."""

_SMALLEST, _LARGEST = 1e-6, 1e10
_APERIO_MPP = re.compile(r"\|\s*MPP\s*=\s*([0-9.eE+-]+)")
_OME_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b[^>]*>")


@dataclass(frozen=True, slots=True)
class PhysicalScale:
    """Micrometres per pixel, across (``x``) and down (``y``), of the image as it is shown.

    Example:
        >>> PhysicalScale(254.0, 254.0).dpi
        (100.0, 100.0)
    """

    x: float
    y: float

    @property
    def dpi(self) -> tuple[float, float]:
        """Pixels per inch, across and down."""
        return MICROMETRES_PER_INCH / self.x, MICROMETRES_PER_INCH / self.y

    @property
    def turned(self) -> PhysicalScale:
        """That of the image turned by a quarter."""
        return PhysicalScale(self.y, self.x)


def scale_of(x: float, y: float) -> PhysicalScale | None:
    """A scale from micrometres per pixel; None where they make no sense: below a picometre, above ten kilometres."""
    return PhysicalScale(x, y) if all(_SMALLEST <= v <= _LARGEST for v in (x, y)) else None


def scale_from_dpi(x: float, y: float) -> PhysicalScale | None:
    """A scale from pixels per inch; None where they are no densities."""
    return scale_of(MICROMETRES_PER_INCH / x, MICROMETRES_PER_INCH / y) if x > 0 and y > 0 else None


def scale_from_description(text: str) -> PhysicalScale | None:
    """What a TIFF's ImageDescription says of the scale: that of an Aperio slide or of OME-XML; None if nothing.

    Example:
        >>> scale_from_description("Aperio Image Library v10|AppMag = 20|MPP = 0.4990")
        PhysicalScale(x=0.499, y=0.499)
        >>> scale_from_description('<OME><Pixels PhysicalSizeX="2" PhysicalSizeY="3" PhysicalSizeXUnit="nm"></OME>')
        PhysicalScale(x=0.002, y=3.0)
    """
    if text.startswith("Aperio"):
        found = _APERIO_MPP.search(text)
        return None if found is None else scale_of(_number(found[1]), _number(found[1]))
    pixels = _OME_PIXELS.search(text)
    return None if pixels is None else scale_of(*(_ome_length(pixels[0], axis) for axis in "XY"))


def _ome_length(element: str, axis: str) -> float:
    """Micrometres of one pixel along an axis; not a number where the element does not say so."""
    length = re.search(rf'\bPhysicalSize{axis}="([^"]*)"', element)
    unit = re.search(rf'\bPhysicalSize{axis}Unit="([^"]*)"', element)
    if length is None:
        return math.nan
    return _number(length[1]) * _IN_MICROMETRES.get(unit[1] if unit else "um", math.nan)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
