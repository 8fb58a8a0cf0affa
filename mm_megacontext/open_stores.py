"""What a handle has open of a memory: the gists of its model, and if these were added later, what they belong to."""

from __future__ import annotations

from pathlib import Path

from mm_megacontext.errors import StoreError
from mm_megacontext.store.identity import Identity
from mm_megacontext.store.spaces import check_in_step, space_of
from mm_megacontext.store.store import Store


class OpenStores:
    """Opens stores when they are needed: to read as soon as they are there, to write with the first change.

    Args:
        directory: The memory; need not exist.
        identity: Whose gists are read, or will be made.

    Attributes:
        store: The gists of ``identity``, once they are there; None before, and after ``close``.
        first: The memory as it was made, where that was with other gists; else None.
    """

    def __init__(self, directory: Path, identity: Identity) -> None:
        self.directory, self.identity = directory, identity
        self.store: Store | None = None
        self.first: Store | None = None
        self._is_writing = self._is_new = False

    def open(self, *, create: bool) -> None:
        """Open what is there to read.

        Raises:
            StoreError: There is no memory and ``create`` is false, or it cannot be read.
            IncompatibleGists: It has no gists of this identity.
        """
        space = space_of(self.directory, self.identity)
        if Store.exists(space):
            self.first, self.store = Store.open(self.directory), Store.open(space, self.identity)
        elif Store.exists(self.directory):
            self.store = Store.open(self.directory, self.identity)
        elif not create or Store.foreign(self.directory):
            raise StoreError(
                f"{self.directory} is not a memory; make one with `mmctx ingest PATH --memory {self.directory}`"
            )

    def refresh(self) -> None:
        """See what others have committed since."""
        for store in filter(None, (self.first, self.store)):
            store.refresh()
        if self.store is None and Store.exists(self.directory):
            self.open(create=True)

    def readable(self) -> Store:
        """What is asked. Raises StoreError where there is nothing, or where the gists lack something."""
        if self.store is None or not self.store.sources():
            raise StoreError(f"{self.directory} holds no source yet; ingest a file first")
        if self.first is not None:
            check_in_step(self.directory, self.first.sources(), self.store.sources(), self.identity)
        return self.store

    def writable(self) -> Store:
        """The memory, open to write, made if it is not there.

        Raises:
            StoreError: It was made with other gists, or cannot be written.
            MemoryLocked: Another process is writing it.
        """
        if self.store is not None and self._is_writing:
            return self.store
        if self.first is not None:
            raise StoreError(
                f"{self.directory} was made with {self.first.identity.base}, and is written by that model alone: open "
                f"it with that, then `refresh` brings the gists of {self.identity.base} up to date"
            )
        exists = Store.exists(self.directory)
        store = (
            Store.open(self.directory, self.identity, "w") if exists else Store.create(self.directory, self.identity)
        )
        self.store, self._is_writing, self._is_new = store, True, not exists
        return store

    def as_it_was_made(self) -> Store:
        """The memory with the gists that it was made with. Raises StoreError where these are others."""
        if self.store is None or self.first is not None:
            made_with = "nothing is there yet" if self.first is None else f"made with {self.first.identity.base}"
            raise StoreError(f"{self.directory}: {made_with}; open what `mmctx ingest` made with the model it used")
        return self.store

    def remove_if_nothing_came(self) -> None:
        """Leave no memory behind that was made for a file of which nothing could be taken up."""
        if self._is_new and self.store is not None and self.store.discard_if_empty():
            self.store, self._is_writing = None, False
        self._is_new = False

    def close(self) -> None:
        """Let go of all; brings indexes up to date if something was written."""
        if self.store is not None:
            self.store.close()
            self.store = self.first = None
            self._is_writing = False
