from .finder import Finder as Finder
from .gaussian_rope import GaussianRope as GaussianRope
from .gaussian_rope import attach_gaussian_rope as attach_gaussian_rope
from .gaussian_rope import positions_of_ids as positions_of_ids
from .native_base import NativeBase as NativeBase
