"""What a worker may use, by what it reads, and the names of these limits for messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from mm_megacontext.limits import IngestLimits
from mm_megacontext.workers.messages import OpenerName


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a worker may use; see ``IngestLimits``.

    Attributes:
        seconds: Wall clock for a request.
        cpu_seconds: Processor time for a request.
        memory_bytes: Address space.
        file_bytes: The longest file that it may write: none, but to decode an image that has no tiles.
        max_decoded_pixels: The most pixels that it decodes at once.
    """

    seconds: float
    cpu_seconds: float
    memory_bytes: int
    file_bytes: int
    max_decoded_pixels: int


class Allowance(NamedTuple):
    """Limits of one worker, named as in ``IngestLimits`` by ``prefix`` and ``memory_name``; ``what`` it is called.

    After ``requests`` a new one takes its place: libraries leak, and what they leak ends with the process.
    """

    what: str
    settings: WorkerSettings
    prefix: str
    memory_name: str
    requests: int


def allowance(limits: IngestLimits, opener: OpenerName) -> Allowance:
    """What a worker made for ``opener`` may use. Only decoding an image without tiles takes room on the disk."""
    if opener == "image":
        settings = WorkerSettings(
            seconds=limits.image_seconds,
            cpu_seconds=limits.image_cpu_seconds,
            memory_bytes=limits.image_bytes,
            file_bytes=limits.max_scratch_bytes + _HEADERS,
            max_decoded_pixels=limits.max_decoded_pixels,
        )
        return Allowance("image decoder", settings, "image", "image_bytes", _IF_SLOW_TO_OPEN)
    settings = WorkerSettings(
        seconds=limits.page_seconds,
        cpu_seconds=limits.page_cpu_seconds,
        memory_bytes=limits.worker_bytes,
        file_bytes=0,
        max_decoded_pixels=limits.max_decoded_pixels,
    )
    requests = _IF_SLOW_TO_OPEN if opener == "flow" else _IF_FAST_TO_OPEN
    return Allowance("PDF engine", settings, "page", "worker_bytes", requests)


_HEADERS = 1 << 20  # of the temporary file, beside its samples
_IF_FAST_TO_OPEN, _IF_SLOW_TO_OPEN = 500, 20_000  # who opens an image or a flow anew decodes or sets all of it again
