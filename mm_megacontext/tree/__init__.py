"""The gist tree as data: nodes and leaves, how documents become one, and who gives it its gists."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
