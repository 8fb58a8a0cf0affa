from .protocol import TextEmbedder as TextEmbedder
from .registry import EMBEDDERS as EMBEDDERS
from .registry import open_embedder as open_embedder
