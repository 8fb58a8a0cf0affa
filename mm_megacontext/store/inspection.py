"""What a memory holds, as the documented JSON of ``mmctx inspect``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mm_megacontext.store.store import Identity, Store


def inspect_store(store: Store | None, identity: Identity) -> dict[str, Any]:
    """Sources, nodes and size of a memory, none where there is no store yet, and whose gists it holds."""
    sources = [] if store is None else store.sources()
    return {
        "sources": [
            {"uri": r.uri, "kind": r.kind, "pages": r.n_pages, "nodes": r.n_nodes, "engine": r.engine} for r in sources
        ],
        "nodes_per_lod": {} if store is None else {str(lod): n for lod, n in sorted(store.counts().items())},
        "bytes": 0 if store is None else store.size_bytes(),
        "base": identity.base,
        "gistnet": identity.gistnet,
        "image_gistnet": identity.image_gistnet,
        "encoder": identity.encoder,
        "slots": identity.slots,
        "image_slots": identity.image_slots,
        "spaces": [] if store is None else [asdict(other) for other in store.spaces()],
    }
