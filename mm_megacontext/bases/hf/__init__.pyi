from .embedding_reader import HfEmbeddingReader as HfEmbeddingReader
from .reader import HfReader as HfReader

__all__: list[str]
