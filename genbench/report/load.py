"""result.json files -> one table of runs, as rows or as a data frame."""

import json
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from genbench.report import config
from genbench.report.names import parse
from genbench.run import Run

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Cell", "Row", "Runs", "load", "read"]

Cell = str | float | None
Row = dict[str, Cell]
NOT_FINITE = ("nan", "inf", "-inf")  # JSON has no numbers for these, results hold them as text
FACTS = ("group", "status", "seed", "identity")
LIKELIHOOD = {"bound": "bound", "method": "method", "n": "likelihood_n"}  # under these names in the table


class Runs(NamedTuple):
    """What a directory of runs holds."""

    rows: list[Row]
    """One a finished run, in the order of their paths; a value that a run lacks is missing or None."""
    choices: list[str]
    """The columns that hold the option of a group: model, schedule, .."""
    settings: list[str]
    """The columns that hold settings in which the runs differ: sampler.steps, .."""
    left_out: dict[str, str]
    """Runs without a result that can be read -> why."""
    paths: dict[str, Path]
    """The directory of each run, finished or not."""

    def with_rows(self, rows: list[Row]) -> "Runs":
        """The same with some of the rows, or with them in another order."""
        return self._replace(rows=rows)


def load(runs_dir: str | Path) -> "pd.DataFrame":
    """Every finished run below a directory, one row a run, as a data frame.

    Columns: `run` (its path below runs_dir), `group`, `status`, `seed`, `identity`, `budget`; the option
    chosen in each group (`model`, `schedule`, ..); each setting in which runs differ, under its key
    (`sampler.steps`); each metric under its full name, with `_std`, `_se`, `_low`, `_high` where they were
    recorded; `bits_per_dim`, its `bound`, `method` and `likelihood_n`; `reconstruction_mse`; each cost.
    They hold Python objects, None where a run has no such value (nan is a value).
    `attrs`: "choices" and "settings" name those columns, "left_out" says which runs are missing, and why,
    as a warning does.
    Raises FileNotFoundError where there is no such directory, or no result in it.
    """
    import pandas as pd

    runs = read(runs_dir)
    for run, why in runs.left_out.items():
        warnings.warn(f"{run} is left out: {why}", stacklevel=2)
    columns = dict.fromkeys(name for row in runs.rows for name in row)
    # Built a column at a time: a thousand Series of mixed types take seconds, lists of objects take none.
    frame = pd.DataFrame({name: [row.get(name) for row in runs.rows] for name in columns}, dtype=object)
    frame.attrs |= {"choices": runs.choices, "settings": runs.settings, "left_out": runs.left_out}
    return frame


def read(runs_dir: str | Path, *, unfinished: bool = False) -> Runs:
    """The same as rows, without pandas.

    Raises FileNotFoundError where there is no such directory or, unless `unfinished` runs will do, no result.
    """
    runs_dir = Path(runs_dir)
    if not runs_dir.is_dir():
        raise FileNotFoundError(f"{runs_dir} is not a directory: name the one that the runs were written to")
    results, left_out = {}, {}
    paths = dict(sorted(run_folders(runs_dir)))
    for name, folder in paths.items():
        try:
            results[name] = result(folder)
        except (OSError, ValueError, RecursionError) as error:
            left_out[name] = " ".join(text(str(error)).split())
    if not results and not unfinished:
        why = "".join(f"; {name} is {reason}" for name, reason in left_out.items())
        raise FileNotFoundError(
            f"no result.json below {runs_dir} that can be read: runs write theirs when they are finished{why}"
        )
    return joined(results, left_out, paths)


def run_folders(runs_dir: Path) -> Iterator[tuple[str, Path]]:
    """The name and the directory of each run."""
    for folder, subfolders, files in os.walk(runs_dir):
        if "result.json" in files or "run.json" in files:
            subfolders.clear()  # a run holds no runs
            path = Path(folder)
            yield (
                text(path.resolve().name if path == runs_dir else path.relative_to(runs_dir).as_posix()),
                path,
            )


def result(folder: Path) -> tuple[Row, list[str], dict[str, Cell]]:
    """The row, the names of the choices and the settings of one run. Raises ValueError where it has none."""
    path = folder / "result.json"
    if not path.exists():
        raise ValueError(unfinished(Run(folder)))
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict) or "genbench" not in content:
            raise ValueError("it is no result of genbench")
        content["metrics"] = {**later(folder), **section(content, "metrics")}
        flat = config.settings(section(content, "config"))
        return row(content), [*map(text, section(content, "choices"))], clean(flat)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"damaged: {path.name}: {error}") from error


def later(folder: Path) -> dict[str, Any]:
    """What `genbench evaluate` found of a run on its own data, the newest of each name."""
    path, found = folder / "evaluations.jsonl", {}
    if path.exists():
        for line in path.read_text().splitlines():
            record = json.loads(line)
            if not any(word.startswith("data") for word in record["overrides"]):
                found |= section(record, "metrics")
    return found


def unfinished(run: Run) -> str:
    """What became of a run that has no result."""
    record = run.record() or {}
    status, error = record.get("status"), record.get("error")
    known = {"running": "unfinished (running, or killed)", "stopped": "unfinished (stopped)"}
    return known.get(str(status), str(status)) if not error else f"{status}: {error}"


def row(content: Mapping[str, Any]) -> Row:
    """One result as a flat row."""
    metrics = section(content, "metrics")
    for name in metrics:
        parse(name)
    cfg, reconstruction = section(content, "config"), section(content, "reconstruction")
    measured = section(content, "likelihood")
    values = {
        **section(content, "choices"),
        **({"budget": words} if (words := config.budget(cfg)) else {}),
        **{name: number(name, value) for name, value in metrics.items()},
        **section(content, "cost"),
        **{LIKELIHOOD.get(name, name): value for name, value in measured.items()},
        **{f"reconstruction_{name}": value for name, value in reconstruction.items() if name != "n"},
        **{fact: content[fact] for fact in FACTS if fact in content},
    }
    return clean(values)


def joined(results: Mapping[str, tuple], left_out: dict[str, str], paths: dict[str, Path]) -> Runs:
    """The rows of all runs, each with the settings in which they differ."""
    differ = config.differing([settings for _, _, settings in results.values()])
    rows = [
        {**{key: settings.get(key) for key in differ}, **row, "run": run}
        for run, (row, _, settings) in results.items()
    ]
    choices = sorted({choice for _, chosen, _ in results.values() for choice in chosen})
    return Runs(rows, choices, differ, left_out, paths)


def section(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One object of a result, empty where the result has none."""
    value = content.get(name, {})
    if not isinstance(value, dict):
        raise ValueError(f"{name} holds a {type(value).__name__}, not an object")
    return value


def number(name: str, value: Any) -> Any:  # noqa: ANN401
    """A metric's value, which must be a number or None."""
    if isinstance(value, bool) or not (
        value is None or isinstance(value, int | float) or value in NOT_FINITE
    ):
        raise ValueError(f"{name} is {value!r}, not a number")
    return value


def clean(values: Mapping[str, Any]) -> Row:
    """Values and names as they can stand in a table."""
    return {text(name): cell(name, value) for name, value in values.items()}


def cell(name: str, value: Any) -> Cell:  # noqa: ANN401
    """One value of the table: a number, text that can be written anywhere, or None."""
    if isinstance(value, str):
        return float(value) if value in NOT_FINITE else text(value)
    if not (value is None or isinstance(value, int | float)):
        raise ValueError(f"{name} holds a {type(value).__name__}, not one value")
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        raise ValueError(f"{name} holds a number of {value.bit_length()} bits, which no measurement gives")
    return value


def text(value: str) -> str:
    """Text without lone surrogates, which JSON may hold and no file can."""
    return value.encode(errors="backslashreplace").decode()
