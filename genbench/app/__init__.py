"""From a configuration to a result: the only package that knows Hydra.

config -> objects -> train -> evaluate -> result.json and a table.
"""

from genbench.app.build import build, check_groups, make, seeded_model
from genbench.app.door import door
from genbench.app.job import run
from genbench.app.naming import identity
from genbench.app.trained import classifier, load, measuring, protocol

__all__ = [
    "build",
    "check_groups",
    "classifier",
    "door",
    "identity",
    "load",
    "make",
    "measuring",
    "protocol",
    "run",
    "seeded_model",
]
