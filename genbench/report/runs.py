"""The runs below a directory -> one data frame with a row a finished run, and what is not in it."""

import os
import re
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from genbench.records.feature_network import FeatureNetwork, merged_networks
from genbench.records.metric_kinds import KINDS, Kind, merged
from genbench.report.data_frame import Cell, DataFrame, cells, frame_of
from genbench.report.one_run import GIVEN, RunRecord, read_run, text
from genbench.report.settings import differing, is_timed
from genbench.runtime.printable import in_one_line

if TYPE_CHECKING:
    from pandas import Series

__all__ = ["Runs", "load", "of_folders", "of_records", "read", "run_folders", "without_reruns"]


class Runs(NamedTuple):
    """The finished runs of a directory as a data frame, what its columns are, and the runs not in it."""

    frame: DataFrame  # a row a finished run, in the order of their paths; None is a missing value
    choices: Sequence[str]  # the columns that hold the option of a group: model, schedule, ..
    settings: Sequence[str]  # the columns that hold settings in which the runs differ: sampler.steps, ..
    left_out: Mapping[str, str] = MappingProxyType({})  # runs without a result that can be read -> why
    paths: Mapping[str, Path] = MappingProxyType({})  # the directory of each run, finished or not
    later: Mapping[str, Collection[str]] = MappingProxyType({})  # metrics that were measured after a run
    passed_over: Mapping[str, str] = MappingProxyType({})  # evaluations of runs that cannot be read
    kinds: Mapping[str, Kind] = KINDS  # of scores, with those that these runs recorded themselves
    networks_by_run: Mapping[str, Mapping[str, FeatureNetwork]] = MappingProxyType({})

    def with_frame(self, frame: DataFrame) -> "Runs":
        """Return the same with some of the rows, or another order, without measures that none of them has."""
        # Tables show a column for each measure, so those of other data sets and protocols must go.
        names = (*self.choices, *self.settings)
        there = frame.map(lambda value: value is not None).any()
        return self._replace(frame=frame[[name for name in frame.columns if there[name] or name in names]])

    @property
    def networks(self) -> dict[str, FeatureNetwork]:
        """The feature networks that the runs of the frame recorded, by the protocol of their features; an
        earlier version recorded none.
        """
        return merged_networks(self.networks_by_run.get(str(run), {}) for run in cells(self.frame, "run"))

    @property
    def trained(self) -> "Runs":
        """The same without images that another tool made, whose training is unknown; all where all are."""
        is_given = [value is not None for value in cells(self.frame, GIVEN)]
        if not any(is_given) or all(is_given):
            return self
        return self.with_frame(self.frame.loc[[not given for given in is_given]])

    def own(self, metric: str) -> list[bool]:
        """Return for each row True if its run measured a metric itself, and no later evaluation did."""
        pairs = zip(cells(self.frame, "run"), cells(self.frame, metric), strict=True)
        return [value is not None and metric not in self.later.get(str(run), ()) for run, value in pairs]


def read(runs_dir: str | Path, *, unfinished: bool = False, only: Collection[Path] | None = None) -> Runs:
    """Read every run below a directory, at any depth; only: the resolved directories to keep, all by default.

    Raises FileNotFoundError where there is no such directory or, unless `unfinished` runs will do, no result.
    """
    runs_dir = Path(runs_dir)
    if not runs_dir.is_dir():
        raise FileNotFoundError(f"{runs_dir} is not a directory: name the one that the runs were written to")
    folders = dict(sorted(run_folders(runs_dir)))
    if only is not None:
        folders = {name: folder for name, folder in folders.items() if folder.resolve() in only}
    found = joined(folders)
    if found.frame.empty and not unfinished:
        reasons = [f"{name} is {reason}" for name, reason in found.left_out.items()]
        if damaged := [reason for reason in reasons if " is damaged: " in reason]:
            more = f" ({len(damaged) - 1:,} more are damaged, too)" if len(damaged) > 1 else ""
            raise FileNotFoundError(
                f"{damaged[0]}{more}: restore it, or name other runs; no other result can be read below "
                f"{runs_dir}"
            )
        why = "".join(f"; {reason}" for reason in reasons)
        raise FileNotFoundError(
            f"no result.json below {runs_dir} that can be read: runs write theirs when they are finished{why}"
        )
    return found


def of_folders(folders: Sequence[Path]) -> Runs:
    """Read the finished runs of some directories, each named as its path.

    Raises OSError or ValueError on a directory whose result cannot be read.
    """
    return joined({str(folder): Path(folder) for folder in folders}, all_or_nothing=True)


def run_folders(runs_dir: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name (the path below runs_dir) and the directory of each run."""
    for folder, subfolders, files in os.walk(runs_dir):
        if "result.json" in files or "run.json" in files:
            subfolders.clear()  # a run holds no runs
            path = Path(folder)
            yield text(path.resolve().name if path == runs_dir else str(path.relative_to(runs_dir))), path


def joined(paths: Mapping[str, Path], *, all_or_nothing: bool = False) -> Runs:
    """Runs in some directories, each row with the settings in which the runs differ."""
    records, left_out = {}, {}
    for name, folder in paths.items():
        try:
            records[name] = read_run(folder)
        except (OSError, ValueError, RecursionError) as error:  # one bad run costs no report
            if all_or_nothing:
                raise
            left_out[name] = " ".join(text(str(error)).split())
    return of_records(records, left_out, paths)


def of_records(
    records: Mapping[str, RunRecord],
    left_out: Mapping[str, str] = MappingProxyType({}),
    paths: Mapping[str, Path] = MappingProxyType({}),
) -> Runs:
    """Return runs by their names as one data frame, each row with the settings in which they differ.

    left_out: runs that cannot be read, and why; paths: the directories of both, where they have one.
    """
    # Of images that another tool made only the data they belong to are known, and they are no model.
    trained = [found.settings for found in records.values() if GIVEN not in found.row]
    of_data = [
        {key: value for key, value in found.settings.items() if key.startswith("data.")}
        for found in records.values()
    ]
    differ = sorted({*differing(trained), *differing(of_data)})
    return Runs(
        frame_of(
            [
                {**{key: found.settings.get(key) for key in differ}, **found.row, "run": run}
                for run, found in records.items()
            ]
        ),
        sorted({choice for found in records.values() for choice in found.choices}),
        differ,
        left_out,
        paths,
        {run: found.later for run, found in records.items()},
        {run: found.passed_over for run, found in records.items() if found.passed_over},
        merged(found.kinds for found in records.values()),
        {run: found.networks for run, found in records.items()},
    )


def without_reruns(runs: Runs, by: Sequence[str] = ()) -> tuple[Runs, dict[str, str]]:
    """Return the last run of each identity alone, and for each run left out the one that stands for it.

    Two runs of one identity do not count as separate seeds: they hold the same numbers, bit for bit, but
    where the clock ended them. In equal seconds other devices come to other numbers, so the device counts.
    by: columns that tell runs apart all the same.
    """
    names = [str(run) for run in cells(runs.frame, "run")]
    facts = zip(*(cells(runs.frame, name) for name in ("identity", "device", "budget")), strict=True)
    others = zip(*(map(repr, cells(runs.frame, name)) for name in ("precision", *by)), strict=True)
    same_run = {
        name: (identity or name, device if is_timed(budget) else None, other)
        for name, (identity, device, budget), other in zip(names, facts, others, strict=True)
    }
    last = {same_run[name]: name for name in sorted(names, key=natural)}
    replaced = {name: last[key] for name, key in same_run.items() if last[key] != name}
    return runs.with_frame(runs.frame.loc[[name not in replaced for name in names]]), replaced


def natural(name: str) -> list[tuple[bool, int, str]]:
    """Sort key by which run-2 comes after run and before run-10, the newest of three reruns."""
    parts = re.findall(r"\d+|\D+", name)
    return [(True, int(part), "") if part.isdecimal() else (False, 0, part) for part in parts]


def load(runs_dir: str | Path) -> DataFrame:
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
    frame = pd.DataFrame({name: typed(cells(runs.frame, name)) for name in runs.frame.columns})
    frame["counted"] = ~frame["run"].isin([*without_reruns(runs)[1]])
    frame.attrs |= {"choices": runs.choices, "settings": runs.settings, "left_out": runs.left_out}
    return frame


def typed(values: list[Cell]) -> "Series":
    """A column with the type of its values: numbers with missing ones are floats, a mixture stays objects."""
    import pandas as pd

    kinds = {type(value) for value in values}
    if (float in kinds and kinds <= {int, float, type(None)}) or kinds == {int, type(None)}:
        return pd.Series(values, dtype=float)
    return pd.Series(values, dtype=None if len(kinds) == 1 else object)
