from .context import Context as Context
from .parts import Collapsed as Collapsed
from .parts import Gap as Gap
from .parts import Passage as Passage
from .words import PassageWord as PassageWord

__all__: list[str]
