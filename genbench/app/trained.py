"""Trained models, from the directories of their runs."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genbench import schema
from genbench.app.build import check_groups, make
from genbench.app.composition import composition
from genbench.app.refusal import message
from genbench.axes import CONF
from genbench.run import Run

if TYPE_CHECKING:
    from torch import nn

    from genbench.data import ImageSource
    from genbench.generator import Generator
    from genbench.metrics import Metrics

__all__ = ["classifier", "load", "measuring", "protocol"]

ASKED_BY = {"data": {"data"}, "metrics": {"metrics", "scores", "features"}, "seed": {"seed"}}
"""What a measurement is composed of, and the groups that say it."""

BELOW = {"metrics": ("metrics", "scores", "features")}
"""What goes with another option of a group, beside the group itself."""


def load(
    run_dir: str | Path,
    *,
    device: str = "auto",
    weights: str = "ema",
    overrides: Mapping[str, object] | None = None,
) -> "Generator":
    """The trained model of a run, in evaluation mode; weights is "ema" or "raw".

    overrides: other ways of drawing: {"sampler": "ddim", "steps": 20}, {"guidance.scale": 3.0}.
    Raises FileNotFoundError where the run has no checkpoint yet, ValueError on a setting that is not there.
    """
    from genbench import device as devices
    from genbench.checkpoint import CheckpointStore
    from genbench.precision import recorded_precision

    here, target = Run(Path(run_dir)), devices.choose(device)
    record, checkpoint = here.record(), CheckpointStore(here.checkpoints).load(target)
    if record is None or checkpoint is None:
        raise FileNotFoundError(f"{run_dir} holds no trained model: give the directory of a run")
    names = {"ema": "ema", "raw": "model"}
    if weights not in names:
        raise ValueError(f"weights is {weights!r}; it must be ema or raw")
    try:
        cfg = drawing_as(overrides or {}, here, OmegaConf.create(record["config"]))
        check_groups(cfg)
        model = make(cfg.model).to(target)
    except (HydraException, OmegaConfBaseException, TypeError) as error:
        raise ValueError(message(error)) from error
    model.load_state_dict(checkpoint[names[weights]])
    precision = recorded_precision(record, make(cfg.precision), target)
    precision.apply(model.autocast_networks(), target)
    return model.eval().requires_grad_(False)


def drawing_as(overrides: Mapping[str, object], here: Run, recorded: DictConfig) -> DictConfig:
    """The configuration of a run with other ways of drawing.

    Made of what Hydra composed, where references are not yet copies of what they refer to.
    """
    if not overrides:
        return recorded
    cfg = composition(here.path, "config")
    cfg.image = recorded.image
    for key in sorted(overrides):  # a whole sampler before its settings
        change(cfg, key, overrides[key])
    return cfg


def change(cfg: DictConfig, key: str, value: object) -> None:
    """Change one setting of the sampling, or the whole sampler. Raises ValueError on any other."""
    if key == "sampler" and key in cfg:
        take_option(cfg, key, str(value))
        return
    tree = OmegaConf.to_container(cfg, resolve=True)
    key = schema.steps_key(tree) if key == "steps" else key
    schema.check_sampling(key, tree)
    node, _, leaf = key.rpartition(".")
    OmegaConf.select(cfg, node)[leaf] = value


def take_option(cfg: DictConfig, group: str, option: str) -> None:
    """Put an option of conf/ in the place of the one that is there, with the axes that it pulls in."""
    options = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    if option not in options:
        raise ValueError(f"{group} is {option!r}; it must be one of {', '.join(options)}")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed: Any = OmegaConf.to_container(compose(f"{group}/{option}"))
    for key, node in composed.items():
        cfg[key] = node


def classifier(run_dir: str) -> "nn.Module":
    """The noise-aware classifier that guides the model of a run (model=ddpm guidance=classifier), as it is.

    Raises ValueError where the run has none.
    """
    from genbench.diffusion.guidance import Classifier

    found = [m.classifier for m in load(run_dir, device="cpu").modules() if isinstance(m, Classifier)]
    if not found:
        raise ValueError(f"{run_dir} has no classifier: give a run of model=ddpm guidance=classifier")
    return found[0]


def measuring(
    overrides: Sequence[str], *, of_run: str | Path | None = None
) -> "tuple[ImageSource, Metrics, int]":
    """The data, the metrics and the seed that overrides of the configuration ask for, as for a run of them.

    of_run: a run whose own data, metrics and seed stand where no override says otherwise; overrides of single
    settings change those of the run, another option of a group takes the place of all that the run had there.
    Raises ValueError on overrides that cannot be, FileNotFoundError where there is no run.
    """
    asked = {asked_group(word) for word in overrides}
    own = {} if of_run is None else recorded(of_run)
    kept = {key: node for key, node in own.items() if not asked & ASKED_BY[key]}
    try:
        tree = composed_over([] if of_run is None or not asked else words_of(of_run, kept), overrides) | kept
        chosen = OmegaConf.create({key: tree[key] for key in ASKED_BY})
        for key in ("data", "metrics"):
            schema.check(tree[key], key)
        return make(chosen.data), make(chosen.metrics), chosen.seed
    except (HydraException, OmegaConfBaseException, TypeError) as error:
        raise ValueError(message(error)) from error


def asked_group(word: str) -> str:
    """The group that an override changes. Raises ValueError where no measurement has it."""
    found, legal = re.match(r"[+~]*(\w*)", word), sorted(set().union(*ASKED_BY.values()))
    if found is None or found[1] not in legal:
        raise ValueError(
            f"{word} is no setting of an evaluation, which has {', '.join(legal)}: what belongs to the model "
            "needs a run of its own"
        )
    return found[1]


def words_of(run_dir: str | Path, kept: Mapping[str, object]) -> list[str]:
    """The overrides that a run was composed of; none are needed where its data and metrics are kept.

    Raises ValueError where they are needed and lost.
    """
    path = Path(run_dir) / ".hydra" / "overrides.yaml"
    if kept.keys() >= {"data", "metrics"}:
        return []
    if not path.is_file():
        raise ValueError(f"{path} is lost, and with it what the run was measured by: leave data and metrics")
    return [str(word) for word in composition(Path(run_dir), "overrides")]


def composed_over(own: Sequence[str], overrides: Sequence[str]) -> dict[str, Any]:
    """What overrides make of the configuration of a run's own ones."""
    chosen = {word.partition("=")[0].lstrip("+~") for word in overrides}
    replaced = {name for group in chosen for name in BELOW.get(group, (group,))}
    stay = [word for word in own if re.split(r"[.=@]", word.lstrip("+~"))[0] not in replaced]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[*stay, *overrides])
    tree: Any = OmegaConf.to_container(cfg, resolve=True)
    if lost := sorted(ASKED_BY.keys() - tree.keys()):
        raise ValueError(f"{', '.join(lost)} cannot be taken away from a measurement")
    schema.check_root(tree)
    schema.check_axes(OmegaConf.to_container(cfg))
    if tree["seed"] < 0:
        raise ValueError(f"seed is {tree['seed']}; it must be at least 0")
    return tree


def recorded(run_dir: str | Path) -> dict[str, Any]:
    """What a run was measured by. Raises FileNotFoundError where there is no run."""
    record = Run(Path(run_dir)).record()
    if record is None:
        raise FileNotFoundError(f"{run_dir} holds no run: give the directory of one")
    return {key: record["config"][key] for key in ASKED_BY}


def protocol(run_dir: str | Path) -> "tuple[ImageSource, Metrics, int]":
    """The data, the metrics and the seed of a run: what its samples are measured by.

    Raises FileNotFoundError where there is no run.
    """
    return measuring([], of_run=run_dir)
