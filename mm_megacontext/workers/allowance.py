"""What a worker may use, by what it reads, and the names of these limits for messages."""

from __future__ import annotations

from typing import NamedTuple

from mm_megacontext.layout.image_messages import IMAGES
from mm_megacontext.limits import IngestLimits
from mm_megacontext.workers.messages import SETTER


class Allowance(NamedTuple):
    """Limits of one worker, named as in ``IngestLimits`` by ``prefix`` and ``memory_name``; ``what`` it is called.

    After ``requests`` a new one takes its place: libraries leak, and what they leak ends with the process.
    """

    what: str
    seconds: float
    cpu_seconds: float
    memory_bytes: int
    file_bytes: int
    prefix: str
    memory_name: str
    requests: int


def allowance(limits: IngestLimits, engine: str) -> Allowance:
    """What a worker for ``engine`` may use. Only decoding an image without tiles takes room on the disk."""
    if engine == IMAGES:
        return Allowance(
            "image decoder", limits.image_seconds, limits.image_cpu_seconds, limits.image_bytes,
            limits.max_scratch_bytes + _HEADERS, "image", "image_bytes", _IF_SLOW_TO_OPEN,
        )  # fmt: skip
    return Allowance(
        "PDF engine", limits.page_seconds, limits.page_cpu_seconds, limits.worker_bytes, 0, "page", "worker_bytes",
        _IF_SLOW_TO_OPEN if engine == SETTER else _IF_FAST_TO_OPEN,
    )  # fmt: skip


_HEADERS = 1 << 20  # of the temporary file, beside its samples
_IF_FAST_TO_OPEN, _IF_SLOW_TO_OPEN = 500, 20_000  # who opens an image or a flow anew decodes or sets all of it again
