"""Python interface of genbench: runs, trained models and images as objects, for scripts and notebooks.

`import genbench` offers these names, and loads them when they are first used. It may import everything but
`cli`; nothing prints unless it is asked to.
"""

from genbench.api.evaluation import evaluate
from genbench.api.images import Images
from genbench.api.runs import Run, TrainedModel, load, train

__all__ = ["Images", "Run", "TrainedModel", "evaluate", "load", "train"]
