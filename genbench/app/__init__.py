"""From a configuration to a result: the only package that knows Hydra.

config -> objects -> train -> evaluate -> result.json and a table.
"""

from genbench.app.build import build, check_groups, make, seeded_model
from genbench.app.entry import door
from genbench.app.job import run
from genbench.app.load_run import classifier, load, measuring, protocol
from genbench.app.run_names import identity

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
