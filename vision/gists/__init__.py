"""Visual gists: patch vectors to the gist of a tile, gists to the gist of their parent."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
