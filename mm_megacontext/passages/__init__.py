"""What a question opened, as text: passages with places, how they are rendered, and where an answer stands in them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
