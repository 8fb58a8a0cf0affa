"""What a worker may use, by what it reads, and the names of these limits for messages."""

from __future__ import annotations

from typing import NamedTuple

from mm_megacontext.ingest_limits import IngestLimits
from mm_megacontext.layout.image_messages import IMAGES


class Allowance(NamedTuple):
    """Limits of one worker, named as in ``IngestLimits`` by ``prefix`` and ``memory_name``; ``what`` it is called."""

    what: str
    seconds: float
    cpu_seconds: float
    memory_bytes: int
    file_bytes: int
    prefix: str
    memory_name: str


def allowance(limits: IngestLimits, engine: str) -> Allowance:
    """What a worker for ``engine`` may use. Only decoding an image without tiles takes room on the disk."""
    if engine == IMAGES:
        return Allowance(
            "image decoder", limits.image_seconds, limits.image_cpu_seconds, limits.image_bytes,
            limits.max_scratch_bytes + _HEADERS, "image", "image_bytes",
        )  # fmt: skip
    return Allowance(
        "PDF engine", limits.page_seconds, limits.page_cpu_seconds, limits.worker_bytes, 0, "page", "worker_bytes"
    )


_HEADERS = 1 << 20  # of the temporary file, beside its samples
