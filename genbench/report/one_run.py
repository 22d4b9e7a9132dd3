"""A run's result.json and its later evaluations -> one row of a table."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from genbench.records.feature_network import FeatureNetwork, merged_networks, recorded_networks
from genbench.records.files import read_json
from genbench.records.identity import hashed
from genbench.records.json_lines import parse_lines
from genbench.records.later_keys import started_anew
from genbench.records.metric_kinds import KINDS, Kind, merged, recorded_kinds
from genbench.records.metric_name import MetricName
from genbench.records.result import NOT_FINITE, Best, Cost, Likelihood, Reconstruction, number, section
from genbench.records.titles import conditioning, data_name
from genbench.records.untrusted_files import LOG_BYTES, RECORD_BYTES, parse_json, read_regular
from genbench.report import settings as flat
from genbench.report.data_frame import Cell

__all__ = ["GIVEN", "RunRecord", "network_columns", "read_run", "record_of", "text"]

FACTS = ("group", "status", "seed", "identity", "data_key")
GIVEN = "given"
"""Section of a result of images that another tool made, and the column with the place they came from."""
NOT_TRAINED = "not trained here"
"""Stands for the budget of a model whose weights come from elsewhere: this run saw no image."""
LIKELIHOODS = {"likelihood": "ema", "best_likelihood": "best"}
"""Sections of a result -> the weights that they are of."""
EVALUATIONS = "evaluations.jsonl"
SAME = ("identity", "images_seen", "data_key", "seed")  # what an evaluation and a result must agree in


class RunRecord(NamedTuple):
    """One finished run as the data frame of all takes it: a flat row, and which of its columns are what."""

    row: dict[str, Cell]
    choices: list[str]  # the columns that hold the option of a group
    settings: dict[str, Cell]
    later: frozenset[str] = frozenset()  # metrics of evaluations after the run
    passed_over: str = ""  # the evaluations that cannot be read
    kinds: Mapping[str, Kind] = KINDS  # of scores, with those that the run recorded itself
    networks: Mapping[str, FeatureNetwork] = MappingProxyType({})  # by the protocol of their features


def read_run(folder: Path) -> RunRecord:
    """Read the result of one run with what was measured afterwards.

    Raises ValueError where it has none that can be read, with what became of the run, and OSError.
    """
    path = folder / "result.json"
    if not os.path.lexists(path):
        raise ValueError(unfinished(folder))
    read = read_regular(path, at_most=RECORD_BYTES, inside=folder)
    try:
        content = parse_json(read)
        if not isinstance(content, dict) or "genbench" not in content:
            raise ValueError("it holds no result of a run")
        found, passed_over = evaluations(folder, content)
        return record_of(content, found, passed_over)
    except (ValueError, RecursionError, OverflowError) as error:
        raise ValueError(f"damaged: {path.name}: {error}") from error


def record_of(
    content: Mapping[str, Any], found: Sequence[Mapping[str, Any]] = (), passed_over: str = ""
) -> RunRecord:
    """Return the content of a result.json as a row, with what later evaluations add to it.

    found: these evaluations; passed_over: those that cannot be read. Raises ValueError on what cannot stand
    in a table.
    """
    if GIVEN in content:
        content = given_as_samples(content)
    # The run's own numbers stand; later evaluations only add what it lacks.
    whole = with_later(content, found)
    new = frozenset(map(text, whole["metrics"].keys() - section(content, "metrics").keys()))
    settings = clean(flat.settings(section(content, "config")))
    choices = [*map(text, chosen(content))]
    kinds = merged(recorded_kinds(record) for record in (content, *found))
    networks = merged_networks(recorded_networks(record) for record in (content, *found))
    facts = {text(name): value for name, value in network_columns(networks).items()}
    return RunRecord(row(whole) | facts, choices, settings, new, passed_over, kinds, networks)


def given_as_samples(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of images that another tool made with their scores under the names of EMA weights,
    which they share a column with. Raises ValueError on names that are none.
    """
    _ = section(content, GIVEN)
    names = {text: MetricName.parse(text) for text in section(content, "metrics")}
    renamed = {text: str(name.of_images("ema")) for text, name in names.items() if name.of == "given"}
    values = section(content, "metrics")
    return {**content, "metrics": {renamed.get(text, text): value for text, value in values.items()}}


def unfinished(folder: Path) -> str:
    """State of a run that has no result, in words, with the error that it ended with."""
    record = read_json(folder / "run.json") or {}  # of which a table needs less than a run that goes on
    status, error = record.get("status"), record.get("error")
    known = {
        "running": "still running or killed; if it was killed, the same command again resumes it",
        "stopped": "stopped before its end; the same command again resumes it",
    }
    words = "without a status" if status is None else str(status)
    return f"{words}: {error}" if error else known.get(words, words)


def with_later(content: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a result with the newest of each metric that it lacks, and a likelihood of the EMA weights, and
    of the best ones, if it has none.
    """
    metrics, likelihoods = dict[str, Any](), {name: section(content, name) for name in LIKELIHOODS}
    missing = {name for name, found in likelihoods.items() if found.get("bits_per_dim") is None}
    for record in found:
        metrics |= record["metrics"]
        later = record.get("likelihood") or {}
        for name in missing:
            if record.get("weights") == LIKELIHOODS[name] and later.get("bits_per_dim") is not None:
                likelihoods[name] = later
    return {**content, "metrics": {**metrics, **section(content, "metrics")}, **likelihoods}


def evaluations(folder: Path, final: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """Read what `genbench evaluate` found of the model of a result on its own data; name damaged lines.

    Of the model: the same configuration (identity), trained as far; an evaluation of a run that had not
    finished is of another one.
    """
    path = folder / EVALUATIONS
    known = {**final, "images_seen": section(final, "cost").get("images_seen")}
    try:
        content = read_regular(path, at_most=LOG_BYTES, inside=folder) if os.path.lexists(path) else b""
    except OSError as error:
        return [], f"{path.name} ({error.strerror})"
    except ValueError as error:
        return [], str(error)
    lines = parse_lines(content)
    found, damaged = [], list(lines.damaged)
    for line, record in lines.objects.items():
        try:  # what could not stand in a row is damage too
            row({"metrics": record.get("metrics"), "likelihood": record.get("likelihood") or {}})
            recorded_kinds(record)
            recorded_networks(record)
        except ValueError:
            damaged.append(line)
            continue
        if all(record.get(name) is not None and record[name] == known.get(name) for name in SAME):
            found.append(record)
    return found, f"{path.name}, line {', '.join(map(str, sorted(damaged)))}" if damaged else ""


def row(content: Mapping[str, Any]) -> dict[str, Cell]:
    """One result as a flat row. Raises ValueError on names and values that cannot stand in a table."""
    metrics, config = section(content, "metrics"), section(content, "config")
    for name in metrics:
        MetricName.parse(name)
    parts = ((Cost, "cost"), (Likelihood, "likelihood"), (Reconstruction, "reconstruction"))
    sections = [(section(content, name), part.of(section(content, name)).to_record()) for part, name in parts]
    # Of each section what it records, under today's names.
    cost, likelihood, reconstruction = ({key: new.get(key) for key in found} for found, new in sections)
    words = NOT_TRAINED if cost.get("images_seen") == 0 else flat.budget(config, cost.get("device"))
    if words and cost.get("start_images"):
        words += f" after {cost['start_images']:,} images"
    facts = {fact: content[fact] for fact in FACTS if fact in content}
    choices = chosen(content)
    named = {"data_name": data_name(choices, config), "conditioning": conditioning(choices, config)}
    if GIVEN in content:
        facts[GIVEN] = section(content, GIVEN).get("target", "unknown")
    # What precision was taken is a choice, so the option is no part of the identity: `auto` and `fp32` alike.
    if "identity" in content and "precision" in config and isinstance(config.get("data"), dict):
        others = {key: value for key, value in config.items() if key != "precision"}
        facts["identity"] = hashed(others)
    return clean(
        {
            **choices,
            **{name: words for name, words in named.items() if words is not None},
            **({"budget": words} if words else {}),
            **{name: number(name, value) for name, value in metrics.items()},
            **cost,
            **{"likelihood_n" if name == "n" else name: value for name, value in likelihood.items()},
            **{f"reconstruction_{name}": value for name, value in reconstruction.items()},
            **of_best(content),
            **facts,
        }
    )


def chosen(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a result by their groups, without that of initial weights which are random."""
    choices = section(content, "choices")
    is_random = started_anew(section(content, "config"))
    return {group: option for group, option in choices.items() if not (group == "init" and is_random)}


def of_best(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of the best weights of a result beside their scores, see `columns.BEST`; none where
    it has none. Raises ValueError on values that are no numbers and words.
    """
    best = Best.of(section(content, "best")).to_record()
    likelihood = section(content, "best_likelihood")
    found = Likelihood.of(likelihood).to_record() if likelihood else {}
    renamed = {"likelihood_n" if name == "n" else name: value for name, value in found.items()}
    return {f"best_{name}": value for name, value in (best | renamed).items() if value is not None}


def network_columns(networks: Mapping[str, FeatureNetwork]) -> dict[str, Cell]:
    """Return the accuracy and the training of each feature network, by the protocol of its features, as
    columns of CSV and JSON: `digits-cnn-v1 accuracy`, `digits-cnn-v1 training_images`.
    """
    records = {protocol: asdict(network) for protocol, network in networks.items()}
    return {
        f"{protocol} {name}": value
        for protocol, found in records.items()
        for name, value in found.items()
        if value is not None
    }


def clean(values: Mapping[str, Any]) -> dict[str, Cell]:
    """Return values and names as they can stand in a table. Raises ValueError on what is no single value."""
    return {text(name): cell(name, value) for name, value in values.items()}


def cell(name: str, value: Any) -> Cell:  # noqa: ANN401
    """Return one value of the table: a number, text that can be written anywhere, or None."""
    if value is None or type(value) is float:  # most of them
        return value
    if isinstance(value, str):
        return float(value) if value in NOT_FINITE else text(value)
    if not (value is None or isinstance(value, int | float)):
        raise ValueError(f"{name} holds a {type(value).__name__}, not one value")
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        raise ValueError(f"{name} holds a number of {value.bit_length()} bits, which no measurement gives")
    return value


def text(value: str) -> str:
    """Return text without lone surrogates, which JSON may hold and no file can: \\ud800 is spelt out."""
    return value if value.isascii() else value.encode(errors="backslashreplace").decode()
