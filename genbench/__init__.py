"""Train, evaluate and compare families of generative image models under one protocol.

    run = genbench.train(["model=ddpm", "schedule=cosine"])
    run.load().sample(64).save_grid("grid.png")

The names in `__all__` are loaded when they are first used, so that `import genbench` takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genbench.api import Images, Run, TrainedModel, evaluate, load, train

__all__ = ["Images", "Run", "TrainedModel", "evaluate", "load", "train"]


def __getattr__(name: str) -> object:
    """Load a name of the Python interface; raises AttributeError on any other."""
    if name in __all__:
        return getattr(import_module("genbench.api"), name)
    raise AttributeError(f"module 'genbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
