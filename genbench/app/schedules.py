"""The noise schedules among the options of the group `schedule`, built for a figure."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.errors import InstantiationException
from omegaconf import OmegaConf

from genbench.app.build import make

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["fixed_schedules"]


def fixed_schedules(T: int, folders: Sequence[Path]) -> tuple[dict[str, "Tensor"], dict[str, str]]:
    """Build every option of `schedule` in folders of options (conf/, --config-dir) for a grid of T steps.

    Returns option -> alpha_bar on the grid, (T + 1,) float64, and option -> the reason why no grid of T steps
    has it. Schedules that are learned are in neither. Of two options with one name the last one counts.
    """
    tables, refused = dict[str, "Tensor"](), dict[str, str]()
    for path in (path for folder in folders for path in sorted((folder / "schedule").glob("*.yaml"))):
        try:
            schedule = make(OmegaConf.merge(OmegaConf.load(path), {"T": T}))
        except InstantiationException as error:
            refused[path.stem] = str(error.__cause__ or error)
            continue
        if not any(True for _ in schedule.parameters()):
            tables[path.stem] = schedule.table
    return tables, refused
