"""From a question to a working context to an answer: focus, lens, hints, and what a base is."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
