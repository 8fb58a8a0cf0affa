"""A memory of any size for vision-language models: gist trees, working contexts, answers with evidence.

The names below are loaded when they are first used, so that ``import mm_megacontext`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mm_megacontext.errors import MegaContextError as MegaContextError
    from mm_megacontext.limits import IngestLimits as IngestLimits
    from mm_megacontext.memory import MegaContext as MegaContext

__version__ = "0.1.0"

_HOME = {
    "IngestLimits": "mm_megacontext.limits",
    "MegaContext": "mm_megacontext.memory",
    "MegaContextError": "mm_megacontext.errors",
}
"""Where each public name lives."""

__all__ = ["IngestLimits", "MegaContext", "MegaContextError", "__version__"]


if not TYPE_CHECKING:  # a type checker would take any name for one that is there

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
