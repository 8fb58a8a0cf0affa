"""Processes that may die: they open files for others, within limits, and what they answer is checked."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
