"""Models that read working contexts: the native one, the finder, and positions for others."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
