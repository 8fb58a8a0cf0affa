"""One writer at a time: a lock that the operating system drops with the process, however it ends."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from mm_megacontext.errors import MemoryLocked, StoreError
from mm_megacontext.store.places import LOCK_FILE


class WriteLock:
    """Holds a memory directory for writing from construction until ``release``.

    Raises:
        MemoryLocked: Another process, or another store in this one, writes to it.
        StoreError: The lock file cannot be made.
    """

    def __init__(self, directory: Path) -> None:
        # Not bound to the thread: a store may be closed by another thread than opened it.
        self._lock = FileLock(directory / LOCK_FILE, thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise MemoryLocked(
                f"{directory} is open for writing elsewhere; wait until that has finished, or open it for reading"
            ) from None
        except OSError as error:
            raise StoreError(f"cannot write to {directory}: {error.strerror or error}") from error

    def release(self) -> None:
        """Let others write; harmless when called again."""
        self._lock.release()
