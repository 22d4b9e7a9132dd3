"""From a command line to a result: the entry point, composition by Hydra, jobs and sweeps.

The only package that imports Hydra, which it keeps from all others; it may import everything but `cli`.
"""

from genbench.app.build import build, check_groups, make, seeded_model
from genbench.app.entry import run_command, train
from genbench.app.job import run
from genbench.app.load_run import (
    classifier,
    data_configuration,
    load,
    measuring,
    sampling_key,
    sampling_settings,
)
from genbench.app.run_names import identity

__all__ = [
    "build",
    "check_groups",
    "classifier",
    "data_configuration",
    "identity",
    "load",
    "make",
    "measuring",
    "run",
    "run_command",
    "sampling_key",
    "sampling_settings",
    "seeded_model",
    "train",
]
