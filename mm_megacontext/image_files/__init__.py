"""What an image file says of itself before a pixel is decoded, and libvips for what does not fit in memory."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
