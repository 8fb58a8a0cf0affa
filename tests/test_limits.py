"""Oracle: what the limits are said to be."""

from __future__ import annotations

import pytest

from mm_megacontext.image_files.scale import PhysicalScale, scale_from_description, scale_from_dpi, scale_of
from mm_megacontext.limits import IngestLimits


def test_each_limit_is_kept_to_the_pixel() -> None:
    limits = IngestLimits(max_pixels=10_000 * 10_000, max_expansion=100)
    megabyte, plenty = 10**6, 10**9
    assert limits.refusal((10_000, 10_000), 10**8, plenty) is None
    assert "raise max_pixels" in str(limits.refusal((10_001, 10_000), 10**8, plenty))
    assert limits.refusal((10_000, 10_000), 100 * megabyte, megabyte) is None
    assert "raise max_expansion" in str(limits.refusal((10_000, 10_000), 100 * megabyte + 1, megabyte))
    assert limits.refusal((8_000, 8_000), 64 << 20, 1) is None, "64 MiB are no danger"


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, 5)])
def test_images_without_pixels_are_refused(size: tuple[int, int]) -> None:
    assert "no pixels" in str(IngestLimits().refusal(size, 0, 10))


def test_a_limit_must_be_positive() -> None:
    with pytest.raises(ValueError, match="max_scratch_bytes must be at least 1, got 0"):
        IngestLimits(max_scratch_bytes=0)


def test_scales() -> None:
    assert scale_from_dpi(100, 200) == PhysicalScale(254.0, 127.0)
    assert PhysicalScale(254.0, 127.0).dpi == (100.0, 200.0)
    assert PhysicalScale(1.0, 2.0).turned == PhysicalScale(2.0, 1.0)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf"), 1e-9, 1e12])
def test_lengths_that_make_no_sense_are_no_scale(bad: float) -> None:
    assert scale_of(bad, 1.0) is None
    assert scale_of(1.0, bad) is None
    assert scale_from_dpi(bad, -bad) is None


@pytest.mark.parametrize(
    "text",
    ["", "a picture", "Aperio Image Library|AppMag = 20", "Aperio|MPP = ", "Aperio|MPP = 1.2.3",
     '<OME><Pixels SizeX="3"/></OME>', '<OME><Pixels PhysicalSizeX="1" PhysicalSizeY="1" PhysicalSizeYUnit="parsec"/>',
     '<OME><Pixels PhysicalSizeX="wide" PhysicalSizeY="1"/></OME>'],
)  # fmt: skip
def test_descriptions_without_a_scale(text: str) -> None:
    assert scale_from_description(text) is None


def test_ome_units() -> None:
    text = '<ome:OME><ome:Pixels PhysicalSizeX="250" PhysicalSizeXUnit="nm" PhysicalSizeY="1" PhysicalSizeYUnit="{}"/>'
    assert scale_from_description(text.format("µm")) == PhysicalScale(0.25, 1.0)
    assert scale_from_description(text.format("\u03bcm")) == PhysicalScale(0.25, 1.0)
    assert scale_from_description(text.format("mm")) == PhysicalScale(0.25, 1000.0)
