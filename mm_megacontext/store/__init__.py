"""The memory on disk: tables of Lance, written by one process, read by any number."""

import os

import lazy_loader

os.environ.setdefault("LANCE_LOG", "error")  # read when Lance is imported; it warns of things that users cannot change

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
