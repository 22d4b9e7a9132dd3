"""Checks of the runs of one row against a protocol: each fault with its reason and the remedy.

They read runs as a submission holds them, so that a submission of a stranger passes the same checks as the
runs it was made of; none of them can tell if the numbers were measured.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

from genbench.records.titles import UNCONDITIONAL, conditioning
from genbench.records.units import device_words
from genbench.report.numbers import written
from genbench.report.protocol.file import BITS, UNITS, Protocol, written_setting

__all__ = ["Check", "checks", "is_number"]

Run = Mapping[str, Any]
"""A run as `submission.run_record` makes it: seed, commit, versions, files and the result."""
TOLERANCE = 0.05  # of a budget, for the last step
STEP_SECONDS = 1.0  # that the last step may take beyond a budget of seconds
FROZEN = ("run_dir", "weights", "path", "sha256", "fingerprint")
"""Keys of a configuration that name weights which this run did not train."""
EVALUATION = ("features", "more_features", "scores", "metrics", "data")
"""Sections of a configuration whose networks and files take no part in the training."""
SPENT = {"images": "images_seen", "seconds": "training_seconds", "flops": "training_flops"}
"""Unit of a budget -> the cost of a result that says how much of it was spent."""


class Check(NamedTuple):
    """One check of all runs of a row: the faults found by it, none where they pass."""

    name: str
    faults: Sequence[str]


def checks(protocol: Protocol, runs: Sequence[Run]) -> list[Check]:
    """Check the runs of one configuration against a protocol, one result a rule, in the order of `RULES`.

    runs: as a submission holds them. A fault says which seeds it is of, what was found, and the remedy.
    """
    found = [Check("seeds", [*seed_faults(protocol, runs)])]
    for name, rule in RULES.items():
        seeds: dict[str, list[str]] = {}
        for run in runs:
            if fault := rule(protocol, run):
                seeds.setdefault(fault, []).append(str(run["seed"]))
        found.append(Check(name, [f"seed {', '.join(numbers)}: {fault}" for fault, numbers in seeds.items()]))
    found.append(Check("one version of the code", [*version_faults(runs)]))
    return found


def seed_faults(protocol: Protocol, runs: Sequence[Run]) -> Iterator[str]:
    """Yield a fault for seeds that are missing, not in the protocol, or there twice."""
    seeds = Counter(run["seed"] for run in runs)
    wanted = ",".join(map(str, protocol.seeds))
    if missing := [str(seed) for seed in protocol.seeds if seed not in seeds]:
        yield f"no finished run of seed {', '.join(missing)}: train with seed={wanted}"
    if others := [str(seed) for seed in seeds if seed not in protocol.seeds]:
        yield f"seed {', '.join(others)} is none of {wanted}: leave those runs out"
    if twice := [str(seed) for seed, count in seeds.items() if count > 1]:
        yield f"several runs of seed {', '.join(twice)}, of which one could be chosen: keep the first alone"


def version_faults(runs: Sequence[Run]) -> Iterator[str]:
    """Yield a fault where the runs of a row are of several commits or versions of libraries."""
    for what, key in (("commits", "commit"), ("versions of libraries", "versions")):
        several = {repr(run[key]): run[key] for run in runs}
        if len(several) > 1:
            names = [str(x)[:12] if key == "commit" else differing(x, several) for x in several.values()]
            yield f"runs of several {what} ({'; '.join(names)}): train all seeds with one"


def differing(versions: Mapping[str, Any], several: Mapping[str, Any]) -> str:
    """Return the versions that are not the same in all runs: torch 2.8.0."""
    others = [other for other in several.values() if other != versions]
    words = [f"{name} {x}" for name, x in versions.items() if any(other.get(name) != x for other in others)]
    return ", ".join(words)


def data_fault(protocol: Protocol, run: Run) -> str:
    """Return the fault of a run on other images than the protocol's, "" for none."""
    data, result = protocol.data, run["result"]
    shape = value_of(result["config"], "model.shape")
    if result.get("data_key") != data["key"]:
        fault = f"data_key {str(result.get('data_key'))[:8]} instead of {data['key'][:8]}"
    elif shape not in (None, data["shape"]):
        fault = f"shape {str(shape)[:40]} instead of {data['shape']}"
    else:
        return ""
    return f"other images: {fault}: train on data={data['name']} as it is published"


def budget_fault(protocol: Protocol, run: Run) -> str:
    """Return the fault of a run with another budget, one that it did not spend, or another device."""
    config, cost = run["result"]["config"], run["result"]["cost"]
    unit, amount = protocol.unit, protocol.budget[protocol.unit]
    for other in UNITS:
        wanted, limit = protocol.budget.get(other), value_of(config, f"budget.{other}")
        if limit != wanted:
            words = " ".join(f"budget.{x}={protocol.budget.get(x, 'null')}" for x in UNITS)
            return f"budget.{other} is {str(limit)[:40]}: train with {words}"
    if value_of(config, "budget.until") is not None:
        return "budget.until ends the training at a target: train with budget.until=null"
    if cost.get("ended_early"):
        return "ended before its budget was spent: train with trainer.patience=null"
    spent = cost.get(SPENT[unit])
    room = max(TOLERANCE * amount, STEP_SECONDS if unit == "seconds" else 0.0)
    if not is_number(spent) or not (1 - TOLERANCE) * amount <= spent <= amount + room:
        found = written(spent) if is_number(spent) else str(spent)[:40]
        return f"{found} {unit} spent instead of {written(amount)}: train again, with smaller steps"
    device = device_words(str(cost.get("device")))
    if protocol.budget.get("device", device) != device:
        return f"trained on {device} instead of {protocol.budget['device']}: seconds compare there alone"
    return ""


def score_fault(protocol: Protocol, run: Run) -> str:
    """Return the fault of a run that lacks one of the scores, or has one that is no finite number."""
    result = run["result"]
    values = {**result["metrics"], BITS: result["likelihood"].get(BITS)}
    missing = [score for score in protocol.scores if not is_number(values.get(score))]
    if not missing:
        return ""
    there = [name for name in result["metrics"] if name.startswith(f"{missing[0].partition('[')[0]}[")]
    near = f"; it has {there[0]}" if there else ""
    return f"no {missing[0]}{near}: take its features, samples and scores= (`genbench protocol` shows them)"


def setting_fault(protocol: Protocol, run: Run) -> str:
    """Return the fault of a run with another value of a setting that the protocol fixes."""
    for key, wanted in protocol.settings.items():
        found = value_of(run["result"]["config"], key)
        if found != wanted or isinstance(found, bool) != isinstance(wanted, bool):
            return f"{key} is {str(found)[:60]}: train with {key}={written_setting(wanted)}"
    return ""


def model_fault(protocol: Protocol, run: Run) -> str:
    """Return the fault of a model of a kind that the protocol excludes."""
    result = run["result"]
    given = conditioning(result["choices"], result["config"])
    if "pretrained" in protocol.excluded and (why := pretrained(result)):
        return f"pretrained weights ({why}), which the protocol excludes: train from random ones"
    if "guided" in protocol.excluded and "guid" in str(given):
        return f"{given}, which the protocol excludes: train with guidance=none"
    if "conditional" in protocol.excluded and given not in (None, UNCONDITIONAL):
        return f"{given}, which the protocol excludes: train with conditional=false, without text"
    return ""


def choice_fault(protocol: Protocol, run: Run) -> str:
    """Return the fault of a run whose settings or weights may have been chosen by test images."""
    if value_of(run["result"]["config"], "objective") == BITS:
        return "objective=bits_per_dim is of test images, which must choose nothing: take objective=fid"
    if "weights" in run["result"]["config"]:  # of `genbench ema RUN --keep`
        return "its weights are an average whose length was chosen after training: submit the run itself"
    return ""


def code_fault(protocol: Protocol, run: Run) -> str:
    """Return the fault of a run whose code nobody can find again."""
    if run["dirty"]:
        return "the code had changes that are in no commit: commit them, and train again"
    if run["commit"] is None and not run["versions"].get("genbench"):
        return "neither a commit nor a version of genbench is recorded: train again with this version"
    return ""


RULES: Mapping[str, Callable[[Protocol, Run], str]] = {
    "images": data_fault,
    "budget": budget_fault,
    "scores": score_fault,
    "settings": setting_fault,
    "kind of model": model_fault,
    "test images choose nothing": choice_fault,
    "code": code_fault,
}
"""Name of a check -> the rule that each run must meet; it returns the fault in words, "" for none."""


def pretrained(result: Mapping[str, Any]) -> str:
    """Return what of a model was trained before or elsewhere, "" where nothing was."""
    cost, config = result["cost"], result["config"]
    if cost.get("start_images"):
        return "it began with the weights of another run"
    if not cost.get("images_seen"):
        return "no image was seen in training"
    # weights at the root name an average of this very run, which another check refuses.
    sections = {key: node for key, node in config.items() if key not in (*EVALUATION, "weights")}
    return next(frozen_parts(sections, ""), "")


def frozen_parts(node: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Yield the keys of a configuration that name weights from elsewhere, or a network of the metrics."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from frozen_parts(value, f"{prefix}{key}.")
        elif key in FROZEN and value is not None:
            yield f"{prefix}{key}"
        elif key == "_target_" and str(value).startswith(
            ("genbench.metrics.", "transformers.", "diffusers.")
        ):
            yield f"{prefix}{key} {str(value)[:60]}"


def value_of(config: Mapping[str, Any], key: str) -> Any:  # noqa: ANN401
    """Return the value of a dotted key, None where the configuration lacks it."""
    node: Any = config
    for name in key.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    return node


def is_number(value: object) -> TypeGuard[float]:
    """True for a finite number, of which True is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
