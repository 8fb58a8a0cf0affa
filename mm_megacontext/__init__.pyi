from .answer import Answer as Answer
from .answer import Evidence as Evidence
from .answer import Usage as Usage
from .errors import MegaContextError as MegaContextError
from .limits import IngestLimits as IngestLimits
from .memory import MegaContext as MegaContext
from .models import Model as Model
from .models import open_model as open_model
from .models import open_reader as open_reader
from .passages.context import Context as Context
from .registry import Registry as Registry

__all__: list[str]
__version__: str
