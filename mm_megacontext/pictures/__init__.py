"""Pictures for people: where an answer stands, how a page was read, the way into an image."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
