"""result.json files -> one data frame."""

import json
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.report.names import parse

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load"]

Cell = str | float | None
NOT_FINITE = ("nan", "inf", "-inf")  # JSON has no numbers for these, results hold them as text


def load(runs_dir: Path) -> "pd.DataFrame":
    """Every result.json below a directory, one row a run: `run` (its path below runs_dir), `group`, `status`,
    `seed`, then each choice, metric and cost under its own name, with `bits_per_dim`, its `bound`,
    `method` and `likelihood_n`, and `reconstruction_mse`. `attrs["axes"]` names the columns of choices.

    The columns hold Python objects, None where a run has no such value (nan is a value). A file that cannot
    be read or is no result is left out with a warning that names it.
    Raises FileNotFoundError where there is no such directory, or no result in it.
    """
    import pandas as pd

    runs_dir = Path(runs_dir)
    if not runs_dir.is_dir():
        raise FileNotFoundError(f"{runs_dir} is not a directory: name the one that the runs were written to")
    read = list(read_all(runs_dir))
    if not read:
        raise FileNotFoundError(f"no result.json below {runs_dir}: runs write theirs when they are finished")
    rows = sorted((row for row, _ in read), key=lambda row: str(row["run"]))
    columns = dict.fromkeys(name for row in rows for name in row)
    # Built a column at a time: a thousand Series of mixed types take seconds, lists of objects take none.
    frame = pd.DataFrame({name: [row.get(name) for row in rows] for name in columns}, dtype=object)
    frame.attrs["axes"] = sorted({axis for _, axes in read for axis in axes})
    return frame


def read_all(runs_dir: Path) -> Iterator[tuple[dict[str, Cell], list[str]]]:
    """The rows of all results that can be read, each with the names of its choices."""
    for folder, subfolders, files in os.walk(runs_dir):
        if "result.json" not in files:
            continue
        subfolders.clear()  # a run holds no runs
        path = Path(folder, "result.json")
        try:
            result = json.loads(path.read_bytes())
            yield row(result, run_name(Path(folder), runs_dir)), [*map(text, section(result, "choices"))]
        except (OSError, ValueError, RecursionError) as error:
            warnings.warn(f"{path} is left out of the report: {error}", stacklevel=3)


def run_name(folder: Path, runs_dir: Path) -> str:
    """A run's path below runs_dir, its own name where it is runs_dir."""
    return folder.resolve().name if folder == runs_dir else folder.relative_to(runs_dir).as_posix()


def row(result: object, run: str) -> dict[str, Cell]:
    """One result as a flat row."""
    if not isinstance(result, dict) or "genbench" not in result:
        raise ValueError("it is no result of genbench")
    metrics = section(result, "metrics")
    for name in metrics:
        parse(name)
    likelihood, facts = section(result, "likelihood"), ("group", "status", "seed")
    values = {
        **section(result, "choices"),
        **{name: number(name, value) for name, value in metrics.items()},
        **section(result, "cost"),
        "bits_per_dim": likelihood.get("bits_per_dim"),
        "bound": likelihood.get("bound"),
        "method": likelihood.get("method"),
        "likelihood_n": likelihood.get("n"),
        "reconstruction_mse": section(result, "reconstruction").get("mse"),
        **{fact: result.get(fact) for fact in facts},
        "run": run,
    }
    return {text(name): cell(name, value) for name, value in values.items()}


def section(result: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One object of a result, empty where the result has none."""
    value = result.get(name, {})
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


def cell(name: str, value: Any) -> Cell:  # noqa: ANN401
    """One value of the table: a number, text that can be written anywhere, or None."""
    if value in NOT_FINITE:
        return float(value)
    if isinstance(value, str):
        return text(value)
    if value is None or isinstance(value, int | float):
        return value
    raise ValueError(f"{name} holds a {type(value).__name__}, not one value")


def text(value: str) -> str:
    """Text without lone surrogates, which JSON may hold and no file can."""
    return value.encode(errors="backslashreplace").decode()
