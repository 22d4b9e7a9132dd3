"""The runs below a directory as a pandas data frame for users' own analyses."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from genbench.report.frame import Cell, cells
from genbench.report.query import without_reruns
from genbench.report.runs import read
from genbench.runtime.printable import in_one_line

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load"]


def load(runs_dir: str | Path) -> "pd.DataFrame":
    """Every finished run below a directory, one row a run, as a data frame.

    Columns: `run` (its path below runs_dir), `group`, `status`, `seed`, `identity`, `budget`; the option
    chosen in each group (`model`, `schedule`, ..); each setting in which runs differ, under its key
    (`sampler.steps`); each metric under its full name, with `_std`, `_se`, `_low`, `_high` where they were
    recorded; `bits_per_dim`, its `bound`, `method` and `likelihood_n`; `reconstruction_mse`; each cost.
    Numbers are numbers and missing ones nan; other columns hold Python objects, None where there is none.
    `counted` is False of a run that the tables leave out, since another of the same configuration and seed
    stands for it. `attrs`: "choices" and "settings" name those columns, "left_out" says which runs are
    missing, and why, as a warning does.
    Raises FileNotFoundError where there is no such directory, or no result in it.
    """
    import pandas as pd

    runs = read(runs_dir)
    for run, why in runs.left_out.items():
        warnings.warn(in_one_line(f"{run} is not included: {why}"), stacklevel=2)
    for run, lines in runs.passed_over.items():
        warnings.warn(in_one_line(f"{run}: evaluations that cannot be read: {lines}"), stacklevel=2)
    frame = pd.DataFrame({name: typed(cells(runs.frame, name)) for name in runs.frame})
    frame["counted"] = ~frame["run"].isin([*without_reruns(runs)[1]])
    frame.attrs |= {"choices": runs.choices, "settings": runs.settings, "left_out": runs.left_out}
    return frame


def typed(values: list[Cell]) -> "pd.Series":
    """A column with the type of its values: numbers with missing ones are floats, a mixture stays objects."""
    import pandas as pd

    kinds = {type(value) for value in values}
    if (float in kinds and kinds <= {int, float, type(None)}) or kinds == {int, type(None)}:
        return pd.Series(values, dtype=float)
    return pd.Series(values, dtype=None if len(kinds) == 1 else object)
