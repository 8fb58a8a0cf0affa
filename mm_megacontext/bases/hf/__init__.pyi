from .reader import HfReader as HfReader

__all__: list[str]
