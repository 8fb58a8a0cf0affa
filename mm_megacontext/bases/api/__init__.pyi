from .client import ChatConfig as ChatConfig
from .reader import ApiReader as ApiReader

__all__: list[str]
