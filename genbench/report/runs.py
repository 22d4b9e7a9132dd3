"""The runs below a directory -> one data frame with a row a finished run, and what is not in it."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from genbench.records.metric_kinds import KINDS, Kind, merged
from genbench.report.frame import cells, frame_of
from genbench.report.one_run import RunRecord, read_run, text
from genbench.report.settings import differing

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Runs", "of_folders", "read"]


class Runs(NamedTuple):
    """The finished runs of a directory as a data frame, what its columns are, and the runs not in it."""

    frame: "pd.DataFrame"
    """A row a finished run, in the order of their paths; columns hold objects, None is a missing value."""
    choices: Sequence[str]
    """The columns that hold the option of a group: model, schedule, .."""
    settings: Sequence[str]
    """The columns that hold settings in which the runs differ: sampler.steps, .."""
    left_out: Mapping[str, str] = MappingProxyType({})
    """Runs without a result that can be read -> why."""
    paths: Mapping[str, Path] = MappingProxyType({})
    """The directory of each run, finished or not."""
    later: Mapping[str, Collection[str]] = MappingProxyType({})
    """The metrics of each run that are not of its result, but of evaluations afterwards."""
    passed_over: Mapping[str, str] = MappingProxyType({})
    """Runs of whose evaluations some cannot be read -> which."""
    kinds: Mapping[str, Kind] = KINDS
    """The kinds of scores, with those that these runs recorded themselves."""

    def with_frame(self, frame: "pd.DataFrame") -> "Runs":
        """Return the same with some of the rows, or another order, without measures that none of them has."""
        # Tables show a column for each measure, so those of other data sets and protocols must go.
        names = (*self.choices, *self.settings)
        there = frame.map(lambda value: value is not None).any()
        return self._replace(frame=frame[[name for name in frame if there[name] or name in names]])

    def own(self, metric: str) -> list[bool]:
        """Return for each row True if its run measured a metric itself, and no later evaluation did."""
        pairs = zip(cells(self.frame, "run"), cells(self.frame, metric), strict=True)
        return [value is not None and metric not in self.later.get(str(run), ()) for run, value in pairs]


def read(runs_dir: str | Path, *, unfinished: bool = False) -> Runs:
    """Read every run below a directory, at any depth.

    Raises FileNotFoundError where there is no such directory or, unless `unfinished` runs will do, no result.
    """
    runs_dir = Path(runs_dir)
    if not runs_dir.is_dir():
        raise FileNotFoundError(f"{runs_dir} is not a directory: name the one that the runs were written to")
    records, left_out = {}, {}
    paths = dict(sorted(run_folders(runs_dir)))
    for name, folder in paths.items():
        try:
            records[name] = read_run(folder)
        except (OSError, ValueError, RecursionError) as error:  # one bad run costs no report
            left_out[name] = " ".join(text(str(error)).split())
    if not records and not unfinished:
        why = "".join(f"; {name} is {reason}" for name, reason in left_out.items())
        raise FileNotFoundError(
            f"no result.json below {runs_dir} that can be read: runs write theirs when they are finished{why}"
        )
    return joined(records, left_out, paths)


def of_folders(folders: Sequence[Path]) -> Runs:
    """Read the finished runs of some directories, each named as its path.

    Raises OSError or ValueError on a directory whose result cannot be read.
    """
    paths = {str(folder): Path(folder) for folder in folders}
    return joined({name: read_run(path) for name, path in paths.items()}, {}, paths)


def run_folders(runs_dir: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name (the path below runs_dir) and the directory of each run."""
    for folder, subfolders, files in os.walk(runs_dir):
        if "result.json" in files or "run.json" in files:
            subfolders.clear()  # a run holds no runs
            path = Path(folder)
            yield (
                text(path.resolve().name if path == runs_dir else path.relative_to(runs_dir).as_posix()),
                path,
            )


def joined(records: Mapping[str, RunRecord], left_out: dict[str, str], paths: dict[str, Path]) -> Runs:
    """Runs of some records, each row with the settings in which the runs differ."""
    differ = differing([found.settings for found in records.values()])
    rows = [
        {**{key: found.settings.get(key) for key in differ}, **found.row, "run": run}
        for run, found in records.items()
    ]
    return Runs(
        frame_of(rows),
        sorted({choice for found in records.values() for choice in found.choices}),
        differ,
        left_out,
        paths,
        {run: found.later for run, found in records.items() if found.later},
        {run: found.passed_over for run, found in records.items() if found.passed_over},
        merged(found.kinds for found in records.values()),
    )
