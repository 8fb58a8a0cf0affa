"""PDF engines behind one protocol: what stands on a page before any layout is made of it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
