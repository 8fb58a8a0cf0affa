"""What an image file holds beside what is shown of it: channels, focal planes and times of stacks, bands of maps."""

from __future__ import annotations

import re

from mm_megacontext.image_files.header import ImageHeader
from mm_megacontext.image_files.tiff_pages import TiffPage

_MOST_NAMES = 8  # of channels that are named
_MOST_LETTERS = 24
_SIZES = {"c": "channels", "z": "focal planes", "t": "times"}
_OME_SIZE = re.compile(r'\bSize([CZT])="(\d{1,6})"')
_OME_NAME = re.compile(r"<Channel\b[^>]*?\bName=\"([^\"]*)\"")
_IMAGEJ = re.compile(r"^(channels|slices|frames)=(\d{1,6})\s*$", re.MULTILINE)
_IMAGEJ_SIZES = {"channels": "c", "slices": "z", "frames": "t"}


def left_out(header: ImageHeader) -> str | None:
    """What is not shown of an image, on one line; None where all of it is."""
    page = header.tiff_page
    if page is None or page.needs_openslide:
        return None
    told = _of_stack(header.pages[0], len(header.pages)) or _of_bands(page)
    return None if told is None else f"{told}: export the others as images of their own if they matter"


def _of_stack(page: TiffPage, n_directories: int) -> str | None:
    if not page.is_of_stack:
        return None
    sizes = {axis.lower(): int(n) for axis, n in _OME_SIZE.findall(page.description)}
    sizes = sizes or {_IMAGEJ_SIZES[name]: int(n) for name, n in _IMAGEJ.findall(page.description)}
    if sizes.get("c", 1) <= page.n_samples:  # red, green and blue of one picture
        sizes.pop("c", None)
    several = [f"{n} {_SIZES[axis]}{_names(page, axis)}" for axis, n in sorted(sizes.items()) if n > 1]
    if not several and n_directories > 1:
        several = [f"{n_directories} planes"]
    return f"the first plane is shown of {', '.join(several)}" if several else None


def _names(page: TiffPage, axis: str) -> str:
    names = _OME_NAME.findall(page.description)[:_MOST_NAMES] if axis == "c" else []
    return f" ({', '.join(name[:_MOST_LETTERS] for name in names)})" if names else ""


def _of_bands(page: TiffPage) -> str | None:
    """Samples of a pixel that are neither colours nor opacity."""
    n_opacity = sum(kind in (1, 2) for kind in page.extra_samples)
    n_extra = len(page.extra_samples) - n_opacity
    if not n_extra:
        return None
    shown = page.n_samples - len(page.extra_samples)
    what = "first" if shown == 1 else f"first {shown}"
    return f"the {what} of {page.n_samples - n_opacity} bands {'is' if shown == 1 else 'are'} shown"
