"""A memory of any size for vision-language models: gist trees, working contexts, answers with evidence.

The names below are loaded when they are first used, so that ``import mm_megacontext`` costs nothing.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
