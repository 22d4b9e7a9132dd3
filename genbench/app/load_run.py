"""Trained models, from the directories of their runs."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra import compose
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genbench.app.build import check_no_password, make
from genbench.app.exported import ABOUT, is_exported, load_exported
from genbench.app.messages import explain_error
from genbench.app.recorded_config import (
    buildable,
    configuration,
    naming_record,
    opened,
    root_of,
    value_at,
    words_of,
)
from genbench.app.recorded_model import built_as
from genbench.app.run_names import resolved, weights_hash
from genbench.app.search_path import composing
from genbench.app.words import assigned, check_word, parse_override
from genbench.config import schema
from genbench.records.files import read_json
from genbench.records.flatten import flatten
from genbench.records.recorded_overrides import OVERRIDES
from genbench.records.run_directory import Run
from genbench.runtime.downloads import may_download

if TYPE_CHECKING:
    from torch import nn

    from genbench.data import ImageSource
    from genbench.generator import Generator
    from genbench.metrics import Metrics

__all__ = ["classifier", "data_configuration", "load", "measuring", "sampling_key", "sampling_settings"]

ASKED_BY = {"data": {"data"}, "metrics": {"metrics", "scores", "features", "more_features"}, "seed": {"seed"}}
"""Parts of a measurement -> the configuration groups that each is composed of."""


def load(
    run_dir: str | Path,
    *,
    device: str = "auto",
    weights: str = "ema",
    overrides: Mapping[str, object] | None = None,
    sha256: str | None = None,
) -> "Generator":
    """Return the trained model of a run, or of a folder that `genbench export` wrote, in evaluation mode and
    without gradients.

    weights: "ema" for the averaged ones, "best" for those of the checkpoint that was the best on the
    validation split (trainer.keep=best), "raw" for those of the last step. overrides: other settings of the
    sampling: {"sampler": "ddim", "steps": 20}, {"guidance.scale": 3.0}. Warns where the training has not
    ended. sha256: of its weights, where a model that takes a part of this run records it; it is compared at
    the user's own command alone.
    Raises FileNotFoundError where the run has no such checkpoint yet, Damaged where none can be used, and
    ValueError on a setting that the model does not have.
    """
    from genbench.runtime import device as devices
    from genbench.runtime.precision import recorded_precision
    from genbench.training import checkpoint_contents
    from genbench.training.checkpoint import CheckpointStore

    if sha256 is not None and may_download() and weights_hash(str(run_dir)) != sha256:
        raise ValueError(f"sha256 is {sha256}, which is not that of the weights of {run_dir}: leave it out")
    if is_exported(Path(run_dir)):
        return load_exported(Path(run_dir), device=device, weights=weights, overrides=overrides)
    here, target = Run(Path(run_dir)), devices.choose(device)
    names = {"ema": "ema", "best": "ema", "raw": "model"}  # keys of checkpoints
    if weights not in names:
        raise ValueError(f"weights is {weights!r}; it must be ema, best or raw")
    record, checkpoints = here.record(), CheckpointStore(here.checkpoints)
    if record is None or not checkpoints.exists():
        what = "holds no trained model" if here.path.is_dir() else "is not a directory"
        raise FileNotFoundError(f"{run_dir} {what}: give the directory of a run")
    # The record may be a stranger's: each node is checked against conf/ before it is built.
    config = configuration(record, here.path)
    with naming_record(here.path):
        buildable(config, ("model", "precision"))
    with opened(here.path):
        model, precision = built_as(overrides or {}, config)
    model.to(target)
    read = checkpoints.load_best if weights == "best" else checkpoints.load
    checkpoint = read(target, checkpoint_contents.weights(names[weights], model))
    if checkpoint is None and weights == "best":
        raise FileNotFoundError(
            f"{run_dir} has no best weights ({checkpoints.best.name}): take its ema or raw weights, or train "
            "a run with data.validation=0.1 trainer.keep=best"
        )
    if checkpoint is None:  # removed since `exists` above
        raise FileNotFoundError(f"the checkpoint of {run_dir} is gone: give the directory of a run")
    if checkpoint.get("finished") is False and weights != "best":  # which are of the middle of a training
        counts = (checkpoint.get("images_seen"), value_at(config, ("budget", "images")))
        seen = " of ".join(f"{count:,}" for count in counts if isinstance(count, int))
        used = f"its last checkpoint is used, after {seen} images"
        warnings.warn(f"the training of {run_dir} has not ended: {used}", stacklevel=2)
    model.load_state_dict(checkpoint[names[weights]])
    with naming_record(here.path):
        taken = recorded_precision(record, precision, target)
    taken.apply(model.autocast_networks(), target)
    return model.eval().requires_grad_(False)


def classifier(run_dir: str) -> "nn.Module":
    """Return the noise-aware classifier that guides the model of a run (model=ddpm guidance=classifier).
    guidance=classifier_of_run builds it, and keeps its weights. Raises ValueError where the run has none.
    """
    from genbench.diffusion.guidance import Classifier

    found = [m.classifier for m in load(run_dir, device="cpu").modules() if isinstance(m, Classifier)]
    if not found:
        raise ValueError(f"{run_dir} has no classifier: give a run of model=ddpm guidance=classifier")
    return found[0]


def measuring(
    overrides: Sequence[str] = (), *, of_run: str | Path | None = None
) -> "tuple[ImageSource, Metrics, int]":
    """Build the data set and metrics that a run is evaluated by, or overrides choose; also return the seed.

    of_run: a run whose own data, metrics and seed stand where no override says otherwise; overrides of single
    settings change those of the run, another option of a group takes the place of all that the run had there.
    Raises ValueError on overrides that cannot be used, FileNotFoundError where there is no run.
    """
    legal = sorted(set().union(*ASKED_BY.values()))
    if foreign := [word for word in overrides if root_of(word) not in legal]:
        raise ValueError(
            f"{foreign[0]} is not a setting of an evaluation: choose from {', '.join(legal)}; what belongs "
            "to the model needs a run of its own"
        )
    for word in overrides:
        check_single(word)
    asked = {root_of(word) for word in overrides}
    own = {} if of_run is None else recorded(of_run)
    unchanged = {key: node for key, node in own.items() if not asked & ASKED_BY[key]}
    with naming_record(of_run or ""):
        buildable(unchanged, unchanged.keys() - {"seed"})
    words = list[str]()
    try:
        # A run whose data and metrics both stay may have lost the overrides that it was composed of.
        needs_words = asked and not unchanged.keys() >= {"data", "metrics"}
        words = words_of(Path(of_run)) if of_run is not None and needs_words else []
        tree = composed_over(words, overrides) | unchanged
        if of_run is None:
            for key in ("data", "metrics"):
                schema.check(tree[key], key)
            cfg = OmegaConf.create(tree)
        else:
            cfg = buildable(tree, ("data", "metrics"))
        return make(cfg.data), make(cfg.metrics), tree["seed"]
    except (HydraException, OmegaConfBaseException, TypeError, RecursionError) as error:
        # The run's choice of metrics decides which settings of scores there are.
        of_metrics = [word for word in words if root_of(word) == "metrics" and "metrics" not in asked]
        raise ValueError(explain_error(error, [*of_metrics, *overrides])) from error


def data_configuration(overrides: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return the option of the data set that overrides choose, and its resolved configuration as plain data.

    overrides: as `measuring` takes them, which has accepted them. Raises ValueError where they name no data.
    """
    chosen = [word.partition("=")[2] for word in overrides if word.partition("=")[0] == "data"]
    if not chosen:
        raise ValueError("no data set is chosen: give --data, e.g. --data digits")
    return chosen[-1], composed_over([], overrides)["data"]


def sampling_key(run_dir: str | Path, key: str) -> str:
    """Return the dotted key of a setting of a run's sampling, such as sampler.steps of "steps".
    Raises FileNotFoundError where there is no run, ValueError where its model has no such setting.
    """
    return schema.sampling_key(key, recorded_values(run_dir))


def sampling_settings(path: str | Path) -> dict[str, Any]:
    """Return the settings of the sampling of a run, or of an exported folder, with their values there:
    {"sampler.steps": 50, ..}; `load` takes others by these keys. Raises FileNotFoundError without a run.
    """
    values = recorded_values(path)
    return {key: values[key] for key in schema.sampling_keys(values)}


def recorded_values(path: str | Path) -> dict[str, Any]:
    """Return the configuration of a run, or of an exported folder, as values by their full keys."""
    folder = Path(path)
    record = read_json(folder / ABOUT) if is_exported(folder) else Run(folder).record()
    if record is None:
        raise FileNotFoundError(f"{path} holds no run: give the directory of one")
    return flatten(configuration(record, folder))


def check_single(word: str) -> None:
    """Raise ValueError on an override of an evaluation that cannot be read, or that gives several values."""
    override = parse_override(word)
    if override is not None and override.is_sweep_override():
        key, _, value = word.partition("=")
        raise ValueError(
            f"{word} gives several values, and an evaluation takes one: write {assigned(key, value)} for a "
            f"text with commas, {key}=[{value}] for a list"
        )
    if not word.startswith("~"):
        check_word(word)


def composed_over(own: Sequence[str], overrides: Sequence[str]) -> dict[str, Any]:
    """Return the resolved configuration of a run's own overrides, changed by others."""
    chosen = {word.partition("=")[0].lstrip("+~") for word in overrides}
    # Another choice of metrics replaces all that they were composed of, scores and features too.
    replaced = {name for group in chosen for name in ASKED_BY.get(group, {group})}
    remaining = [word for word in own if root_of(word) not in replaced]
    with composing():
        try:
            cfg = compose("config", overrides=[*remaining, *overrides])
        except HydraException:
            check_recorded(remaining)
            raise
    tree = resolved(cfg)
    if missing := sorted(ASKED_BY.keys() - tree.keys()):
        raise ValueError(f"an evaluation needs {', '.join(missing)}: leave out the deletion")
    check_no_password(tree)
    schema.check_root(tree, cast("dict[str, Any]", OmegaConf.to_container(cfg)))
    if tree["seed"] < 0:
        raise ValueError(f"seed is {tree['seed']}; it must be at least 0")
    return tree


def check_recorded(own: Sequence[str]) -> None:
    """Raise ValueError where the overrides that a run recorded cannot be composed even without others; call
    it where they failed together with what the user asked for, to say which of the two is at fault.
    """
    try:
        compose("config", overrides=list(own))
    except HydraException as error:
        raise ValueError(
            f"what the run recorded in {OVERRIDES} cannot be composed ({explain_error(error)}): restore that "
            "file, or leave data and metrics"
        ) from error


def recorded(run_dir: str | Path) -> dict[str, Any]:
    """Return the configuration that a run was measured by, as plain data: data, metrics and seed.
    Raises FileNotFoundError where there is no run, ValueError where its record cannot be used.
    """
    record = Run(Path(run_dir)).record()
    if record is None:
        raise FileNotFoundError(f"{run_dir} holds no run: give the directory of one")
    config = configuration(record, Path(run_dir))
    if missing := sorted(ASKED_BY.keys() - config.keys()):
        raise ValueError(f"{run_dir}/run.json records no {', '.join(missing)}: it is damaged; restore it")
    if type(config["seed"]) is not int or config["seed"] < 0:
        raise ValueError(f"{run_dir}/run.json has no seed that is a whole number of 0 or more: restore it")
    return {key: config[key] for key in ASKED_BY}
