from .run import Recipe as Recipe
from .run import TrainOptions as TrainOptions
