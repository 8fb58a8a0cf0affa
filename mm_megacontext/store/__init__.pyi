from .catalogue import SourceInfo as SourceInfo
from .catalogue import SourceRecord as SourceRecord
from .durable import StoreWarning as StoreWarning
from .identity import GistShape as GistShape
from .identity import Identity as Identity
from .inspection import inspect_store as inspect_store
from .store import Store as Store
