from .build import build_image_nodes as build_image_nodes
from .build import build_thumbnail_row as build_thumbnail_row
from .grid import GridNode as GridNode
from .grid import TileGrid as TileGrid
