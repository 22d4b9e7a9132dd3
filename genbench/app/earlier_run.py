"""The run whose weights another one begins with: its directory, and what its training took."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from genbench.records.result import Cost
from genbench.records.run_directory import Run
from genbench.runtime.disk import expanded

__all__ = ["cost_of_start", "finished_cost", "folder"]


def cost_of_start(cfg: DictConfig) -> Cost | None:
    """Return what the training of the run took that a configuration starts from, the runs that it started
    from itself included; None where a configuration starts from random weights.
    """
    run_dir = OmegaConf.select(cfg, "init.run_dir")
    return None if run_dir is None else finished_cost(str(run_dir))


def finished_cost(run_dir: str) -> Cost:
    """Return the cost of a run. Raises ValueError where it has no result, which alone tells the cost."""
    if not (here := folder(run_dir)).is_dir():
        raise ValueError(f"init.run_dir is {run_dir}, which is not a directory: give the directory of a run")
    found = Run(here).finished_result()
    if found is None:
        raise ValueError(
            f"init.run_dir is {run_dir}, which holds no finished run: give the directory of one (an exported "
            "model does not say what its training took)"
        )
    return found.cost


def folder(run_dir: str) -> Path:
    """Return the directory of a run as it is typed, with ~ as the home directory."""
    return expanded(run_dir, "write the whole path, or set HOME")
