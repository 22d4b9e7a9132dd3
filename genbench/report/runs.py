"""result.json files -> one table of runs, as rows or as a data frame."""

import copy
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from genbench.records.identity import hashed
from genbench.records.lines import parse_lines
from genbench.records.metric_kinds import KINDS, Kind, merged, recorded_kinds
from genbench.records.metric_name import MetricName
from genbench.records.run_directory import read_json
from genbench.records.untrusted import LOG_BYTES, RECORD_BYTES, parse_json, read_regular
from genbench.report import config

__all__ = ["Cell", "Row", "Runs", "of_folders", "read", "renamed"]

Cell = str | float | None
Row = dict[str, Cell]
NOT_FINITE = ("nan", "inf", "-inf")  # JSON has no numbers for these, results hold them as text
FACTS = ("group", "status", "seed", "identity")
EVALUATIONS = "evaluations.jsonl"
SAME = ("identity", "images_seen", "data_key", "seed")  # what an evaluation and a result must agree in
LIKELIHOOD = {"bound": "bound", "method": "method", "n": "likelihood_n"}  # under these names in the table
EARLIER_KINDS = {
    ("exact", "uniform dequantization"): ("lower", "one draw of uniform dequantization"),
    ("lower", "variational dequantization"): ("lower", "one draw of variational dequantization"),
}
"""How results of earlier versions name a flow's bound and method -> the same numbers' names now."""


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
    later: Mapping[str, Collection[str]] = MappingProxyType({})
    """The metrics of each run that are not of its result, but of evaluations afterwards."""
    passed_over: Mapping[str, str] = MappingProxyType({})
    """Runs of whose evaluations some cannot be read -> which."""
    kinds: Mapping[str, Kind] = MappingProxyType(dict(KINDS))
    """The table of kinds, with those that the runs recorded."""

    def with_rows(self, rows: list[Row]) -> "Runs":
        """The same with some of the rows, or with them in another order."""
        return self._replace(rows=rows)


class Result(NamedTuple):
    """What one run gives."""

    row: Row
    choices: list[str]
    settings: dict[str, Cell]
    later: frozenset[str] = frozenset()
    passed_over: str = ""
    kinds: Mapping[str, Kind] = MappingProxyType({})


def read(runs_dir: str | Path, *, unfinished: bool = False) -> Runs:
    """Read every run below a directory as rows.

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


def of_folders(folders: Sequence[Path]) -> Runs:
    """The finished runs of some directories. Raises OSError or ValueError on one that cannot be read."""
    paths = {str(folder): Path(folder) for folder in folders}
    return joined({name: result(path) for name, path in paths.items()}, {}, paths)


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


def result(folder: Path) -> Result:
    """The result of one run, with what was measured afterwards. Raises ValueError where it has none."""
    path = folder / "result.json"
    if not os.path.lexists(path):
        raise ValueError(unfinished(folder))
    read = read_regular(path, at_most=RECORD_BYTES, inside=folder)
    try:
        content = parse_json(read)
        if not isinstance(content, dict) or "genbench" not in content:
            raise ValueError("it is no result of genbench")
        found, passed_over = evaluations(folder, content)
        kinds = merged([recorded_kinds(record) for record in (content, *found)])
        whole = with_later(content, found)
        new = frozenset(map(text, whole["metrics"].keys() - section(content, "metrics").keys()))
        flat = clean(config.settings(section(content, "config")))
        return Result(row(whole), [*map(text, section(content, "choices"))], flat, new, passed_over, kinds)
    except (ValueError, RecursionError, OverflowError) as error:
        raise ValueError(f"damaged: {path.name}: {error}") from error


def with_later(content: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A result with the newest of each metric that it lacks, and a likelihood (EMA) where it has none."""
    metrics, likelihood = {}, section(content, "likelihood")
    is_measured = likelihood.get("bits_per_dim") is not None
    for record in found:
        metrics |= record["metrics"]
        later = record.get("likelihood") or {}
        if not is_measured and record.get("weights") == "ema" and later.get("bits_per_dim") is not None:
            likelihood = later
    return {**content, "metrics": {**metrics, **section(content, "metrics")}, "likelihood": likelihood}


def evaluations(folder: Path, final: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """Read what `genbench evaluate` found of the model of a result on its own data; name damaged lines.

    Of the model: the same configuration (identity), trained as far; an evaluation of a run that had not
    finished is of another one.
    """
    path = folder / EVALUATIONS
    known = {**final, "images_seen": section(final, "cost").get("images_seen")}
    found, damaged = [], []
    try:
        present = os.path.lexists(path)
        content = read_regular(path, at_most=LOG_BYTES, inside=folder) if present else b""
    except OSError as error:
        return [], f"{path.name} ({error.strerror})"
    except ValueError as error:
        return [], str(error)
    lines = parse_lines(content)
    for number, record in lines.objects.items():
        try:
            check_evaluation(record)
        except ValueError:
            damaged.append(number)
            continue
        if all(record.get(name) is not None and record[name] == known.get(name) for name in SAME):
            found.append(record)
    numbers = ", ".join(map(str, sorted([*lines.damaged, *damaged])))
    return found, f"{path.name}, line {numbers}" if numbers else ""


def check_evaluation(record: Mapping[str, Any]) -> None:
    """Raise ValueError where an evaluation could not stand in a row."""
    row({"metrics": record.get("metrics"), "likelihood": record.get("likelihood") or {}})
    recorded_kinds(record)


def unfinished(folder: Path) -> str:
    """Describe what became of a run that has no result."""
    record = read_json(folder / "run.json") or {}  # of which a table needs less than a run that goes on
    status, error = record.get("status"), record.get("error")
    known = {"running": "unfinished (running, or killed)", "stopped": "unfinished (stopped)"}
    told = "without a status" if status is None else str(status)
    return known.get(told, told) if not error else f"{told}: {error}"


def row(content: Mapping[str, Any]) -> Row:
    """One result as a flat row."""
    metrics = section(content, "metrics")
    for name in metrics:
        MetricName.parse(name)
    cfg, reconstruction = section(content, "config"), section(content, "reconstruction")
    measured, cost = section(content, "likelihood"), section(content, "cost")
    words = config.budget(cfg, cost.get("device"))
    values = {
        **section(content, "choices"),
        **({"budget": words} if words else {}),
        **{name: number(name, value) for name, value in metrics.items()},
        **cost,
        **{LIKELIHOOD.get(name, name): value for name, value in renamed(measured).items()},
        **{f"reconstruction_{name}": value for name, value in reconstruction.items() if name != "n"},
        **{fact: content[fact] for fact in FACTS if fact in content},
        **whoever_chose_its_precision(content),
    }
    return clean(values)


def whoever_chose_its_precision(content: Mapping[str, Any]) -> dict[str, str]:
    """The identity without the option of precision: what was taken is a choice, `auto` and `fp32` alike."""
    cfg = section(content, "config")
    if "identity" not in content or "precision" not in cfg or not isinstance(cfg.get("data"), dict):
        return {}
    return {"identity": hashed(copy.deepcopy({key: cfg[key] for key in cfg if key != "precision"}))}


def renamed(likelihood: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded likelihood with the kind of its number under today's names, see EARLIER_KINDS."""
    bound, method = likelihood.get("bound"), likelihood.get("method")
    for (old_bound, old_method), (new_bound, new_method) in EARLIER_KINDS.items():
        if bound == old_bound and method == old_method:
            return {**likelihood, "bound": new_bound, "method": new_method}
    return dict(likelihood)


def joined(results: Mapping[str, Result], left_out: dict[str, str], paths: dict[str, Path]) -> Runs:
    """The rows of all runs, each with the settings in which they differ."""
    differ = config.differing([found.settings for found in results.values()])
    rows = [
        {**{key: found.settings.get(key) for key in differ}, **found.row, "run": run}
        for run, found in results.items()
    ]
    return Runs(
        rows,
        sorted({choice for found in results.values() for choice in found.choices}),
        differ,
        left_out,
        paths,
        {run: found.later for run, found in results.items() if found.later},
        {run: found.passed_over for run, found in results.items() if found.passed_over},
        merged(found.kinds for found in results.values()),
    )


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
    return value if value.isascii() else value.encode(errors="backslashreplace").decode()
