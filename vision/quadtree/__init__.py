"""The quad-tree of an image: its grid, and its rows, built while it streams."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
